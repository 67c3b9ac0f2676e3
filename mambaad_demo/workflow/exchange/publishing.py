"""Labels of a workspace as a data set for the Hub: exported, described and planned; `hub` sends it."""

from pathlib import Path

from mambaad_demo.hub.publishing import PushPlan, folder_plan
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.exchange.dataset_card import dataset_card
from mambaad_demo.workflow.exchange.exporting import ExportFacts, ExportKind, export


def labels_plan(
    workspace: Workspace,
    folder: Path,
    repo: str,
    kind: ExportKind,
    *,
    product: str | None = None,
    private: bool = True,
    replaces: bool = False,
) -> tuple[PushPlan, ExportFacts]:
    """Export labels without names of people, and plan how to send them.

    Args:
        workspace: whose pictures.
        folder: new; has to stay until the plan was carried out.
        repo: owner/name of a data set.
        kind: format.
        product: of this one only.
        private: whether only the owner may see a new repository.
        replaces: whether files the repository holds besides are deleted in the same commit; else a repository
            that holds some is refused, since an export mixed with an older one is wrong.

    Raises:
        InputError: nothing is labeled yet, or the repository has no valid name.
        StorageError: the folder cannot be written.
    """
    facts = export(workspace, folder, kind, product=product, anonymous=True)
    plan = folder_plan(
        folder,
        dataset_card(facts),
        repo,
        kind="dataset",
        private=private,
        message=f"{facts.labels} labels as {kind.value}",
        others="delete" if replaces else "refuse",
    )
    return plan, facts
