"""The command that sets limits from good photos, or shows those in force."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from mambaad_demo.cli.options import SOME_REFUSED, DeviceOption, Json, errors_shown, predictor_of
from mambaad_demo.cli.store import open_store
from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.predictor import Predictor, tiles_text
from mambaad_demo.storage.limits import category_name
from mambaad_demo.workflow import calibrating
from mambaad_demo.workflow.batches import Progress
from mambaad_demo.workflow.calibrating import Measured
from mambaad_demo.workflow.limit_overview import Overview, overview, overview_json, standing_limits

_ACTOR = "command line"

Photos = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PHOTOS...", exists=True, help="Good parts: pictures, folders, zip files."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(calibrate)


def calibrate(
    photos: Photos = None,
    category: Annotated[str, typer.Option(help="What the part is called; may be new.")] = "",
    checkpoint: Annotated[str, typer.Option(metavar="NAME|DIR", help="What judges by them.")] = "mambaad",
    reject_rate: Annotated[
        float | None,
        typer.Option(help="Share of good parts to reject at most; default: as in force, for photos 0.005."),
    ] = None,
    check_rate: Annotated[
        float | None,
        typer.Option(help="Share of good parts to check or reject; default: as in force, for photos 0.05."),
    ] = None,
    tiles: Annotated[int | None, typer.Option(help="Tiles along the longer side.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Put them in force; stored results follow.")] = False,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Set limits from photos of good parts at a false-reject rate; without photos, look at those in force."""
    with errors_shown():
        store = open_store()
        name = category_name(category)
        predictor = predictor_of(checkpoint, device)
        predictor = predictor if tiles is None else predictor.tiled(tiles)
        standing = None if photos else standing_limits(store, predictor, name)
        rates = _rates(reject_rate, check_rate, None if standing is None else standing.calibration.rates)
        if photos:
            tried: Measured | None = _measured(predictor, photos, name, rates or DEFAULT_RATES)
        else:
            tried = None if standing is None or rates is None else calibrating.placed(standing, rates)
        refused = () if tried is None else tried.refused
        if save:
            if tried is None:
                raise InputError("There is nothing to save. Name photos of good parts, or rates.")
            calibrating.outcome(calibrating.put_in_force(store, predictor, tried, actor=_ACTOR, note=note))
        seen = overview(store, predictor, name, None if save else tried)
    if as_json:
        listed = [{"file": file, "error": reason} for file, reason in refused]
        typer.echo(json.dumps({**overview_json(seen), "refused": listed}, indent=2))
    else:
        _print(seen)
    for sentence in () if tried is None else tried.notes:
        typer.echo(sentence, err=True)
    for file, reason in refused:
        typer.echo(f"left out {file}: {reason}", err=True)
    raise typer.Exit(SOME_REFUSED if refused else 0)


def _rates(reject: float | None, check: float | None, standing: Rates | None) -> Rates | None:
    """The rates that are asked for; one that is not given is that of the standing limits, or for photos the
    default one, moved as far as the other asks for."""
    if reject is None and check is None:
        return None
    if standing is None:
        rejected = min(DEFAULT_RATES.reject, check or 1.0) if reject is None else reject
        checked = max(DEFAULT_RATES.check, rejected) if check is None else check
    else:
        rejected = standing.reject if reject is None else reject
        checked = standing.check if check is None else check
    if standing is not None and None in (reject, check) and 0 < checked < rejected < 1:
        raise InputError(
            f"In force are rates of {standing.reject:g} to reject and {standing.check:g} to check, and the "
            "one you gave does not fit the other. Give both."
        )
    if not 0 < rejected <= checked < 1:
        raise InputError("Rates lie between 0 and 1, and no more parts are rejected than checked.")
    return Rates(check=checked, reject=rejected)


def _measured(predictor: Predictor, photos: list[Path], category: str, rates: Rates) -> Measured:
    """Measure with a bar on standard error."""
    steps = calibrating.measure_photos(predictor, photos, category, rates=rates)
    first = next(steps)
    with typer.progressbar(
        length=first.total if isinstance(first, Progress) else 0, label="Measuring", file=sys.stderr
    ) as bar:
        return calibrating.outcome(_followed(steps, bar.update))


def _followed(
    steps: Iterator[Progress | Measured], advance: Callable[[int], None]
) -> Iterator[Progress | Measured]:
    done = 0
    for step in steps:
        if isinstance(step, Progress):
            advance(step.done - done)
            done = step.done
        yield step


def _print(seen: Overview) -> None:
    """The overview in a few lines."""
    known, promise = seen.calibration, seen.promise
    typer.echo(f"{seen.category} under {seen.checkpoint}, {tiles_text(seen.tiles)}")
    if known is None:
        typer.echo("No limits yet: every part is to be checked. Name photos of good parts.")
        return
    where = "in force" if seen.is_in_force else "not saved"
    typer.echo(
        f"check from {known.check:.4g}, reject from {known.reject:.4g} ({where}), {known.images} good parts"
    )
    if promise is not None:
        typer.echo(
            f"aims at {promise.reject:.2%} false rejects; {promise.photos} good parts without a reject can "
            f"show no better than < {promise.hidden:.1%}; ±1 % takes {promise.needed}, {promise.missing} more"
        )
    for name, share in (
        ("good parts rejected", seen.effect.photos.share(Verdict.REJECT)),
        ("good parts to check", seen.effect.photos.share(Verdict.CHECK)),
        ("known defects accepted", seen.effect.labeled_defects.share(Verdict.ACCEPT)),
    ):
        if share is not None:
            typer.echo(f"{name}: {share.count} of {share.total} ({share.low:.1%} to {share.high:.1%})")
