"""Labels that the folders of a batch give, in the name of a reviewer of their own."""

from collections.abc import Sequence
from pathlib import Path

from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import BatchSpec
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels

REVIEWER = "folder names"
"""In whose name they are recorded."""


def read_folder_labels(workspace: Workspace, spec: BatchSpec, sources: Sequence[Path]) -> None:
    """Record what the folders say, if the batch was asked to; pictures among the sources say nothing.

    Raises:
        InputError: a source is not laid out as MVTec AD is.
    """
    if not spec.has_labels:
        return
    for source in sources:
        if source.is_dir() or source.suffix.lower() == ".zip":
            import_labels(workspace, source, ImportKind.MVTEC, product=spec.product, reviewer=REVIEWER)
