"""What programs may call of stored work: `/batch`, `/label`, `/labels` and `/metrics`.

The components only describe the arguments and answers; nobody sees them.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

import gradio as gr

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label, LabeledImage, Severity
from mambaad_demo.storage import jobs, labels
from mambaad_demo.storage.jobs import UNFINISHED, JobFacts
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import made_once, uploaded_path
from mambaad_demo.workflow import result_pack
from mambaad_demo.workflow.batch_runner import batch_facts
from mambaad_demo.workflow.batches import BatchSpec
from mambaad_demo.workflow.figures.metrics_file import metrics_json
from mambaad_demo.workflow.figures.summary import FigureBook

Choice = TypeVar("Choice", Finding, Severity)

BATCH_DESCRIPTION = (
    "Judge many pictures. Takes files (pictures, zip files), the name of a checkpoint (empty: the one "
    "promoted for the category, else the default one), a category (empty: the nearest one), a product name "
    "(empty: the category) or, in place of all that, the id of a batch to look at. Answers at once with the "
    "id, and again with rows and the result pack when it is done."
)
LABEL_DESCRIPTION = (
    "Record a person's word on a stored picture: its SHA-256, good, defect or unsure, who says so, type of "
    "defect, severity (minor, major, critical or empty), a note, and a one-bit PNG mask of the picture's "
    "size or nothing."
)
LABELS_DESCRIPTION = "Everything people said about stored pictures, of one product or (empty) of all."


METRICS_DESCRIPTION = (
    "The seven metrics, their 95 % intervals, false rejects and escapes of stored, labeled pictures: of one "
    "product or (empty) of all, by the version used last of one checkpoint or (empty) of any."
)


def build_dashboard_api(desk: Desk, book: FigureBook) -> None:
    """Add the public endpoints to the surrounding Blocks.

    Args:
        desk: the store and the runner.
        book: figures that the Metrics page may know already.
    """
    with gr.Column(visible=False):
        files = gr.File(label="files", file_count="multiple")
        checkpoint, category, product, batch_id = (
            gr.Textbox(label=label, value="") for label in ("checkpoint", "category", "product", "batch")
        )
        batch_result = gr.JSON(label="batch")
        pack = gr.File(label="result pack")
        sha256, finding, reviewer, defect_type, severity, note = (
            gr.Textbox(label=label, value="")
            for label in ("sha256", "finding", "reviewer", "defect type", "severity", "note")
        )
        mask = gr.File(label="mask")
        label_result = gr.JSON(label="label")
        labels_result = gr.JSON(label="labels")
        metrics_result = gr.JSON(label="metrics")
        batch_button, label_button, labels_button = gr.Button(), gr.Button(), gr.Button()
        metrics_button = gr.Button()

    def batch(
        request: gr.Request,
        files: list[dict[str, Any]] | None,
        checkpoint: str = "",
        category: str = "",
        product: str = "",
        batch: str = "",
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        with shown_to_user():
            workspace = desk.workspace(request)
            if not batch:
                sent = [path for path in map(uploaded_path, files or []) if path is not None]
                spec = BatchSpec(
                    checkpoint=checkpoint or desk.default_for(category or None),
                    category=category or None,
                    product=product or None,
                )
                name = f"{len(sent)} files by a program"
                batch = desk.start_batch(workspace, spec, sent, name=name)
                yield batch_json(workspace, batch), None
                desk.runner.wait(batch)
            if batch_facts(workspace, batch).state in UNFINISHED:
                yield batch_json(workspace, batch), None
                return
            write = partial(result_pack.write_zip, workspace, batch)
            key = result_pack.fingerprint(workspace, batch)
            yield batch_json(workspace, batch), made_once(write, key, "results.zip", pack.GRADIO_CACHE)

    def label(
        request: gr.Request,
        sha256: str,
        finding: str,
        reviewer: str,
        defect_type: str = "",
        severity: str = "",
        note: str = "",
        mask: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        with shown_to_user():
            workspace = desk.workspace(request)
            path = uploaded_path(mask)
            said = Label(
                finding=_one_of(Finding, finding),
                defect_type=defect_type,
                severity=_one_of(Severity, severity),
                note=note,
                mask=None if path is None else path.read_bytes(),
            )
            image_id = labels.image_id(workspace, sha256.strip().lower())
            decision = labels.decide(workspace, image_id, said, reviewer=reviewer)
            return {
                "decision": decision.id,
                "sha256": sha256,
                "finding": decision.finding.value,
                "defect_type": decision.defect_type,
                "severity": decision.severity.value,
                "mask_sha256": decision.mask_sha256,
                "reviewer": decision.reviewer,
                "decided_at": decision.decided_at.isoformat(),
            }

    def list_labels(request: gr.Request, product: str = "") -> list[dict[str, Any]]:
        with shown_to_user():
            workspace = desk.workspace(request)
            return [label_json(one) for one in labels.labeled_images(workspace, product=product or None)]

    def metrics(request: gr.Request, product: str = "", checkpoint: str = "") -> dict[str, Any]:
        with shown_to_user():
            return metrics_json(desk.workspace(request), product or None, checkpoint or None, book=book)

    public: dict[str, Any] = {"preprocess": False}
    batch_button.click(
        batch,
        [files, checkpoint, category, product, batch_id],
        [batch_result, pack],
        api_name="batch",
        api_description=BATCH_DESCRIPTION,
        concurrency_limit=8,
        **public,
    )
    label_button.click(
        label,
        [sha256, finding, reviewer, defect_type, severity, note, mask],
        label_result,
        api_name="label",
        api_description=LABEL_DESCRIPTION,
        **public,
    )
    labels_button.click(
        list_labels,
        product,
        labels_result,
        api_name="labels",
        api_description=LABELS_DESCRIPTION,
        **public,
    )
    metrics_button.click(
        metrics,
        [product, checkpoint],
        metrics_result,
        api_name="metrics",
        api_description=METRICS_DESCRIPTION,
        concurrency_id="figures",
        concurrency_limit=1,
        **public,
    )


def batch_json(workspace: Workspace, job_id: str) -> dict[str, Any]:
    """A batch with all its rows."""
    facts: JobFacts = jobs.job(workspace, job_id)
    return {
        "batch": facts.id,
        "state": facts.state.value,
        "total": facts.total,
        "done": facts.done,
        "refused": facts.refused,
        "verdicts": facts.verdicts,
        "error": facts.error,
        "rows": [result_pack.result_row(item) for item in jobs.items(workspace, job_id)],
    }


def label_json(labeled: LabeledImage) -> dict[str, Any]:
    """What people said about one picture."""
    return {
        "sha256": labeled.sha256,
        "file": labeled.name,
        "product": labeled.product,
        "width": labeled.width,
        "height": labeled.height,
        "finding": None if labeled.finding is None else labeled.finding.value,
        "defect_type": labeled.defect_type,
        "severity": labeled.severity.value,
        "note": labeled.note,
        "mask_sha256": labeled.mask_sha256,
        "reviewers": dict(
            zip(labeled.reviewers, (finding.value for finding in labeled.findings), strict=True)
        ),
        "decided_at": labeled.decided_at.isoformat(),
    }


def _one_of(kind: type[Choice], text: str) -> Choice:
    try:
        return kind(text.strip().lower())
    except ValueError as error:
        known = ", ".join(choice.value or "(empty)" for choice in kind)
        raise InputError(f"{text!r} is none of {known}.") from error
