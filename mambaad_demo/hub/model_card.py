"""The README of a checkpoint folder: what the weights are, what they rest on, and what they cannot tell."""

import json

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


def model_card(config: CheckpointConfig, calibration: CalibrationFile, hashes: FileHashes) -> str:
    """Markdown with the front matter the Hub reads."""
    detector = config.detector
    return "\n".join(
        [
            "---",
            f"license: {config.license}",
            "library_name: pytorch",
            "pipeline_tag: image-segmentation",
            "tags: [anomaly-detection, mamba, safetensors]",
            "---",
            "",
            f"# {config.name}",
            "",
            f"Decoder `{detector.get('decoder')}` over the frozen encoder `{detector.get('encoder')}` "
            f"(weights: {detector.get('encoder_weights')}), input {detector.get('input_side')} px, resize "
            f"rule {config.resize}{_tiles(config)}.",
            "",
            *_ORIGINS.get(str(detector.get("decoder")), ()),
            "## Limits",
            "",
            *_limits(calibration),
            "",
            "A score above the limits says that the part looks unlike the good parts of its category, not "
            "what is wrong with it. Parts, cameras or lights that were not in the training images are judged "
            "at your own risk.",
            "",
            "## Training",
            "",
            *(_training(config) or ["Unknown."]),
            "",
            "## Files",
            "",
            "| file | SHA-256 |",
            "| --- | --- |",
            f"| `model.safetensors` | `{hashes.model}` |",
            f"| `calibration.json` | `{hashes.calibration}` |",
            f"| `golden.safetensors` | `{hashes.golden}` |",
            "",
        ]
    )


def _tiles(config: CheckpointConfig) -> str:
    return "" if config.tiles == 1 else f", {config.tiles} overlapping tiles along the longer side"


def _limits(calibration: CalibrationFile) -> list[str]:
    if not calibration.categories:
        return ["None yet: it shows anomaly maps, but judges every part 'check' until it is calibrated."]
    rows = [
        f"| {name} | {known.check:.4f} | {known.reject:.4f} | {known.images} | {known.rates.check:.1%} "
        f"| {known.rates.reject:.1%} |"
        for name, known in calibration.categories.items()
    ]
    return [
        "| category | check from | reject from | held-out good images | aim: good parts checked | rejected |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        "The last two columns are what the limits aim at, not what was measured.",
    ]


def _training(config: CheckpointConfig) -> list[str]:
    plain = {key: value for key, value in config.training.items() if not isinstance(value, dict | list)}
    nested = {key: value for key, value in config.training.items() if key not in plain}
    lines = [f"- {key}: `{value}`" for key, value in plain.items()]
    if nested:
        lines += ["", "```json", json.dumps(nested, indent=1, ensure_ascii=False), "```"]
    return lines
