"""Files made to exhaust a server, and what it costs to turn them away: seconds and peak memory of each.

python -m benchmarks.bombs [--limit MB] [--json]

Memory is what the process takes at its peak over what it held before; Linux alone tells it. The tests run
this with a limit, so that a bomb that goes off is an error and no slow machine.
"""

import argparse
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from mambaad_demo.data.picture_sets import MOST_PICTURES, list_set
from mambaad_demo.data.uploads import load_image, load_mask
from mambaad_demo.errors import InputError
from tests.data import bad_files, hostile_files

Read = Callable[[Path], str]
"""Reads a file and says what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One bomb and what it did."""

    name: str
    file_bytes: int
    seconds: float
    peak_mb: float
    outcome: str
    """The refusal, or what was read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table, or a JSON array, of all bombs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bombs", description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=int, metavar="MB", help="address space beyond what the imports take")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        bombs = [(path, read) for path, read in _written(Path(folder))]
        if options.limit is not None:
            most = _memory_mb("VmSize") + options.limit
            resource.setrlimit(resource.RLIMIT_AS, (int(most * 1e6), int(most * 1e6)))
        found = [_measured(path, read) for path, read in bombs]
    print(json.dumps([asdict(one) for one in found], indent=1) if options.json else _table(found))
    return 0


def _written(folder: Path) -> Iterator[tuple[Path, Read]]:
    """All bombs as files, with what reads them."""
    made: dict[str, tuple[Read, bytes | Callable[[Path], object]]] = {
        "PNG of 144 megapixels": (_picture, bad_files.bomb_png),
        "PNG that claims 40001 × 40001": (_picture, hostile_files.claimed_png(40_001, 40_001)),
        "PNG with a text of 50 MB": (_picture, hostile_files.text_bomb_png()),
        "PNG in one chunk of 24 MB": (_picture, hostile_files.one_long_chunk_png()),
        "JPEG that claims 65500 × 65500": (_picture, bad_files.claimed_bomb_jpeg),
        "JPEG of 400 scans": (_picture, hostile_files.endless_scans_jpeg()),
        "WebP that claims 65536 × 65535": (_picture, hostile_files.huge_canvas_webp(65_536, 65_535)),
        "BMP mask that skips 255 rows": (_mask, hostile_files.jumping_bmp(40_000_000, 1)),
        "TIFF of 10 000 pages": (_picture, bad_files.many_page_tiff),
        "TIFF that claims 100000 × 100000": (_picture, bad_files.claimed_bomb_tiff),
        "TIFF of one tile of 4 gigapixels": (_picture, bad_files.tile_bomb_tiff),
        "TIFF of tiles of 16 GB in all": (_picture, hostile_files.overhanging_tiles_tiff()),
        "TIFF strip that unpacks to 200 MB": (_picture, hostile_files.deflate_bomb_tiff()),
        "zip entry of 1000 to 1": (_zip, hostile_files.ratio_bomb_zip()),
        "zip entry that hides its ratio": (_zip, hostile_files.lying_ratio_zip()),
        "zip of 1500 entries in one place": (_zip, hostile_files.overlapping_zip()),
        "zip of 200 000 entries": (_zip, hostile_files.many_entries_zip()),
        "zip that hides its list": (_zip, hostile_files.hidden_directory_zip()),
        "zip64 that hides its list": (_zip, hostile_files.hidden_zip64_directory_zip()),
        "zip in a zip, six deep": (_zip, hostile_files.nested_zip()),
    }
    for name, (read, content) in made.items():
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)
        yield path, partial(_refusal_or, read)


def _refusal_or(read: Read, path: Path) -> str:
    try:
        return read(path)
    except InputError as error:
        return str(error).removeprefix(f"{path.name}: ")


def _picture(path: Path) -> str:
    height, width, _ = load_image(path).pixels.shape
    return f"read: {width} × {height} pixels"


def _mask(path: Path) -> str:
    return f"read: {load_mask(path).size} pixels"


def _zip(path: Path) -> str:
    """Every picture of a zip, as a batch reads them; what was said of the first that was refused."""
    said = [
        _refusal_or(lambda _: f"read: {load_image(picture.read()).pixels.size // 3} pixels", path)  # noqa: B023
        for picture in list_set(path, at_most=MOST_PICTURES)
    ]
    return next((words for words in said if not words.startswith("read")), said[0])


def _measured(path: Path, read: Read) -> Measured:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, started = _memory_mb("VmRSS"), time.perf_counter()
    outcome = read(path)
    seconds = time.perf_counter() - started
    return Measured(
        name=path.name,
        file_bytes=path.stat().st_size,
        seconds=round(seconds, 3),
        peak_mb=round(max(0.0, _memory_mb("VmHWM") - before), 1),
        outcome=outcome,
    )


def _memory_mb(field: str) -> float:
    """A line of the kernel's account of this process, in megabytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("Memory is measured on Linux alone.")
    return int(found[1]) * 1024 / 1e6


def _table(found: Sequence[Measured]) -> str:
    lines = [f"{'bomb':36}{'file kB':>10}{'seconds':>9}{'peak MB':>9}  outcome"]
    lines += [
        f"{one.name:36}{one.file_bytes / 1e3:10.1f}{one.seconds:9.3f}{one.peak_mb:9.1f}  {one.outcome[:80]}"
        for one in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
