"""Why a good set cannot be trained on, in sentences for people that also say what to do."""

from collections.abc import Sequence

from mambaad_demo.pipeline.finetune_spec import MIN_PHOTOS
from mambaad_demo.pipeline.good_set_words import USUAL, photos_text


def problems(
    *,
    count: int,
    usable: int,
    refused: Sequence[tuple[str, str]],
    copies: Sequence[Sequence[str]],
    blank: Sequence[str],
) -> list[str]:
    """What stands in the way; nothing where enough photos are usable.

    Args:
        count: photos that can be read.
        usable: those that show something and are not copies.
        refused: names and reasons.
        copies: groups of photos that are the same.
        blank: photos that show nothing.
    """
    if usable >= MIN_PHOTOS:
        return []
    if not count and not refused:
        return [f"There are no photos. Choose at least {MIN_PHOTOS} of good parts, better {USUAL} or more."]
    if not count:
        return [
            f"None of the {len(refused)} files can be read. The first: {refused[0][1]} Copy the photos "
            "again, or save them in another format."
        ]
    if count > 1 and len(copies) == 1 and len(copies[0]) == count:
        return [
            f"All {count} photos are the same one. Take one photo each of at least {MIN_PHOTOS} good parts."
        ]
    extra = sum(map(len, copies)) - len(copies)
    lost = [
        f"{len(refused)} cannot be read" if refused else "",
        f"{len(blank)} of one even color" if blank else "",
        f"{extra} the same as another" if extra else "",
    ]
    why = "; ".join(part for part in lost if part)
    return [
        f"{photos_text(usable)} can be used{f' ({why})' if why else ''}; {MIN_PHOTOS} is the least. Add "
        f"photos of good parts, better {USUAL} or more."
    ]
