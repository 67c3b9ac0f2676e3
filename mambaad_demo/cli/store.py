"""Commands of stored work: batches, export and import of labels, backup and restore."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import make_url

from mambaad_demo.cli.options import SOME_REFUSED, DeviceOption, Json, errors_shown, predictor_of
from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.settings import Settings
from mambaad_demo.storage import jobs
from mambaad_demo.storage.backup import BackupFacts, back_up
from mambaad_demo.storage.backup import restore as restore_store
from mambaad_demo.storage.limits import in_force
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow import result_pack
from mambaad_demo.workflow.batches import BatchSpec, new_batch, pictures_of, require_possible, run_batch
from mambaad_demo.workflow.exchange import importing
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind
from mambaad_demo.workflow.exchange.outgoing import LeftOut
from mambaad_demo.workflow.folder_labels import read_folder_labels, require_folder_labels

TICKET = "batch.json"
"""In the folder of a batch: which job of the store it is."""
_ACTOR = "command line"

Inputs = Annotated[
    list[Path], typer.Argument(metavar="INPUT...", exists=True, help="Pictures, folders, zip files.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(batch)
    app.command("export-labels")(export_labels)
    app.command("import-labels")(import_labels)
    app.command()(backup)
    app.command()(restore)


def batch(
    inputs: Inputs,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for table, JSON, overlays, settings and hashes.")
    ],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last call ended.")] = False,
    checkpoint: Annotated[str, typer.Option(metavar="NAME|DIR", help="What to judge with.")] = "mambaad",
    category: Annotated[str | None, typer.Option(help="Limits to judge by; the nearest if left out.")] = None,
    product: Annotated[str | None, typer.Option(help="What the parts are called in the store.")] = None,
    tiles: Annotated[int | None, typer.Option(help="Tiles along the longer side.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Folders are labels, as in MVTec AD.")] = False,
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Judge many pictures; each is stored as soon as it is done, and `--resume` repeats none of them."""
    with errors_shown():
        _require_apart(out, inputs)
        store = open_store()
        pictures = pictures_of(inputs)
        if resume:
            job_id = _resumed(store, out, inputs, pictures)
            spec = BatchSpec.model_validate(jobs.job(store, job_id).spec)
            predictor = in_force(store, predictor_of(spec.checkpoint, device))
        else:
            spec = BatchSpec(
                checkpoint=checkpoint, category=category, product=product, tiles=tiles, has_labels=labels
            )
            predictor = in_force(store, predictor_of(spec.checkpoint, device))
            require_possible(spec, predictor)
            require_folder_labels(spec, inputs)
            job_id = _begin(store, spec, out, inputs)
        finish = partial(read_folder_labels, store, spec, inputs)
        with (
            typer.progressbar(length=len(pictures), label="Judging", file=sys.stderr) as bar,
            closing(run_batch(store, job_id, predictor, pictures, finish=finish)) as steps,
        ):
            for step in steps:
                bar.update(step.done - bar.pos)
        result_pack.write_folder(store, job_id, out)
        facts = jobs.job(store, job_id)
    if as_json:
        typer.echo((out / "results.json").read_text(encoding="utf-8"), nl=False)
    else:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(facts.verdicts.items()))
        typer.echo(f"{facts.done} pictures: {counts or 'none judged'}, {facts.refused} refused")
    raise typer.Exit(SOME_REFUSED if facts.refused else 0)


def export_labels(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or a zip file.")],
    kind: Annotated[ExportKind, typer.Option("--format", help="What other tools call it.")] = ExportKind.CSV,
    product: Annotated[str | None, typer.Option(help="Default: all.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Default: what most of them say.")] = None,
) -> None:
    """Write labels, masks and pictures for other tools."""
    with errors_shown():
        facts = export(open_store(), out, kind, product=product, reviewer=reviewer)
    typer.echo(f"{facts.labels} labels, {facts.pictures} pictures, {facts.masks} masks in {out.name}")
    say_left_out(facts.notes, facts.left_out)


