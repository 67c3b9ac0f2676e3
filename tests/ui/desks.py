"""A desk over an empty store in a folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui.desk import Desk
from mambaad_demo.workflow.batch_runner import BatchRunner
from mambaad_demo.workflow.training.runner import TrainingRunner
from tests.ui.fakes import FakeCatalog, FakePredictor
from tests.workflow.stored import Scorer, Shelf

Built = TypeVar("Built", bound=Any)


def desk_in(
    folder: Path,
    *,
    is_private: bool = False,
    on_zero_gpu: bool = False,
    catalog: FakeCatalog | None = None,
) -> Desk:
    """A desk whose visitors share one workspace, or have one each."""
    store = Workspace.open(f"sqlite:///{folder / 'store.db'}", str(folder / "files"))
    known = catalog or FakeCatalog(FakePredictor())
    runner = BatchRunner(known, folder / "batches", finish=lambda workspace, spec, files: None)  # type: ignore[arg-type]
    trainings = TrainingRunner(
        known,  # type: ignore[arg-type]
        folder / "trainings",
        folder / "versions",
        folder / "replay",
        device="cpu",
        kernel="auto",
        environ={},
    )
    return Desk(
        store,
        known,  # type: ignore[arg-type]
        runner,
        trainings,
        is_private=is_private,
        on_zero_gpu=on_zero_gpu,
        retention_minutes=60,
    )


@contextmanager
def desks_for(built: Built, folder: Path) -> Iterator[Callable[..., Built]]:
    """Makes a page, which was built once because that takes longest, work over desks of a test's own."""
    desks = []

    def new(*predictors: Scorer, **how: Any) -> Built:
        desks.append(desk_in(folder, catalog=Shelf(*(predictors or [Scorer()])), **how))  # type: ignore[arg-type]
        vars(built.desk).update(vars(desks[-1]))
        return built

    try:
        yield new
    finally:
        for desk in desks:
            desk.close()
