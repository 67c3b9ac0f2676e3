"""An empty production line for each test, closed after it."""

from tests.workflow.studies.conftest import line

__all__ = ["line"]
