"""Commands of stored work: batches, export and import of labels, backup and restore."""

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from mambaad_demo.cli.options import SOME_REFUSED, DeviceOption, Json, errors_shown, predictor_of
from mambaad_demo.errors import InputError
from mambaad_demo.settings import Settings
from mambaad_demo.storage import jobs
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow import result_pack
from mambaad_demo.workflow.batches import BatchSpec, new_batch, pictures_of, run_batch

TICKET = "batch.json"
"""In the folder of a batch: which job of the store it is."""
_ACTOR = "command line"

Inputs = Annotated[
    list[Path], typer.Argument(metavar="INPUT...", exists=True, help="Pictures, folders, zip files.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(batch)


def batch(
    inputs: Inputs,
    out: Annotated[Path, typer.Option(help="Folder for table, JSON, overlays, settings and hashes.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last call ended.")] = False,
    checkpoint: Annotated[str, typer.Option(metavar="NAME|DIR", help="What to judge with.")] = "mambaad",
    category: Annotated[str | None, typer.Option(help="Limits to judge by; the nearest if left out.")] = None,
    product: Annotated[str | None, typer.Option(help="What the parts are called in the store.")] = None,
    tiles: Annotated[int | None, typer.Option(help="Tiles along the longer side.")] = None,
    as_json: Json = False,
    device: DeviceOption = None,
) -> None:
    """Judge many pictures; each is stored as soon as it is done, and `--resume` repeats none of them."""
    with errors_shown():
        store = open_store()
        pictures = pictures_of(inputs)
        if resume:
            job_id = _ticket(out)
            spec = BatchSpec.model_validate(jobs.job(store, job_id).spec)
        else:
            spec = BatchSpec(checkpoint=checkpoint, category=category, product=product, tiles=tiles)
            job_id = _begin(store, spec, out, inputs)
        predictor = predictor_of(spec.checkpoint, device)
        with (
            typer.progressbar(length=len(pictures), label="Judging", file=sys.stderr) as bar,
            closing(run_batch(store, job_id, predictor, pictures)) as steps,
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


def open_store() -> Workspace:
    """The store that the settings name."""
    settings = Settings.from_env(os.environ)
    return Workspace.open(settings.database_url, settings.files_url)


def _begin(store: Workspace, spec: BatchSpec, out: Path, inputs: list[Path]) -> str:
    """A new batch whose ticket lies in its folder."""
    ticket = out / TICKET
    if ticket.exists():
        raise InputError(f"{out.name!r} holds a batch already. Add --resume, or choose another folder.")
    name = inputs[0].name if len(inputs) == 1 else f"{len(inputs)} inputs"
    job_id = new_batch(store, spec, name=name, actor=_ACTOR)
    out.mkdir(parents=True, exist_ok=True)
    ticket.write_text(json.dumps({"job": job_id}) + "\n", encoding="utf-8")
    return job_id


def _ticket(out: Path) -> str:
    """The job of the batch that lies in a folder."""
    try:
        content: Any = json.loads((out / TICKET).read_text(encoding="utf-8"))
        return str(content["job"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out.name!r} holds no batch that could be resumed. Leave --resume out.") from error
