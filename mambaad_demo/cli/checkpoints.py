"""Commands of checkpoints: list, verify, import, and to and from the Hub."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mambaad_demo.cli.options import FAILED, DeviceOption, Json, errors_shown
from mambaad_demo.cli.plans import DryRun, Public, Repo, carry_out
from mambaad_demo.errors import InputError, UnknownReleaseError
from mambaad_demo.hub.card_metrics import Metrics, read_metrics
from mambaad_demo.hub.checkpoints import Checkpoint, load_checkpoint, load_folder, local_folder
from mambaad_demo.hub.layout import MANIFEST, embedded_names
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.hub.published import PublishedOptions, import_published, import_release
from mambaad_demo.hub.publishing import PushPlan, card_plan, checkpoint_plan
from mambaad_demo.hub.saving import copy_checkpoint
from mambaad_demo.pipeline.checkpoint_health import CheckpointHealth, examine_checkpoint
from mambaad_demo.settings import Settings

app = typer.Typer(help="List, verify, import, fetch and publish checkpoints.", no_args_is_help=True)

MetricsOption = Annotated[
    Path | None,
    typer.Option("--metrics", exists=True, help="What train.evaluate --json wrote, for the card."),
]
Own = Annotated[str, typer.Argument(metavar="NAME|DIR", help="A checkpoint on this machine.")]


@app.command("list")
def list_checkpoints(as_json: Json = False) -> None:
    """List the checkpoints here and the releases of the manifest."""
    with errors_shown():
        root = Settings.from_env(os.environ).checkpoints
        releases = {release.name: release for release in read_manifest(root / MANIFEST).releases}
    present = embedded_names(root)
    rows: list[dict[str, Any]] = [
        {"name": name, "present": name in present, "kind": "folder"}
        | (releases[name].model_dump(mode="json") if name in releases else {})
        for name in dict.fromkeys((*present, *releases))
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        place = (
            "here" if row["present"] else f"not here; {row['kind']}, {row.get('repo') or 'this repository'}"
        )
        typer.echo(f"{row['name']:<18} {place}. {row.get('status', '')}".rstrip())


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|DIR...]", help="Default: all.")] = None,
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Load checkpoints with every check, self-test included."""
    with errors_shown():
        settings = Settings.from_env(os.environ)
        results = [
            examine_checkpoint(
                name,
                settings.checkpoints,
                device=device or settings.device,
                kernel=settings.kernel,
                precision=settings.precision,
                allowed_repos=settings.allowed_repos,
            )
            for name in names or embedded_names(settings.checkpoints)
        ]
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=2))
    else:
        typer.echo("\n".join(checkpoint_line(result) for result in results) or "There are no checkpoints.")
    raise typer.Exit(0 if results and all(result.passed for result in results) else FAILED)


@app.command("import")
def import_checkpoint(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE|REPO|FILE", help="A release or owner/name of the manifest, or a .pth file."
        ),
    ],
    which: Annotated[
        str | None, typer.Argument(metavar="PATH|RELEASE", help="Which file of the repository.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: the source's name beside the others.")] = None,
    categories: Annotated[str, typer.Option(help="What a file was trained on, split at commas.")] = "",
) -> None:
    """Turn published weights into a checkpoint folder; it has no limits until it is calibrated."""
    with errors_shown():
        root = Settings.from_env(os.environ).checkpoints
        if out is not None:
            _require_new(out)
        if Path(source).is_file():
            if which is not None:
                raise InputError(f"{Path(source).name} is a file, not a repository. Leave {which!r} out.")
            folder = out or root / Path(source).stem
            _require_new(folder)
            trained_on = tuple(name.strip() for name in categories.split(",") if name.strip())
            import_published(Path(source), folder, PublishedOptions(name=folder.name, categories=trained_on))
        else:
            release = read_manifest(root / MANIFEST).published(source, which)
            folder = out or root / release.name
            _require_new(folder)
            release = import_release(release, folder)
            typer.echo(f"Pin in {MANIFEST}: revision {release.revision}, sha256 {release.files[0].sha256}")
    typer.echo(f"Imported as {folder.name}. Calibrate it with good images before you trust a verdict.")


