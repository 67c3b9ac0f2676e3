"""An empty store for each test, closed after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.figures.labeled_store import LabeledStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabeledStore]:
    """Without pictures."""
    opened = LabeledStore(tmp_path)
    yield opened
    opened.workspace.database.close()
