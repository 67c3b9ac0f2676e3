"""The README of a checkpoint folder: what the weights are, what they rest on, and what they cannot tell.

It is written from `config.json`. Facts of the run it knows by name get sections of their own; all others are
shown as they are.
"""

import re
from collections.abc import Mapping

from huggingface_hub import ModelCardData
from pydantic import JsonValue

from mambaad_demo.hub.card_metrics import Metrics, metrics_lines, quoted_lines
from mambaad_demo.hub.markdown import cell, code, comparison, figures, nested_table, one_line, table, text
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig, FileHashes

_ORIGINS = {
    "mambaad_v2": (
        "## What this decoder is",
        "",
        "**Our reading of the abstract of MambaADv2, not the authors' network:** neither its code nor its "
        "full text is public. From the abstract come the cascaded Hilbert-scan blocks beside frequency-"
        "enhanced convolutions, a core of Mamba-3's lineage in recurrent and matrix form, and fewer scan "
        "directions towards the coarse maps. Chosen by us: every size and number, Haar wavelets as the "
        "frequency transform, no convolution before the core, and all that surrounds the modules, which "
        "is MambaAD's. Nothing measured with it says anything about the published results.",
        "",
    )
}
"""What a person has to know about a decoder before its numbers."""

_DATA = ("categories", "held_out")
_FINE_TUNING = (
    *("base", "base_sha256", "category", "learned", "photos", "replay", "best_step", "ended_early", "best"),
    *("not_rehearsed", "known", "before", "after"),
)
_RECIPE = ("recipe",)
_SPEED = ("throughput", "device", "kernel", "processes", "seconds", "torch", "python", "version")
_VALIDATION = ("validation", "history")
_FRONT_MATTER = ("datasets",)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def model_card(
    config: CheckpointConfig,
    calibration: CalibrationFile,
    hashes: FileHashes,
    metrics: Metrics | None = None,
) -> str:
    """Markdown with the front matter the Hub reads; `metrics` are of this checkpoint, as the caller knows."""
    training = config.training
    sections = [
        _head(config),
        _ORIGINS.get(str(config.detector.get("decoder")), ()),
        _section("Metrics", [] if metrics is None else metrics_lines(metrics)),
        _section(
            "Figures of the authors, not measured here",
            [] if config.quoted is None else quoted_lines(config.quoted),
        ),
        ["## Limits", "", *_limits(calibration), ""],
        _section("Data", _data(training)),
        _section("Fine-tuning", _fine_tuning(training)),
        _section("Training", _training(training)),
        _section("Validation", _validation(training)),
        _section("Speed and versions", figures(_flattened(_part(training, _SPEED)))),
        _section("Not tested", [_not_tested(config)]),
        ["## Files", "", *_files(hashes), ""],
    ]
    return f"---\n{_front_matter(config)}\n---\n\n" + "\n".join(
        line for section in sections for line in section
    )


def _front_matter(config: CheckpointConfig) -> str:
    """YAML of what the Hub sorts models by."""
    named = config.training.get("datasets")
    datasets = [name for name in _listed(named) if isinstance(name, str) and _HUB_NAME.fullmatch(name)]
    decoder = str(config.detector.get("decoder"))
    tags = ["anomaly-detection", "mamba", "safetensors", *(["fine-tuned"] if _is_version(config) else [])]
    return ModelCardData(
        license=one_line(config.license),
        library_name="pytorch",
        pipeline_tag="image-segmentation",
        tags=list(dict.fromkeys([*tags, *([decoder] if _HUB_NAME.fullmatch(decoder) else [])])),
        datasets=datasets or None,
    ).to_yaml(original_order=["license", "library_name", "pipeline_tag", "tags", "datasets"])


def _head(config: CheckpointConfig) -> list[str]:
    detector = config.detector
    tiles = "" if config.tiles == 1 else f", {config.tiles} overlapping tiles along the longer side"
    return [
        f"# {config.name}",
        "",
        f"Decoder {code(detector.get('decoder'))} over the frozen encoder {code(detector.get('encoder'))} "
        f"(weights: {text(detector.get('encoder_weights'))}), input {text(detector.get('input_side'))} px, "
        f"resize rule {config.resize}{tiles}.",
        "",
    ]


def _limits(calibration: CalibrationFile) -> list[str]:
    if not calibration.categories:
        return ["None yet: it shows anomaly maps, but judges every part 'check' until it is calibrated."]
    return [
        *table(
            [
                "category",
                "check from",
                "reject from",
                "held-out good images",
                "aim: good parts checked",
                "rejected",
            ],
            [
                (
                    *(text(name), f"{known.check:.4f}", f"{known.reject:.4f}", str(known.images)),
                    *(f"{known.rates.check:.1%}", f"{known.rates.reject:.1%}"),
                )
                for name, known in calibration.categories.items()
            ],
        ),
        "",
        "The last two columns are what the limits aim at, not what was measured.",
        "",
        "A score above the limits says that the part looks unlike the good parts of its category, not what "
        "is wrong with it.",
    ]


