"""Where the recorded outputs of the published code lie."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Small recordings kept in the repository; always there."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def full_golden() -> Path:
    """The full recordings, which lie beside the repository on some machines only."""
    folder = ROOT.parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("the full golden recordings do not lie beside this repository")
    return folder
