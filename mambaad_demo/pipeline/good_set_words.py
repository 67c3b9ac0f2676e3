"""The sentences of a report on a good set: what is odd, of how many and which photos, and what to do.

Each function gives a sentence or two, or nothing where there is nothing to say. File names are those of
strangers: they are made short and printable here, escaping is the page's business.
"""

from collections.abc import Sequence

from mambaad_demo.data.picture_sets import shown_name
from mambaad_demo.pipeline.good_set_outliers import Finding

USUAL = 20
"""Photos from which on limits mean something."""

_NAMED = 5
_DARK, _BRIGHT = 0.04, 0.96  # mean gray levels of sets that show next to nothing
_SAME_SHAPE = 1.05  # by which width to height may differ unseen


def odd(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    few = len(found) == 1
    these = "This one of your good parts looks" if few else f"These {len(found)} of your good parts look"
    return (
        f"{these} odd: {_names(found)}. Leave out what is defective or shows something else, and keep what "
        "is good."
    )


def refused(found: Sequence[tuple[str, str]], *, count: int) -> str:
    if not found or not count:
        return ""
    total = count + len(found)
    return f"{len(found)} of {total} files cannot be read and will be left out: {_names(found)}."


def blank(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"{_photos_are(names)} of one even color and will teach nothing: {_named(names)}. Leave them out."


def duplicates(groups: Sequence[Sequence[str]], copies: Sequence[Sequence[str]]) -> str:
    """How many could be left out, and two names of each group."""
    if not groups:
        return ""
    extra, same = (sum(map(len, some)) - len(some) for some in (groups, copies))
    how = "the same as another one"
    if same < extra:
        how = f"nearly {how}" + (f" ({same} of them exactly)" if same else "")
    pairs = [f"{_shown(group[0])} = {_shown(group[1])}" for group in groups]
    return (
        f"{photos_text(extra)} {'is' if extra == 1 else 'are'} {how}: {_listed(pairs)}. Limits from a photo "
        "seen twice are too tight: keep one of each, or photograph other parts."
    )


def blurred(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    return (
        f"{_photos_are(found)} less sharp than the others: {_names(found)}. Take them again, or leave them "
        "out."
    )


def exposure(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    return (
        f"{_photos_are(found)} darker or brighter than the others: {_names(found)}. Keep them only if the "
        "light varies as much on the line."
    )


def darkness(brightness: tuple[float, float, float] | None) -> str:
    if brightness is None or _DARK < brightness[1] < _BRIGHT:
        return ""
    tone, do = ("black", "longer") if brightness[1] <= _DARK else ("white", "shorter")
    return f"The photos are almost {tone}. Expose {do}, or little can be told from them."


def sizes(found: Sequence[tuple[tuple[int, int], int]]) -> str:
    """Also says whether shapes differ, since the same part then reaches the model at another size."""
    if len(found) < 2:
        return ""
    parts = [f"{width} × {height} px ({count})" for (width, height), count in found]
    ratios = [width / height for (width, height), _ in found]
    shapes = ""
    if max(ratios) > _SAME_SHAPE * min(ratios):
        shapes = f", with width to height from {min(ratios):.2f} to {max(ratios):.2f}"
    return (
        f"The photos have {len(found)} sizes: {_listed(parts)}{shapes}. Where that is not so on the line, "
        "take all with one camera at one setting."
    )


def mixed_colors(gray: Sequence[str], *, count: int) -> str:
    if not gray:
        return ""
    return (
        f"{len(gray)} of {count} photos have no color, the others have: {_named(gray)}. Use the kind that "
        "the line will send."
    )


def few(usable: int) -> str:
    if usable >= USUAL:
        return ""
    return f"With {photos_text(usable)} the limits will be rough; {USUAL} or more are better."


def photos_text(count: int) -> str:
    return f"{count} photo" if count == 1 else f"{count} photos"


def _photos_are(found: Sequence[object]) -> str:
    return f"{photos_text(len(found))} {'is' if len(found) == 1 else 'are'}"


def _names(found: Sequence[Finding] | Sequence[tuple[str, str]]) -> str:
    return _named([one[0] for one in found])


def _named(names: Sequence[str]) -> str:
    return _listed([_shown(name) for name in names])


def _shown(name: str) -> str:
    return str(shown_name(name))


def _listed(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return ", ".join(parts[:_NAMED]) + more
