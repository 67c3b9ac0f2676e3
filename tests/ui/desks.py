"""A desk over an empty store in a folder."""

from pathlib import Path

from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui.desk import Desk
from mambaad_demo.workflow.batch_runner import BatchRunner
from tests.ui.fakes import FakeCatalog, FakePredictor


def desk_in(folder: Path, *, is_private: bool = False, catalog: FakeCatalog | None = None) -> Desk:
    """A desk whose visitors share one workspace, or have one each."""
    store = Workspace.open(f"sqlite:///{folder / 'store.db'}", str(folder / "files"))
    known = catalog or FakeCatalog(FakePredictor())
    runner = BatchRunner(known, folder / "batches", finish=lambda workspace, spec, files: None)  # type: ignore[arg-type]
    return Desk(store, known, runner, is_private=is_private, retention_minutes=60)  # type: ignore[arg-type]
