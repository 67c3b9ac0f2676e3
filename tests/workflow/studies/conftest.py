"""An empty production line for each test, closed after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.studies.line import Line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Without parts."""
    opened = Line(tmp_path)
    yield opened
    opened.workspace.database.close()
