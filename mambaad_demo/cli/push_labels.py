"""The command that sends labels to the Hub as a data set."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mambaad_demo.cli.options import errors_shown
from mambaad_demo.cli.plans import DryRun, Public, Repo, carry_out
from mambaad_demo.cli.store import open_store, say_left_out
from mambaad_demo.data.temporary import PREFIX
from mambaad_demo.workflow.exchange.exporting import ExportKind
from mambaad_demo.workflow.exchange.publishing import labels_plan


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("push-labels")(push_labels)


def push_labels(
    repo: Repo,
    kind: Annotated[ExportKind, typer.Option("--format", help="What other tools call it.")] = ExportKind.CSV,
    product: Annotated[str | None, typer.Option(help="Default: all.")] = None,
    public: Public = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete other files that the repository holds.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Send labels, masks and pictures to a data set of the Hub, without the names of those who labeled."""
    with errors_shown(), tempfile.TemporaryDirectory(prefix=f"{PREFIX}publish-") as folder:
        plan, facts = labels_plan(
            open_store(),
            Path(folder, "labels"),
            repo,
            kind,
            product=product,
            private=not public,
            replaces=replace,
        )
        say_left_out(facts.notes, facts.left_out)
        carry_out(plan, dry_run=dry_run)