def _data(training: Mapping[str, JsonValue]) -> list[str]:
    """Good images by category, used and held out."""
    used, held_out = (training.get(name) for name in _DATA)
    if not isinstance(used, dict) or not isinstance(held_out, dict):
        return figures(_part(training, _DATA))
    names = list(dict.fromkeys([*used, *held_out]))
    rows = [(text(name), cell(used.get(name)), cell(held_out.get(name))) for name in names]
    return [
        f"Good parts of {len(names)} {'category' if len(names) == 1 else 'categories'}, and nothing else. "
        "Limits and validation rest on the images held out.",
        "",
        *table(["category", "good images trained on", "held out"], rows),
    ]


def _fine_tuning(training: Mapping[str, JsonValue]) -> list[str]:
    """What a version was made from, and what changed by it."""
    if not any(name in training for name in _FINE_TUNING):
        return []
    before, after = _sides(training)
    compared: tuple[str, ...] = ()
    if before or after:
        compared = ("known",) if isinstance(training.get("known"), dict) else ("before", "after")
    facts = _part(training, tuple(name for name in _FINE_TUNING if name not in compared))
    lines = figures(facts)
    return [*lines, "", "### Before and after", "", *comparison(before, after)] if compared else lines


def _sides(training: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """Figures of the base and of the version: under `before` and `after`, or by category under `known`, where
    `x_before` and `x_after` are figures too. Empty where they are told otherwise."""
    known, before, after = (training.get(name) for name in ("known", "before", "after"))
    if isinstance(known, dict):
        parts = {name: facts for name, facts in known.items() if isinstance(facts, dict)}
        before = {name: _side(facts, "before") for name, facts in parts.items()}
        after = {name: _side(facts, "after") for name, facts in parts.items()}
        return (before, after) if len(parts) == len(known) else ({}, {})
    return (before, after) if isinstance(before, dict) and isinstance(after, dict) else ({}, {})


def _side(facts: Mapping[str, JsonValue], side: str) -> dict[str, JsonValue]:
    figures_of_side = facts.get(side)
    return {
        **(figures_of_side if isinstance(figures_of_side, dict) else {}),
        **{
            name.removesuffix(f"_{side}"): value for name, value in facts.items() if name.endswith(f"_{side}")
        },
    }


def _training(training: Mapping[str, JsonValue]) -> list[str]:
    """The command, the recipe and what remains."""
    known = (*_DATA, *_FINE_TUNING, *_RECIPE, *_SPEED, *_VALIDATION, *_FRONT_MATTER, "command")
    rest = {name: value for name, value in training.items() if name not in known}
    command, recipe = training.get("command"), training.get("recipe")
    lines = [code(command), ""] if isinstance(command, str) else []
    if recipe:
        lines += [*figures(recipe if isinstance(recipe, dict) else {"recipe": recipe}), ""]
    return [*lines, *figures(rest)] or ["Unknown."]


def _validation(training: Mapping[str, JsonValue]) -> list[str]:
    measured, is_choice = training.get("validation"), False
    if not measured:
        measured, is_choice = training.get("history"), True
    if not measured:
        return []
    use = "the state that was best here was kept" if is_choice else "nothing was chosen by it"
    return [
        f"On good images that were not trained on; {use}. It says nothing about defects.",
        "",
        *(nested_table(measured) if isinstance(measured, list | dict) else [cell(measured)]),
    ]


def _not_tested(config: CheckpointConfig) -> str:
    """What nobody may read into the figures above."""
    parts = "its categories" if len(config.categories) != 1 else "its category"
    return (
        "Training saw no defective part. How many defects are found is known only where a figure above says "
        "so; `python -m train.evaluate` measures it on good and defective parts of your own. Not tested: "
        f"other products than {parts}; other cameras, lenses, lights, backgrounds, distances and positions "
        "than in the training images; defects smaller than a few pixels of the model input; how camera and "
        "light age. There it judges at your own risk."
    )


def _files(hashes: FileHashes) -> list[str]:
    return table(
        ["file", "SHA-256"],
        [
            ("`model.safetensors`", f"`{hashes.model}`"),
            ("`calibration.json`", f"`{hashes.calibration}`"),
            ("`golden.safetensors`", f"`{hashes.golden}`"),
        ],
    )


def _section(title: str, lines: list[str]) -> list[str]:
    """Nothing where there is nothing to say."""
    return [f"## {title}", "", *lines, ""] if lines else []


def _part(training: Mapping[str, JsonValue], names: tuple[str, ...]) -> dict[str, JsonValue]:
    return {name: training[name] for name in names if name in training}


def _flattened(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """One level of dicts opened, so that figures and versions share a table."""
    flat: dict[str, JsonValue] = {}
    for name, value in values.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _is_version(config: CheckpointConfig) -> bool:
    """Whether another checkpoint was its beginning."""
    return "base" in config.training
