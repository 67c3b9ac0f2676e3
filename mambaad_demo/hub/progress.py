"""How far a download is, told to a function instead of drawn on a terminal."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # its exports are lazy

Report = Callable[[int, int], None]
"""Takes bytes done and bytes in all, as far as they are known yet."""


def reporting_bar(report: Report) -> type[Any]:
    """A class of progress bars for `snapshot_download` that draws nothing and reports the bytes.

    The library may keep several bars of bytes, for what was received and what was written: the farthest
    counts.
    """
    bars: list[Any] = []
    lock = Lock()

    class Bar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options | {"disable": True})  # type: ignore[no-untyped-call]
            self.is_of_bytes = options.get("unit") == "B"
            if self.is_of_bytes:
                bars.append(self)

        def update(self, n: float | None = 1) -> None:
            with lock:
                self.n += n or 0
                if self.is_of_bytes:
                    report(int(max(bar.n for bar in bars)), int(max(bar.total or 0 for bar in bars)))

    return Bar
