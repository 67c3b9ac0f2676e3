"""A file on its way to the Hub, opened only while it is read."""

import io
import os
from pathlib import Path


class LateFile(io.BufferedIOBase):
    """A file that is opened only while it is read, so that thousands of them can be planned.

    The Hub library sends such objects by HTTP, where our time limits hold; paths would go through Xet, which
    has its own and which other servers lack.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        self._position = offset + (start[whence] if whence in start else self._path.stat().st_size)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._position)
            content = file.read(size)
        self._position += len(content)
        return content
