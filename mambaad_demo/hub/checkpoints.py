"""Checkpoints by name: where a name leads, and the functions that load and save one.

Fetching stands in `remote`, verifying in `loading`, writing in `saving`.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from huggingface_hub import snapshot_download

from mambaad_demo.errors import CheckpointNotFoundError, UnknownReleaseError
from mambaad_demo.hub.layout import EMBEDDED_ROOT, FILES, MANIFEST, embedded_names
from mambaad_demo.hub.loading import Checkpoint, load_folder, resolve_device
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.hub.remote import Download, HubReference, fetch_folder, require_allowed
from mambaad_demo.hub.saving import round_to_half, save_checkpoint
from mambaad_demo.models.encoder import Precision

__all__ = [
    "EMBEDDED_ROOT",
    "Checkpoint",
    "embedded_names",
    "load_checkpoint",
    "load_folder",
    "resolve_device",
    "round_to_half",
    "save_checkpoint",
]


def load_checkpoint(
    name: str | Path,
    *,
    device: str = "auto",
    kernel: str = "auto",
    precision: Precision = "float32",
    checkpoints_root: Path | None = None,
    versions_root: Path | None = None,
    allowed_repos: Iterable[str] = (),
    download: Download = snapshot_download,
) -> Checkpoint:
    """Find a checkpoint, verify it and load it.

    Args:
        name: a folder below `checkpoints_root` or `versions_root`, the path of a folder, a release of the
            manifest, or "owner/repo@revision" with a full commit of an allow-listed repository; tried in this
            order.
        device: auto, cpu or cuda.
        kernel: selective-scan backend, see `ops.selective_scan`.
        precision: arithmetic of the encoder, see `models.encoder.Encoder`.
        checkpoints_root: holds embedded checkpoints and the manifest; the repository's own by default.
        versions_root: holds those that were fine-tuned here.
        allowed_repos: repositories allowed besides the manifest's.
        download: `huggingface_hub.snapshot_download` or a stand-in.

    Raises:
        UnknownReleaseError: nothing has this name, or the repository is not allowed.
        CheckpointNotFoundError, HubUnreachableError: a file is missing, or cannot be fetched.
        CheckpointCorruptError, CheckpointMismatchError: the files cannot be trusted or do not fit each other.
        KernelUnavailableError: the kernel asked for cannot run here.
        InputError: the device asked for is not here.
    """
    root = checkpoints_root or EMBEDDED_ROOT
    load = partial(load_folder, device=device, kernel=kernel, precision=precision)
    if str(name) in embedded_names(root):
        return replace(load(root / str(name)), name=str(name))
    if versions_root is not None and str(name) in embedded_names(versions_root):
        return replace(load(versions_root / str(name)), name=str(name))
    if Path(name).is_dir():
        return load(Path(name))
    reference = _reference(str(name), root, allowed_repos)
    folder = fetch_folder(reference, FILES, download=download)
    return replace(load(folder), name=str(name))


def _reference(name: str, root: Path, allowed_repos: Iterable[str]) -> HubReference:
    """The Hub folder behind a release name or "owner/repo@revision"."""
    manifest = read_manifest(root / MANIFEST)
    reference = HubReference.parse(name)
    if reference is not None:
        require_allowed(reference, manifest.repos | frozenset(allowed_repos))
        return reference
    release = manifest.release(name)
    if release.kind == "published":
        raise CheckpointNotFoundError(
            f"{name} is published as a pickled .pth, which is never loaded directly. Import it once: "
            f"'python -m mambaad_demo checkpoints import {name}'."
        )
    if release.kind == "embedded" or release.repo is None:
        raise CheckpointNotFoundError(
            f"The embedded checkpoint {name!r} is not in this copy of the repository. Restore its folder, or "
            "train it."
        )
    if release.revision is None:
        raise UnknownReleaseError(f"Release {name} has no pinned revision yet. {release.status}")
    return HubReference(repo=release.repo, revision=release.revision)
