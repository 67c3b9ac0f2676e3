"""A visitor of whose pictures few are judged."""

from contextlib import AbstractContextManager

from mambaad_demo.ui.allowance import Allowances
from mambaad_demo.ui.caps import Asker, Caps


def asking(name: str) -> Asker:
    """Somebody at an address of their own."""
    return Asker(name, f"address of {name}")


def few_pictures(at_once: int) -> AbstractContextManager[None]:
    """What happens inside is asked for by somebody who may have so many pictures judged at once."""
    return Allowances(Caps(pictures_at_once=at_once)).of(asking("mira"), "mira")
