"""The page's own HTML, CSS, JavaScript and icon, kept as files beside the code and read as package data."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"


def path(name: str) -> Path:
    """Where an asset lies."""
    return FOLDER / name


@cache
def text(name: str) -> str:
    """Content of an asset, such as `viewer.js`."""
    return path(name).read_text(encoding="utf-8")
