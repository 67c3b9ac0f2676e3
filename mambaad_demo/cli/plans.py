"""What commands that send files to the Hub share: options, the plan as text, and carrying it out."""

import os
from typing import Annotated

import typer

from mambaad_demo.hub.layout import MANIFEST
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.hub.publishing import PushPlan, push
from mambaad_demo.settings import Settings

Repo = Annotated[str, typer.Argument(metavar="owner/repo", help="Made where it does not exist.")]
Public = Annotated[bool, typer.Option("--public", help="Let everybody see it; default: private.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]


def carry_out(plan: PushPlan, *, dry_run: bool) -> None:
    """Print a plan and send what it holds; a dry run prints the card too, and sends nothing.

    Raises:
        PublishingError: it was not sent, and why.
    """
    typer.echo(plan_text(plan))
    if dry_run:
        typer.echo(f"\n{plan.card}\nDry run: nothing was sent.")
        return
    published = push(plan)
    typer.echo(published.reference)
    if published.private and plan.private is False:
        typer.echo(f"{plan.repo} was private before and still is; its settings can change that.", err=True)
    if plan.kind == "model" and plan.repo not in _allowed():
        typer.echo(f"To fetch it, put {plan.repo} into MAMBAAD_ALLOWED_REPOS.", err=True)


def plan_text(plan: PushPlan) -> str:
    """Where to, who may see it, and each file with its size and SHA-256."""
    seen_by = {True: "private", False: "public", None: "as visible as it is now"}[plan.private]
    width = max(len(file.path) for file in plan.files)
    count = f"{len(plan.files)} file{'s' * (len(plan.files) != 1)}"
    return "\n".join(
        [
            f"{plan.kind} repository {plan.repo}, {seen_by}",
            *(f"  {file.path:<{width}} {file.size:>11} bytes  {file.sha256}" for file in plan.files),
            f"{count}, {plan.size} bytes, in one commit: {plan.message}",
            *([plan.pictures] if plan.pictures else []),
        ]
    )


def _allowed() -> frozenset[str]:
    """Repositories that checkpoints may be fetched from."""
    settings = Settings.from_env(os.environ)
    return read_manifest(settings.checkpoints / MANIFEST).repos | frozenset(settings.allowed_repos)
