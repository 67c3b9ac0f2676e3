"""Published `.pth` weights → our checkpoint folder: read without unpickling code, translated, checked, saved.

The only place that opens a pickle, with `weights_only=True`, and only when a person asks for the import. What
the keys mean is known to `models.state_dicts`.
"""

import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from torch import Tensor

from mambaad_demo.errors import CheckpointCorruptError, CheckpointMismatchError
from mambaad_demo.hub.cached import require_pinned
from mambaad_demo.hub.manifest import Release, ReleaseFile
from mambaad_demo.hub.remote import Download, fetch_published, list_commits, pinned
from mambaad_demo.hub.saving import require_writable, save_checkpoint
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig, QuotedMetrics
from mambaad_demo.hub.self_test import pattern_images
from mambaad_demo.hub.weights import file_sha256, require_finite, require_match
from mambaad_demo.models.detector import Detector, DetectorConfig, build_detector
from mambaad_demo.models.state_dicts import from_published

_UNREADABLE = (  # what torch raises, depending on where a file is cut or scribbled over
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, OverflowError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
)
_BLOCK = re.compile(r"decoder\.stages\.(?P<stage>\d+)\.layers\.\d+\.blocks\.\d+\.(?P<leaf>[\w.]+)")
_BOTTLENECK = re.compile(r"fusion\.bottleneck\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedOptions:
    """What a published file does not say about itself; the defaults are those of the MambaAD release."""

    name: str
    decoder: str = "mambaad"
    encoder: str = "resnet34.bt_in1k"
    input_side: int = 256
    path: str = "hilbert"
    categories: tuple[str, ...] = ()
    license: str = "apache-2.0"
    source: str = "a local file"
    """Repository and commit, for the model card."""
    quoted: QuotedMetrics | None = None
    source_of_numbers: str = ""


def import_published(weights: Path, folder: Path, options: PublishedOptions) -> CheckpointConfig:
    """Write a checkpoint folder from a published file; it has no limits until it is calibrated.

    Raises:
        CheckpointCorruptError: the file is no state dict, or holds NaN or more than tensors.
        CheckpointMismatchError: its tensors do not make the network the options describe.
    """
    require_writable(folder, options.name)
    published = read_published(weights)
    try:
        state = from_published(options.decoder, published, part="detector")
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise CheckpointMismatchError(
            f"{weights.name} has the names of a {options.decoder} checkpoint, but tensors of other shapes or "
            "too few of them. Download it again.",
            decoder=options.decoder,
        ) from error
    detector = _detector(state, options, file=weights.name)
    config = CheckpointConfig(
        name=options.name,
        detector={},
        resize="square",  # the authors resize without keeping the aspect ratio
        categories=options.categories,
        license=options.license,
        quoted=options.quoted,
        source_of_numbers=options.source_of_numbers,
        training={
            "imported_from": options.source,
            "file": weights.name,
            "sha256": file_sha256(weights),
            "trained_by": "the authors of the published weights; not retrained here",
        },
    )
    golden = pattern_images(detector.side)
    save_checkpoint(folder, detector, config, CalibrationFile(), golden)
    return config


def import_release(
    release: Release,
    folder: Path,
    *,
    download: Download = hf_hub_download,
    commits: Callable[[str], Iterable[str]] = list_commits,
) -> Release:
    """Fetch and import a published release; the result carries the revision and hash to pin in the manifest.

    Raises:
        CheckpointNotFoundError, HubUnreachableError: it cannot be fetched.
        CheckpointCorruptError, CheckpointMismatchError: it is not the pinned file, or not what it should be.
    """
    release = pinned(release, commits=commits)
    weights = fetch_published(release, download=download)
    pinned_file = release.files[0]
    found = require_pinned(weights, pinned_file, repo=str(release.repo), revision=str(release.revision))
    import_published(
        weights,
        folder,
        PublishedOptions(
            name=release.name,
            decoder=release.decoder,
            encoder=release.encoder,
            input_side=release.input_side,
            categories=release.categories,
            license=release.license,
            source=f"{release.repo}@{release.revision}",
            quoted=release.quoted,
            source_of_numbers=release.source_of_numbers,
        ),
    )
    return release.model_copy(update={"files": (ReleaseFile(path=pinned_file.path, sha256=found),)})


def read_published(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.pth` file, plain or wrapped as `{"net": …}`.

    Raises:
        CheckpointCorruptError: it cannot be read without running code, or is no state dict.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointCorruptError(
            f"{path.name} cannot be read as plain weights. Download it again; files that need code to load "
            "are "
            "refused."
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("net"), Mapping):
        content = content["net"]
    is_state = isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not is_state or not content:
        raise CheckpointCorruptError(f"{path.name} holds no state dict. Choose the file with the weights.")
    return dict(content)


def _detector(state: Mapping[str, Tensor], options: PublishedOptions, *, file: str) -> Detector:
    owner = f"decoder {options.decoder!r} over {options.encoder}"
    try:
        config = DetectorConfig(
            decoder=options.decoder,
            decoder_options={**decoder_options(state), "path": options.path},
            encoder=options.encoder,
            encoder_weights="checkpoint",
            fusion_blocks=1
            + max((int(match[1]) for match in map(_BOTTLENECK.match, state) if match), default=0),
            input_side=options.input_side,
        )
        detector = build_detector(config)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointMismatchError(
            f"{file} does not make {owner}: {error}", decoder=options.decoder
        ) from error
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    require_match(shapes, detector.state_dict(), file=file, owner=owner)
    require_finite(state, file=file)
    detector.load_state_dict(dict(state))
    return detector


def decoder_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Widths, depths, directions and state size of a decoder, read off the shapes of its tensors.

    Raises:
        ValueError: no scan blocks are among them.
    """
    found = [(match, tensor) for name, tensor in state.items() if (match := _BLOCK.fullmatch(name))]
    widths = {int(match["stage"]): len(tensor) for match, tensor in found if match["leaf"] == "norm.weight"}
    decays = [(int(match["stage"]), tensor) for match, tensor in found if match["leaf"] == "a_log"]
    if not widths or not decays:
        raise ValueError("it holds no scan blocks")
    directions, states, _ = decays[0][1].shape
    return {
        "dims": tuple(widths[stage] for stage in sorted(widths)),
        "depths": tuple(sum(owner == stage for owner, _ in decays) for stage in sorted(widths)),
        "directions": directions,
        "state_dim": states,
    }
