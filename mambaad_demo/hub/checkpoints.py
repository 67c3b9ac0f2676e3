"""Checkpoints by name: where a name leads, and the functions that load and save one.

Fetching stands in `remote`, verifying in `loading`, writing in `saving`.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from huggingface_hub import snapshot_download

from mambaad_demo.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    UnknownReleaseError,
)
from mambaad_demo.hub.layout import EMBEDDED_ROOT, FILES, MANIFEST, embedded_names
from mambaad_demo.hub.loading import Checkpoint, load_folder, resolve_device
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.hub.progress import Report
from mambaad_demo.hub.remote import Download, HubReference, discard_damaged, fetch_folder, require_allowed
from mambaad_demo.hub.saving import round_to_half, save_checkpoint
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.models.encoder import Precision

__all__ = [
    "EMBEDDED_ROOT",
    "Checkpoint",
    "embedded_names",
    "fetch_checkpoint",
    "load_checkpoint",
    "load_folder",
    "local_folder",
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
            order. A folder below `checkpoints_root` must be what the manifest there says of it, if anything.
        device: auto, cpu or cuda.
        kernel: selective-scan backend, see `ops.selective_scan`.
        precision: arithmetic of the encoder, see `models.encoder.Encoder`.
        checkpoints_root: holds embedded checkpoints and the manifest; the repository's own by default.
        versions_root: holds those that were fine-tuned here.
        allowed_repos: repositories allowed besides the manifest's, or one commit of one as
            "owner/repo@revision".
        download: `huggingface_hub.snapshot_download` or a stand-in.

    Raises:
        UnknownReleaseError: nothing has this name, or the repository is not allowed.
        CheckpointNotFoundError, HubUnreachableError: a file is missing, or cannot be fetched.
        CheckpointCorruptError, CheckpointMismatchError: the files cannot be trusted or do not fit each other.
        KernelUnavailableError: the kernel asked for cannot run here.
        InputError: the device asked for is not here.
    """
    load = partial(load_folder, device=device, kernel=kernel, precision=precision)
    folder = local_folder(name, checkpoints_root=checkpoints_root, versions_root=versions_root)
    if folder is not None:
        if folder.parent == (checkpoints_root or EMBEDDED_ROOT):
            _require_listed(folder)
        return load(folder) if folder == Path(name) else replace(load(folder), name=str(name))
    folder = fetch_checkpoint(
        str(name), checkpoints_root=checkpoints_root, allowed_repos=allowed_repos, download=download
    )
    try:
        return replace(load(folder), name=str(name))
    except (CheckpointCorruptError, CheckpointMismatchError) as error:
        damaged = discard_damaged(folder, FILES)
        if not damaged:
            raise
        raise CheckpointCorruptError(
            f"{', '.join(damaged)} of {name} is not what the Hub announced and was discarded. Load it again: "
            "it is then fetched anew."
        ) from error


def local_folder(
    name: str | Path, *, checkpoints_root: Path | None = None, versions_root: Path | None = None
) -> Path | None:
    """The folder on this machine that a name means, None where there is none; arguments as for
    `load_checkpoint`."""
    for root in (checkpoints_root or EMBEDDED_ROOT, versions_root):
        if root is not None and str(name) in embedded_names(root):
            return root / str(name)
    return Path(name) if Path(name).is_dir() else None


def fetch_checkpoint(
    name: str,
    *,
    checkpoints_root: Path | None = None,
    allowed_repos: Iterable[str] = (),
    download: Download = snapshot_download,
    report: Report | None = None,
) -> Path:
    """Folder in the cache of a release or "owner/repo@revision", fetched first if it is not there yet; not
    verified. Arguments and errors as for `load_checkpoint` and `remote.fetch_folder`."""
    reference = _reference(name, checkpoints_root or EMBEDDED_ROOT, allowed_repos)
    return fetch_folder(reference, FILES, download=download, report=report)


def _require_listed(folder: Path) -> None:
    """Refuse an embedded checkpoint whose files are not those that the manifest beside it lists."""
    for release in read_manifest(folder.parent / MANIFEST).releases:
        if release.kind != "embedded" or release.name != folder.name:
            continue
        for file in release.files:
            if not (folder / file.path).is_file():
                raise CheckpointNotFoundError(
                    f"The embedded checkpoint {folder.name!r} lacks {file.path}. Restore its folder."
                )
            found = file_sha256(folder / file.path)
            if file.sha256 not in (None, found):
                raise CheckpointCorruptError(
                    f"{file.path} of the embedded checkpoint {folder.name!r} has SHA-256 {found[:12]}…, "
                    f"{MANIFEST} expects {str(file.sha256)[:12]}…. Restore the folder; if it was trained "
                    f"anew, write its new hashes into {MANIFEST}."
                )


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
    return HubReference(repo=release.repo, revision=release.revision, pins=release.files)
