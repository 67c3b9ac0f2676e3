"""A store that is full of hostile names, and an empty one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mambaad_demo.storage.workspace import Workspace
from tests.workflow.exchange.stores import fill, open_store


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A store with the pictures and labels of `PARTS`; to be read only."""
    with open_store(tmp_path_factory.mktemp("full")) as workspace:
        fill(workspace)
        yield workspace


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Workspace]:
    """A store with nothing in it."""
    with open_store(tmp_path / "empty") as workspace:
        yield workspace
