"""The log of a job, fit to be read by visitors: its end, without the paths of this machine."""

import re
from collections.abc import Sequence
from pathlib import Path

_BYTES = 16_000
_PATH = re.compile(r"""(?<![\w.:/…])/(?:[^\s/"'<>|]+/)+""")


def tail(log: Path, roots: Sequence[Path]) -> str:
    """The last lines; empty where there are none.

    Args:
        roots: folders whose place is nobody's business, whatever letters their names hold.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    if size > _BYTES:
        text = text.partition("\n")[2]
    for root in sorted(map(str, roots), key=len, reverse=True):
        text = text.replace(root, "…")
    return _PATH.sub("…/", text)
