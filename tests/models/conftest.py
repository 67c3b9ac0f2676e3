"""Where the recorded outputs of the published networks lie."""

import os
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
        message = "the full golden recordings do not lie beside this repository"
        if os.environ.get("REQUIRE_GOLDEN") == "1":
            pytest.fail(f"REQUIRE_GOLDEN=1, but {message}")
        pytest.skip(message)
    return folder
