"""The page's own HTML, CSS and JavaScript, kept as files beside the code and read as package data."""

from functools import cache
from importlib.resources import files


@cache
def text(name: str) -> str:
    """Content of an asset, such as `viewer.js`."""
    return files("mambaad_demo.ui").joinpath("assets", name).read_text(encoding="utf-8")