@app.command()
def pull(
    source: Annotated[
        str, typer.Argument(metavar="NAME|owner/repo@REVISION", help="A release, or a full commit.")
    ],
    out: Annotated[Path | None, typer.Option(help="Copy it into this new folder.")] = None,
) -> None:
    """Fetch a checkpoint of an allowed repository, and load it with every check, self-test included."""
    with errors_shown():
        if out is not None and out.exists():
            raise InputError(f"{out.name!r} exists already. Name a new folder; nothing was fetched.")
        settings = Settings.from_env(os.environ)
        loaded = load_checkpoint(
            source,
            device=settings.device,
            kernel=settings.kernel,
            precision=settings.precision,
            checkpoints_root=settings.checkpoints,
            versions_root=settings.versions,
            allowed_repos=settings.allowed_repos,
        )
        if out is not None:
            copy_checkpoint(loaded.folder, out)
    difference, allowed = loaded.self_test.largest_difference, loaded.self_test.tolerance
    typer.echo(
        f"{loaded.config.name}: self-test passed, largest difference {difference:.2g} of {allowed:g} allowed"
    )
    typer.echo(loaded.folder if out is None else out)


@app.command()
def push(
    checkpoint: Own,
    repo: Repo,
    public: Public = False,
    dry_run: DryRun = False,
    message: Annotated[str, typer.Option(help="Of the commit; default: the checkpoint's name.")] = "",
    metrics: MetricsOption = None,
) -> None:
    """Send a checkpoint to a repository of the Hub, in one commit, with its card written anew."""
    with errors_shown():
        measured = None if metrics is None else read_metrics(metrics)
        plan = checkpoint_plan(
            _verified(checkpoint), repo, private=not public, message=message, metrics=measured
        )
        _carry_out(plan, measured, dry_run=dry_run)


@app.command("publish-card")
def publish_card(checkpoint: Own, repo: Repo, dry_run: DryRun = False, metrics: MetricsOption = None) -> None:
    """Renew the card of a checkpoint in a repository that holds its weights."""
    with errors_shown():
        measured = None if metrics is None else read_metrics(metrics)
        plan = card_plan(_verified(checkpoint), repo, metrics=measured)
        _carry_out(plan, measured, dry_run=dry_run)


def _require_new(folder: Path) -> None:
    """Refuse to import over what is there."""
    if folder.exists():
        raise InputError(f"{folder.name!r} exists. Name another folder with --out; nothing was changed.")


def _carry_out(plan: PushPlan, metrics: Metrics | None, *, dry_run: bool) -> None:
    if metrics is None:
        typer.echo("The card tells no metrics: measure them with train.evaluate and add --metrics.", err=True)
    carry_out(plan, dry_run=dry_run)


def _verified(name: str) -> Checkpoint:
    """A checkpoint of this machine whose files have passed every check."""
    settings = Settings.from_env(os.environ)
    folder = local_folder(name, checkpoints_root=settings.checkpoints, versions_root=settings.versions)
    if folder is None:
        known = ", ".join(embedded_names(settings.checkpoints) + embedded_names(settings.versions)) or "none"
        raise UnknownReleaseError(
            f"There is no checkpoint {name!r} here. Name a folder, or one of these: {known}."
        )
    return load_folder(folder, device=settings.device, kernel=settings.kernel, precision=settings.precision)


def checkpoint_line(checkpoint: CheckpointHealth) -> str:
    """What was found, in one line."""
    if not checkpoint.passed:
        return f"checkpoint {checkpoint.name}: FAILED. {checkpoint.error}"
    return (
        f"checkpoint {checkpoint.name}: self-test passed, largest difference "
        f"{checkpoint.largest_difference:.2g} of {checkpoint.tolerance:g} allowed; {checkpoint.decoder} over "
        f"{checkpoint.encoder}, {len(checkpoint.categories)} categories, {len(checkpoint.calibrated)} "
        "calibrated"
    )
