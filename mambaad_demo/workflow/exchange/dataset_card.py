"""The README of a data set of labels on the Hub: what it holds and what it does not; never who labeled."""

from huggingface_hub import DatasetCardData

from mambaad_demo.hub.markdown import one_line, table, text
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.version import __version__
from mambaad_demo.workflow.exchange import csv_files
from mambaad_demo.workflow.exchange.exporting import ExportFacts, ExportKind

_LAYOUTS = {
    ExportKind.CSV: "`labels.csv` has a row for each picture, `decisions.csv` one for each decision ever "
    "made. Pictures and masks are named by their SHA-256 and are not part of it.",
    ExportKind.MVTEC: "Folders as in MVTec AD: `<product>/test/good`, `test/<defect>`, "
    "`ground_truth/<defect>`. `labels.json` says what each file is.",
    ExportKind.COCO: "Pictures, and one JSON file of annotations as COCO has it.",
    ExportKind.LABEL_STUDIO: "Pictures, `tasks.json` and `labeling_config.xml` for Label Studio.",
    ExportKind.FIFTYONE: "Pictures, masks and a list of samples for FiftyOne.",
}
_FINDINGS = (*(finding.value for finding in Finding), csv_files.DIVIDED)


def dataset_card(facts: ExportFacts) -> str:
    """Markdown with the front matter the Hub reads."""
    products = sorted(facts.counts)
    title = f"Labels of {one_line(products[0])}" if len(products) == 1 else "Labels of inspected parts"
    front_matter = DatasetCardData(
        license="other",
        pretty_name=title,
        tags=["anomaly-detection", "industrial-inspection", facts.kind.value],
    ).to_yaml()
    lines = [
        f"# {text(title)}",
        "",
        f"Photos of parts that people called good or defective: {facts.labels} labels, {facts.pictures} "
        f"picture files, {facts.masks} masks. Exported by MambaAD Inspector {__version__}.",
        "",
        *table(
            ["product", *_FINDINGS],
            [
                [text(name), *(str(facts.counts[name].get(told, 0)) for told in _FINDINGS)]
                for name in products
            ],
        ),
        "",
        "A picture counts as most of those say who looked at it.",
        "",
        "## Layout",
        "",
        _LAYOUTS[facts.kind],
        *(f"\n{text(note)}" for note in facts.notes),
        *([f"\nLabeled, but left out: {len(facts.left_out)} pictures."] if facts.left_out else []),
        "",
        "## What to know",
        "",
        "No licence was chosen: ask the owner of the repository before you use the pictures. Picture files "
        "are as they were taken in, also with what a camera wrote into them. Who labeled is not part of it. "
        "The labels are opinions of people and were not measured.",
        "",
    ]
    return f"---\n{front_matter}\n---\n\n" + "\n".join(lines)