def import_labels(
    source: Annotated[Path, typer.Argument(exists=True, help="A folder, zip, CSV or JSON file.")],
    kind: Annotated[ImportKind, typer.Option("--format", help="What other tools call it.")],
    product: Annotated[str | None, typer.Option(help="Of pictures that are new here.")] = None,
    reviewer: Annotated[str, typer.Option(help="In whose name.")] = "import",
) -> None:
    """Record labels and masks from other tools; pictures that come along are taken in."""
    with errors_shown():
        facts = importing.import_labels(open_store(), source, kind, product=product, reviewer=reviewer)
    typer.echo(
        f"{facts.decided} labels recorded, {facts.unchanged} known before, {facts.pictures} new pictures"
    )
    say_left_out((), facts.left_out)
    raise typer.Exit(SOME_REFUSED if facts.left_out else 0)


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new zip file.")],
) -> None:
    """Write the whole store, rows and files, to one file; people may go on working meanwhile."""
    with errors_shown():
        facts = back_up(open_store(), target)
    typer.echo(f"{_held(facts)} in {target.name}")
    if facts.missing:
        typer.echo(f"{len(facts.missing)} files of the store are missing or damaged", err=True)
        raise typer.Exit(SOME_REFUSED)


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="What `backup` wrote.")],
) -> None:
    """Fill an empty store from a backup."""
    with errors_shown():
        settings = Settings.from_env(os.environ)
        facts = restore_store(settings.database_url, settings.files_url, source)
    typer.echo(f"{_held(facts)} restored")


def open_store() -> Workspace:
    """The store that the settings name."""
    settings = Settings.from_env(os.environ)
    return Workspace.open(settings.database_url, settings.files_url)


def with_saved_limits(predictor: Predictor) -> Predictor:
    """The predictor with the limits that were saved here; no store is made where there is none."""
    database = make_url(Settings.from_env(os.environ).database_url)
    if database.get_backend_name() == "sqlite" and not Path(database.database or "").is_file():
        return predictor
    return in_force(open_store(), predictor)


def _held(facts: BackupFacts) -> str:
    return f"{sum(facts.rows.values())} rows and {sum(facts.files.values())} files"


def say_left_out(notes: Iterable[str], left_out: Iterable[LeftOut]) -> None:
    """What a person should know, on standard error."""
    for note in notes:
        typer.echo(note, err=True)
    for one in left_out:
        typer.echo(f"left out {one.name}: {one.reason}", err=True)


def _require_apart(out: Path, inputs: list[Path]) -> None:
    """Refuse results among the pictures, where the next call would take overlays for parts."""
    if any(path.is_dir() and out.resolve().is_relative_to(path.resolve()) for path in inputs):
        raise InputError(f"{out.name!r} lies among the pictures. Choose another folder for the results.")


def _begin(store: Workspace, spec: BatchSpec, out: Path, inputs: list[Path]) -> str:
    """A new batch whose ticket lies in its folder."""
    ticket = out / TICKET
    if ticket.exists():
        raise InputError(f"{out.name!r} holds a batch already. Add --resume, or choose another folder.")
    name = inputs[0].name if len(inputs) == 1 else f"{len(inputs)} inputs"
    job_id = new_batch(store, spec, name=name, actor=_ACTOR)
    out.mkdir(parents=True, exist_ok=True)
    content = {"job": job_id, "inputs": _names(inputs)}
    ticket.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return job_id


def _resumed(store: Workspace, out: Path, inputs: list[Path], pictures: Sequence[Picture]) -> str:
    """The job of the batch that lies in a folder, if these are its inputs: by name, whatever they hold now.

    Raises:
        InputError: there is no batch, or one of other pictures.
    """
    job_id, names = _ticket(out)
    done = jobs.done_names(store, job_id)
    if names not in (None, _names(inputs)) or not done <= {picture.name for picture in pictures}:
        began = "" if names is None else f" It began with {', '.join(map(repr, names))}."
        raise InputError(
            f"{out.name!r} holds a batch of other pictures.{began} Give the same INPUT as then, or choose "
            "another folder for a new batch."
        )
    return job_id


def _names(inputs: list[Path]) -> list[str]:
    return [path.resolve().name for path in inputs]


def _ticket(out: Path) -> tuple[str, list[str] | None]:
    """The job of the batch that lies in a folder, and what its inputs were called, if that is known."""
    try:
        content: Any = json.loads((out / TICKET).read_text(encoding="utf-8"))
        names = content.get("inputs")
        return str(content["job"]), None if names is None else [str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{out.name!r} holds no batch that could be resumed. Leave --resume out.") from error
