"""What is known of one checkpoint: what it is, where it comes from, and whether it passed its self-test."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mambaad_demo.errors import DemoError
from mambaad_demo.hub.checkpoints import Checkpoint, load_checkpoint
from mambaad_demo.hub.layout import CARD, GOLDEN
from mambaad_demo.hub.loading import read_records
from mambaad_demo.hub.manifest import FULL_REVISION, Release
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.hub.self_test import SelfTest, run_self_test
from mambaad_demo.models.detector import Detector
from mambaad_demo.models.encoder import Precision
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog

OWN_FIGURES = "measured when it was fine-tuned here; see its model card"

_MOST_OF_A_CARD = 200_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointHealth:
    """One checkpoint; once it is loaded it has been replayed on the live device."""

    name: str
    passed: bool | None
    """Whether its last self-test passed; None where it has not been loaded yet."""
    decoder: str | None = None
    encoder: str | None = None
    categories: tuple[str, ...] = ()
    calibrated: tuple[str, ...] = ()
    """Categories that have limits."""
    sha256: str | None = None
    """Of its weights."""
    largest_difference: float | None = None
    tolerance: float | None = None
    error: str | None = None
    """Why it did not pass."""
    own: bool = False
    """Whether it was fine-tuned here."""
    loaded: bool = False
    license: str | None = None
    source_of_numbers: str | None = None
    """Where quoted figures come from."""
    quoted: dict[str, float | str] | None = None
    """What the authors report, in per cent, and the `source` of it; not measured here."""
    revision: str | None = None
    """Commit of its Hub repository, where it comes from one."""
    weights_mb: float | None = None
    """Memory of weights and buffers in megabytes, while it is loaded."""


def examine_checkpoint(
    name: str,
    checkpoints_root: Path,
    *,
    versions_root: Path | None = None,
    device: str = "auto",
    kernel: str = "auto",
    precision: Precision = "float32",
    allowed_repos: Iterable[str] = (),
    release: Release | None = None,
) -> CheckpointHealth:
    """Load one checkpoint with all its checks; a refusal becomes the result.

    Args:
        release: its entry in the manifest.
    """
    try:
        checkpoint = load_checkpoint(
            name,
            device=device,
            kernel=kernel,
            precision=precision,
            checkpoints_root=checkpoints_root,
            versions_root=versions_root,
            allowed_repos=allowed_repos,
        )
    except DemoError as error:
        return CheckpointHealth(name=name, passed=False, error=str(error))
    own = versions_root is not None and checkpoint.folder.parent == versions_root
    return of_loaded(checkpoint, release, own=own)


def of_catalog(catalog: Catalog, name: str, release: Release | None) -> CheckpointHealth:
    """A checkpoint of a running server, which is not loaded for the question.

    Raises:
        UnknownReleaseError: it is gone.
    """
    own, predictor = name in catalog.own_names(), catalog.loaded(name)
    if predictor is not None:
        return of_loaded(predictor.checkpoint, release, own=own)
    if name in catalog.release_names():
        if release is None:
            return CheckpointHealth(name=name, passed=None, revision=_revision(name, release))
        return CheckpointHealth(
            name=name,
            passed=None,
            decoder=release.decoder,
            encoder=release.encoder,
            categories=release.categories,
            license=release.license,
            source_of_numbers=release.source_of_numbers or None,
            quoted=_quoted(release),
            revision=release.revision,
        )
    try:
        config, calibration = read_records(catalog.folder(name))
    except DemoError as error:
        return CheckpointHealth(name=name, passed=False, error=str(error), own=own)
    return CheckpointHealth(
        name=name,
        passed=None,
        decoder=str(config.detector.get("decoder")),
        encoder=str(config.detector.get("encoder")),
        categories=config.categories,
        calibrated=tuple(calibration.categories),
        sha256=None if config.sha256 is None else config.sha256.model,
        own=own,
        license=config.license,
        source_of_numbers=_source_of_numbers(config, release, own=own),
        quoted=_quoted(config),
        revision=None if release is None else release.revision,
    )


def of_loaded(checkpoint: Checkpoint, release: Release | None, *, own: bool) -> CheckpointHealth:
    """A loaded checkpoint and the self-test it has passed."""
    return CheckpointHealth(
        name=checkpoint.name,
        passed=checkpoint.self_test.passed,
        decoder=checkpoint.detector.config.decoder,
        encoder=checkpoint.detector.config.encoder,
        categories=checkpoint.config.categories,
        calibrated=tuple(checkpoint.calibration.categories),
        sha256=checkpoint.sha256,
        largest_difference=checkpoint.self_test.largest_difference,
        tolerance=checkpoint.self_test.tolerance,
        own=own,
        loaded=True,
        license=checkpoint.config.license,
        source_of_numbers=_source_of_numbers(checkpoint.config, release, own=own),
        quoted=_quoted(checkpoint.config),
        revision=_revision(checkpoint.name, release),
        weights_mb=round(_bytes(checkpoint.detector) / 1e6, 1),
    )


def test_again(catalog: Catalog, name: str) -> SelfTest:
    """Replay the stored inputs of a checkpoint, which is loaded first where it is not.

    One that fails is let go of, so that the next question loads it anew, or is refused.

    Raises:
        UnknownReleaseError: it is gone.
        CheckpointError: it cannot be loaded, or its stored inputs cannot be read.
    """
    before = catalog.loaded(name)
    checkpoint = catalog.predictor(name).checkpoint
    if before is None:
        return checkpoint.self_test
    result = model_thread.run(run_self_test, checkpoint.detector, catalog.folder(name) / GOLDEN)
    if not result.passed:
        catalog.forget(name)
    return result


def card_of(catalog: Catalog, name: str) -> str:
    """The model card as Markdown, without its front matter; empty where there is none, or none yet.

    Raises:
        UnknownReleaseError: the checkpoint is gone.
    """
    if name in catalog.release_names() and catalog.loaded(name) is None:
        return ""
    try:
        with (catalog.folder(name) / CARD).open("rb") as file:
            text = file.read(_MOST_OF_A_CARD).decode(errors="replace")
    except OSError:
        return ""
    _, mark, rest = text.removeprefix("---\n").partition("\n---\n")
    return rest.strip() if text.startswith("---\n") and mark else text.strip()


def _source_of_numbers(config: CheckpointConfig, release: Release | None, *, own: bool) -> str | None:
    if own:
        return OWN_FIGURES
    return config.source_of_numbers or (None if release is None else release.source_of_numbers or None)


def _revision(name: str, release: Release | None) -> str | None:
    """The commit, which the operator may have named in the place of the manifest."""
    if release is not None:
        return release.revision
    commit = name.rpartition("@")[2]
    return commit if FULL_REVISION.fullmatch(commit) else None


def _quoted(told: CheckpointConfig | Release) -> dict[str, float | str] | None:
    return None if told.quoted is None else told.quoted.model_dump()


def _bytes(detector: Detector) -> int:
    return sum(tensor.nbytes for tensor in (*detector.parameters(), *detector.buffers()))
