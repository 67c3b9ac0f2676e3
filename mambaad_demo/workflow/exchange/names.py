"""Names of files and folders that every file system and every tool can take, made from anybody's texts."""

import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath

_LONGEST = 60
_DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # what Windows keeps for itself


class Names:
    """Hands out each name once, big and small letters being the same."""

    def __init__(self, *taken: str) -> None:
        """
        Args:
            taken: names that are never handed out.
        """
        self._taken = {name.casefold() for name in taken}
        self._numbers: Counter[str] = Counter()

    def claim(self, wanted: str, *, otherwise: str) -> str:
        """A free name like the wanted one, or like `otherwise` where nothing readable is left of it."""
        base = safe_name(wanted) or otherwise
        name = base
        while name.casefold() in self._taken:
            self._numbers[base] += 1
            name = f"{base}-{self._numbers[base] + 1}"
        self._taken.add(name.casefold())
        return name


def safe_name(text: str) -> str:
    """What is left of a text in letters, digits, `-` and `_` of ASCII, accents dropped; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_-")[:_LONGEST]
    return f"{name}_" if _DEVICES.fullmatch(name) else name


def stem_of(name: str) -> str:
    """The file name without folders and ending, whichever way the slashes lean."""
    return PurePosixPath(name.replace("\\", "/")).stem
