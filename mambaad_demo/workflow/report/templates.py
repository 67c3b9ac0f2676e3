"""HTML from Jinja templates with autoescaping: the only way stored or typed text gets into markup."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

_PACKAGE = "mambaad_demo.workflow"


@cache
def environment(package: str) -> Environment:
    """The templates among a package's assets; unknown names inside them are errors."""
    return Environment(
        loader=PackageLoader(package, "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(name: str, **values: object) -> str:
    """Fill a template; every value is escaped, but for what it calls `safe`, which was rendered here."""
    return environment(_PACKAGE).get_template(name).render(**values)


@cache
def asset(name: str) -> str:
    """Content of an asset that is no template."""
    return files(_PACKAGE).joinpath("assets", name).read_text(encoding="utf-8")
