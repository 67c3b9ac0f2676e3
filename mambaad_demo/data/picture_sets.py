"""Sets of pictures, from a folder or a zip file of a stranger, with the labels that folder names give.

Entries of a zip are read into memory one by one, within limits; nothing is unpacked onto the disk and no name
in it is used as a path. Decoding is `uploads`' business.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mambaad_demo.data.folders import GOOD, IMAGE_SUFFIXES
from mambaad_demo.data.uploads import MAX_FILE_BYTES
from mambaad_demo.errors import InputError, TooFewImagesError, UnreadableImageError

MOST_PICTURES = 2000
_MOST_ENTRIES = 20_000
_MOST_RATIO = 200  # unpacked to packed; pictures hardly shrink, and flat bitmaps by less than this
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One member of a set."""

    name: str
    """Where it lies in the set, to be shown to people."""
    is_anomalous: bool | None
    """What its folder says; None in a set without labels."""
    read: Callable[[], Path | bytes]
    """Its file or the bytes of it.

    Raises:
        UnreadableImageError: the zip is damaged here.
    """


_Named = tuple[PurePosixPath, Callable[[], Path | bytes]]


def read_set(path: Path) -> list[Picture]:
    """List the pictures of a folder or zip file; at least one.

    Folders give the labels: with one called `good` and another one beside it, what lies in `good` is normal
    and the rest is not. Without, there are no labels. Of the MVTec AD layout only `test` is taken.

    Raises:
        InputError: not a folder or zip file, no pictures, or more than `MOST_PICTURES`.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        readers: list[_Named] = [
            (PurePosixPath(file.relative_to(path).as_posix()), _reader(file)) for file in found
        ]
    else:
        readers = _zip_readers(path)
    pictures = [(name, read) for name, read in readers if _is_picture(name)]
    if any("test" in name.parts[:-1] for name, _ in pictures):
        pictures = [(name, read) for name, read in pictures if "test" in name.parts[:-1]]
    if not pictures:
        raise TooFewImagesError(
            f"There are no pictures in it. Put files that end in {', '.join(sorted(IMAGE_SUFFIXES))} there."
        )
    if len(pictures) > MOST_PICTURES:
        raise InputError(f"It holds {len(pictures)} pictures; send at most {MOST_PICTURES} at once.")
    labels = _labels([name for name, _ in pictures])
    return [
        Picture(name=str(name), is_anomalous=label, read=read)
        for (name, read), label in zip(pictures, labels, strict=True)
    ]


def _labels(names: Sequence[PurePosixPath]) -> list[bool] | list[None]:
    folders = [name.parent.name for name in names]
    if GOOD in folders and set(folders) != {GOOD}:
        return [folder != GOOD for folder in folders]
    return [None] * len(names)


def _is_picture(name: PurePosixPath) -> bool:
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return name.suffix.lower() in IMAGE_SUFFIXES and not is_hidden and "ground_truth" not in name.parts


def _reader(file: Path) -> Callable[[], Path]:
    return lambda: file


def _zip_readers(path: Path) -> list[_Named]:
    try:
        archive = zipfile.ZipFile(path)  # closes itself when the last reader is gone
    except _BROKEN as error:
        raise InputError(
            "That is no zip file, or a damaged one. Send a folder of pictures as zip."
        ) from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > _MOST_ENTRIES:
        raise InputError(f"The zip file has {len(entries)} entries; send at most {MOST_PICTURES} pictures.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise InputError("The zip file is encrypted. Send one without a password.")
    return [(_shown(entry.filename), _zip_reader(archive, entry)) for entry in sorted(entries, key=_by_name)]


def _by_name(entry: zipfile.ZipInfo) -> str:
    return entry.filename


def _shown(name: str) -> PurePosixPath:
    """A name for people alone, without control characters, drives and steps upwards."""
    parts = re.sub(r"[\x00-\x1f\x7f]", "", name.replace("\\", "/")).split("/")
    return PurePosixPath(*(part for part in parts if part.strip() and part not in (".", "..")))


def _zip_reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if entry.file_size > min(MAX_FILE_BYTES, _MOST_RATIO * max(entry.compress_size, 1)):
            raise UnreadableImageError(
                f"{_shown(entry.filename).name} unpacks to {entry.file_size / 1e6:.0f} MB and was left alone."
            )
        try:
            return archive.read(entry)
        except _BROKEN as error:
            raise UnreadableImageError(
                f"{_shown(entry.filename).name} is damaged in the zip file."
            ) from error

    return read
