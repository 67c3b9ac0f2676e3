"""Published MambaAD and Pyramid-Mamba state dicts, key by key, in our names and layouts; the numbers stay as
they are. Both use the same names."""

import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from mambaad_demo.errors import CheckpointMismatchError

Part = Literal["decoder", "fusion", "detector"]

_PREFIXES = {"net_t.": "encoder.backbone.", "mff_oce.": "fusion.", "net_s.": "decoder."}

_DECODER_NAMES = [
    (r"^layers_up\.(\d+)\.blocks\.(\d+)\.", r"stages.\1.layers.\2."),
    (r"^layers_up\.(\d+)\.upsample\.", r"stages.\1.upsample."),
    (r"\.smm_blocks\.(\d+)\.ln_1\.", r".blocks.\1.norm."),
    (r"\.smm_blocks\.(\d+)\.self_attention\.", r".blocks.\1."),
    (r"\.x_proj_weight$", ".x_proj"),
    (r"\.dt_projs_weight$", ".dt_weight"),
    (r"\.dt_projs_bias$", ".dt_bias"),
    (r"\.A_logs$", ".a_log"),
    (r"\.Ds$", ".d"),
    (r"\.conv2d\.", ".conv."),
    (r"\.conv1b(5|7)\.0\.", r".local\1.before.conv."),
    (r"\.conv1a(5|7)\.0\.", r".local\1.after.conv."),
    (r"\.conv(5|7)\1\.0\.", r".local\1.depthwise.conv."),
    (r"\.finalconv11\.", ".merge."),
]
_FUSION_NAMES = [
    (r"^conv1\.", "down1.conv."),
    (r"^bn1\.", "down1.norm."),
    (r"^conv2\.", "down2.conv."),
    (r"^bn2\.", "down2.norm."),
    (r"^conv21\.", "lateral2.conv."),
    (r"^bn21\.", "lateral2.norm."),
    (r"^conv31\.", "lateral3.conv."),
    (r"^bn31\.", "lateral3.norm."),
    (r"^convf\.", "merge.conv."),
    (r"^bnf\.", "merge.norm."),
    (r"^bn_layer\.(\d+)\.", r"bottleneck.\1."),
    (r"\.conv1\.", ".reduce.conv."),
    (r"\.bn1\.", ".reduce.norm."),
    (r"\.conv2\.", ".spatial.conv."),
    (r"\.bn2\.", ".spatial.norm."),
    (r"\.conv3\.", ".restore.conv."),
    (r"\.bn3\.", ".restore.norm."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
]
_DECODER_KEY = re.compile(r"layers_up\.\d+\.(blocks|upsample)\.")
_FUSION_KEY = re.compile(r"(conv|bn)(1|2|21|31|f)\.|bn_layer\.\d+\.")
_PUBLISHED_DECODERS = ("mambaad", "pyramid_mamba")


def from_published(decoder: str, state: Mapping[str, Tensor], part: Part = "decoder") -> dict[str, Tensor]:
    """Translate a published state dict into ours.

    Args:
        decoder: `mambaad` or `pyramid_mamba`.
        state: published names, with or without `module.` in front. For `detector` all three of `net_t.`,
        `mff_oce.` and
            `net_s.`; for a part its own names, with or without its prefix. Index tables (`scans.*`) are
            ignored.
        part: `decoder`, `fusion`, or `detector` for the whole network.

    Raises:
        ValueError: an unknown decoder or part.
        CheckpointMismatchError: keys of another kind of network.
    """
    if decoder not in _PUBLISHED_DECODERS:
        raise ValueError(f"No published weights are known for decoder {decoder!r}.")
    names = {key.removeprefix("module."): value for key, value in state.items() if ".scans." not in f".{key}"}
    match part:
        case "decoder":
            return _decoder(_without_prefix(names, "net_s."))
        case "fusion":
            return _fusion(_without_prefix(names, "mff_oce."))
        case "detector":
            return _detector(decoder, names)
    raise ValueError(f"Unknown part {part!r}: choose decoder, fusion or detector.")


def _detector(decoder: str, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in _PREFIXES}
    unexpected = []
    for key, value in names.items():
        prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
        if prefix is None:
            unexpected.append(key)
        else:
            parts[prefix][key.removeprefix(prefix)] = value
    missing = [prefix for prefix, entries in parts.items() if not entries]
    if unexpected or missing:
        raise CheckpointMismatchError(
            f"This is no published {decoder} checkpoint: parts missing: {', '.join(missing) or 'none'}; "
            f"{len(unexpected)} unexpected keys (first: {', '.join(unexpected[:3]) or 'none'}).",
            decoder=decoder,
            missing=missing,
            unexpected=unexpected,
        )
    translated = {
        "net_t.": parts["net_t."],
        "mff_oce.": _fusion(parts["mff_oce."]),
        "net_s.": _decoder(parts["net_s."]),
    }
    return {
        _PREFIXES[prefix] + key: value
        for prefix, entries in translated.items()
        for key, value in entries.items()
    }


def _decoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename, and lay the scan parameters out channel-last: Δ weights (K, R, D), decay (K, N, D), skip (K,
    D)."""
    _require_names(state, _DECODER_KEY, "decoder")
    directions = {
        _rename(key, _DECODER_NAMES).rpartition(".")[0]: value.shape[0]
        for key, value in state.items()
        if key.endswith("x_proj_weight")
    }
    translated = {}
    for key, value in state.items():
        name = _rename(key, _DECODER_NAMES)
        owner, _, leaf = name.rpartition(".")
        if leaf == "dt_weight":
            value = value.transpose(1, 2)
        elif leaf == "a_log":
            value = value.unflatten(0, (directions[owner], -1)).transpose(1, 2)
        elif leaf == "d":
            value = value.unflatten(0, (directions[owner], -1))
        translated[name] = value.contiguous()
    return translated


def _fusion(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    _require_names(state, _FUSION_KEY, "fusion")
    return {_rename(key, _FUSION_NAMES): value for key, value in state.items()}


def _require_names(state: Mapping[str, Tensor], pattern: re.Pattern[str], part: Part) -> None:
    """Refuse a part that is empty, or holds keys this kind of network does not have."""
    unexpected = [key for key in state if not pattern.match(key)]
    missing = [] if any(key.endswith(("x_proj_weight", "conv1.weight")) for key in state) else [part]
    if unexpected or missing:
        raise CheckpointMismatchError(
            f"This is no published MambaAD {part}: {len(unexpected)} unexpected keys "
            f"(first: {', '.join(unexpected[:3]) or 'none'}). Choose the file the decoder was published in.",
            decoder="mambaad",
            missing=missing,
            unexpected=unexpected,
        )


def _without_prefix(names: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Only the keys of one part where the whole network came, all of them where the part came alone."""
    own = {key.removeprefix(prefix): value for key, value in names.items() if key.startswith(prefix)}
    return own or dict(names)


def _rename(key: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key
