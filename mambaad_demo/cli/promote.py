"""Commands that decide which version is active: try one on the golden set, promote it, take it back."""

import json
import os
import sys
from collections.abc import Generator
from typing import Annotated, Any, TypeVar

import typer

from mambaad_demo.cli.options import FAILED, Device, DeviceOption, Json, errors_shown, predictor_of
from mambaad_demo.cli.store import open_store
from mambaad_demo.errors import PromotionBlockedError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.settings import Settings
from mambaad_demo.storage.limits import in_force
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.golden_set import GoldenReport
from mambaad_demo.workflow.promotion import Load, Trial, promoting, skipped, trying
from mambaad_demo.workflow.promotion import rollback as take_back

Result = TypeVar("Result")

_ACTOR = "command line"

Category = Annotated[str, typer.Option(help="What the checkpoint calls the product.")]
Product = Annotated[
    str | None, typer.Option(help="Whose golden pictures; default: those named like the category.")
]
Note = Annotated[str, typer.Option(help="What changed, for people.")]
Actor = Annotated[str, typer.Option(help="Who decides.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(golden)
    app.command()(promote)
    app.command()(rollback)


def golden(
    checkpoint: Annotated[str, typer.Argument(metavar="NAME|DIR", help="The version to try.")],
    category: Category,
    product: Product = None,
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Replay the golden set under a version and the active one; exit status 1 where that blocks it."""
    with errors_shown():
        store = open_store()
        trial = _followed(
            trying(
                store,
                in_force(store, predictor_of(checkpoint, device)),
                category=category,
                product=product,
                load=_loader(store, device),
            )
        )
    typer.echo(json.dumps(_trial_json(trial), indent=2) if as_json else _trial_text(trial))
    raise typer.Exit(FAILED if trial.gate.is_blocked else 0)


def promote(
    checkpoint: Annotated[str, typer.Argument(metavar="NAME", help="The version to make active.")],
    category: Category,
    note: Note,
    product: Product = None,
    override_reason: Annotated[
        str, typer.Option(help="Why it shall pass although the golden set speaks against it.")
    ] = "",
    actor: Actor = _ACTOR,
    device: DeviceOption = None,
) -> None:
    """Make a version the active one, if the golden set lets it pass; exit status 1 where it does not."""
    with errors_shown():
        store = open_store()
        load = _loader(store, device)
        steps = promoting(
            store,
            load(checkpoint),
            category=category,
            product=product,
            note=note,
            override_reason=override_reason,
            actor=actor,
            load=load,
        )
        try:
            step = _followed(steps)
        except PromotionBlockedError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(FAILED) from error
    typer.echo(f"{step.checkpoint} is now the active version of {category}")


def rollback(category: Category, note: Note, actor: Actor = _ACTOR, device: DeviceOption = None) -> None:
    """Go back at once to the version that was active before; the golden set is not replayed."""
    with errors_shown():
        store = open_store()
        step = take_back(store, category, note=note, actor=actor, load=_loader(store, device))
        gone = skipped(store, step)
    version = step.checkpoint or "The default checkpoint"
    which = f", since {', '.join(gone)} cannot be used any more" if gone else ""
    typer.echo(f"{version} serves {category} again{which}; the golden set was not replayed")


def _loader(store: Workspace, device: Device | None) -> Load:
    """Checkpoints that may be active, with the limits in force."""
    settings = Settings.from_env(os.environ)
    catalog = Catalog(
        settings.checkpoints,
        versions_root=settings.versions,
        device=device or settings.device,
        kernel=settings.kernel,
        precision=settings.precision,
        allowed_repos=settings.allowed_repos,
    )
    return lambda name: in_force(store, catalog.predictor(name))


def _followed(steps: Generator[Progress | Trial, None, Result]) -> Result:
    """What comes out in the end, with progress and the trial on the way on standard error."""
    with typer.progressbar(length=1000, label="Replaying", file=sys.stderr) as bar:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(step, Trial):
                typer.echo(f"\n{_trial_text(step)}", err=True)
            elif step.total:
                bar.update(1000 * step.done // step.total - bar.pos)


def _trial_json(trial: Trial) -> dict[str, Any]:
    gate = trial.gate
    return {
        "blocked": gate.is_blocked,
        "headline": gate.headline,
        "sentences": gate.sentences,
        "warnings": gate.warnings,
        "notes": trial.notes,
        "new_escapes": [pair.after.name for pair in gate.new_escapes],
        "new_false_rejects": [pair.after.name for pair in gate.new_false_rejects],
        "before": None if trial.before is None else trial.before.to_json(),
        "after": trial.after.to_json(),
    }


def _trial_text(trial: Trial) -> str:
    gate = trial.gate
    reports = [report for report in (trial.before, trial.after) if report is not None]
    return "\n".join(
        [
            gate.headline,
            *gate.sentences,
            *(f"warning: {warning}" for warning in gate.warnings),
            *trial.notes,
            *map(_counts, reports),
            *(f"escape: {pair.after.name}" for pair in gate.escapes),
            *(f"false reject: {pair.after.name}" for pair in gate.pairs if pair.after.is_false_reject),
        ]
    )


def _counts(report: GoldenReport) -> str:
    defects, good = report.known(Finding.DEFECT), report.known(Finding.GOOD)
    return (
        f"{report.checkpoint}: of {defects} defective parts {report.escapes} accepted, {report.doubtful} to "
        f"check; of {good} good parts {report.false_rejects} rejected, {report.good_checked} to check"
    )
