"""Jinja templates of this layer, with autoescaping: the only way stored text gets into a report."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

_PACKAGE = "mambaad_demo.workflow"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(_PACKAGE, "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(name: str, **values: object) -> str:
    """Fill a template; every value is escaped, but for what it calls `safe`, which was rendered here."""
    return _environment().get_template(name).render(**values)


@cache
def asset(name: str) -> str:
    """Content of an asset that is no template."""
    return files(_PACKAGE).joinpath("assets", name).read_text(encoding="utf-8")
