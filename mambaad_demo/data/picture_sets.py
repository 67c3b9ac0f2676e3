"""Sets of pictures, from a folder or a zip file of a stranger, with the labels that folder names give.

Entries of a zip are read into memory one by one, within limits; nothing is unpacked onto the disk and no name
in it is used as a path. Decoding is `uploads`' business.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mambaad_demo.data.folders import GOOD, IMAGE_SUFFIXES
from mambaad_demo.errors import InputError, TooFewImagesError, UnreadableImageError

MOST_PICTURES = 2000
_MOST_BYTES = 200 * 10**6  # of a picture in a zip file, twice what 12.5 megapixels can need
_MOST_BYTES_IN_ALL = 20 * 10**9
_MOST_RATIO = 200  # unpacked to packed; pictures hardly shrink, and flat bitmaps by less than this
_MOST_DIRECTORY_BYTES = 4 * 10**6  # the list of entries; it is read whole
_LONGEST_NAME = 120
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without bounds
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, OverflowError,
)  # fmt: skip
"""What zipfile throws at damaged bytes."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodSet:
    """The pictures of good parts in what was sent."""

    pictures: list[Picture]
    aside: int
    """Others that lie beside them, in folders of defects or tests."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left aside, as a sentence; none where nothing was."""
        if not self.aside:
            return ()
        what = "1 picture" if self.aside == 1 else f"{self.aside} pictures"
        return (
            f"{what} in folders of defects or tests {'was' if self.aside == 1 else 'were'} left aside: of "
            "sets in folders only train/good is taken, or else what lies in a folder called good.",
        )


_Named = tuple[PurePosixPath, Callable[[], Path | bytes]]


def read_set(path: Path, *, at_most: int = MOST_PICTURES) -> list[Picture]:
    """List the pictures of a folder or zip file with their labels; at least one.

    Folders give the labels: with one called `good` and another one beside it, what lies in `good` or below is
    normal and the rest is not. Without, there are no labels. Of the MVTec AD layout only `test` is taken.

    Raises:
        InputError: not a folder or zip file, no pictures, more than `at_most`, or one in no folder among
            labeled ones.
    """
    pictures = _pictures(path)
    if any("test" in name.parts[:-1] for name, _ in pictures):
        pictures = [(name, read) for name, read in pictures if "test" in name.parts[:-1]]
    _require_some(pictures, at_most)
    labels = _labels([name for name, _ in pictures])
    return [
        Picture(name=str(name), is_anomalous=label, read=read)
        for (name, read), label in zip(pictures, labels, strict=True)
    ]


def list_set(path: Path, *, at_most: int) -> list[Picture]:
    """All pictures of a folder or zip file, whatever their folders are called; at least one, none labeled.

    Raises:
        InputError: not a folder or zip file, no pictures, or more than `at_most`.
    """
    pictures = _pictures(path)
    _require_some(pictures, at_most)
    return [Picture(name=str(name), is_anomalous=None, read=read) for name, read in pictures]


def list_good(path: Path, *, at_most: int) -> GoodSet:
    """The pictures of good parts in a folder or zip file; at least one.

    Of the MVTec AD layout these are `train/good` alone, with any folder called `good` what lies in one, else
    all; upper and lower case are one.

    Raises:
        InputError: not a folder or zip file, no pictures, or more than `at_most` of good parts.
    """
    pictures = _pictures(path)
    good = [named for named in pictures if GOOD in _folders(named[0])]
    train = [named for named in good if "train" in _folders(named[0])]
    chosen = train or good or pictures
    _require_some(chosen, at_most)
    return GoodSet(
        pictures=[Picture(name=str(name), is_anomalous=None, read=read) for name, read in chosen],
        aside=len(pictures) - len(chosen),
    )


def _folders(name: PurePosixPath) -> list[str]:
    return [folder.casefold() for folder in name.parts[:-1]]


def _pictures(path: Path) -> list[_Named]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        readers: list[_Named] = [
            (PurePosixPath(file.relative_to(path).as_posix()), _reader(file)) for file in found
        ]
    else:
        readers = zip_readers(path)
    return [(name, read) for name, read in readers if _is_picture(name)]


def _require_some(pictures: Sequence[_Named], at_most: int) -> None:
    if not pictures:
        raise TooFewImagesError(
            f"There are no pictures in it. Put files that end in {', '.join(sorted(IMAGE_SUFFIXES))} there."
        )
    if len(pictures) > at_most:
        raise InputError(f"It holds {len(pictures)} pictures; send at most {at_most} at once.")


def _labels(names: Sequence[PurePosixPath]) -> list[bool] | list[None]:
    are_good = [GOOD in _folders(name) for name in names]
    if all(are_good) or not any(are_good):
        return [None] * len(names)
    if astray := [name for name in names if len(name.parts) == 1]:
        raise InputError(
            f"{astray[0]} lies beside the folder {GOOD!r}, so nothing says whether it is good. Put it into a "
            "folder or leave it out."
        )
    return [not is_good for is_good in are_good]


def _is_picture(name: PurePosixPath) -> bool:
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return name.suffix.lower() in IMAGE_SUFFIXES and not is_hidden and "ground_truth" not in name.parts


def _reader(file: Path) -> Callable[[], Path]:
    return lambda: file


def zip_readers(path: Path) -> list[_Named]:
    """The files in a zip, each with what reads it within bounds, sorted by name.

    Raises:
        InputError: no zip file, damaged, encrypted, or too much in it.
    """
    try:
        archive = _listed(path)
    except InputError:  # which is a ValueError too
        raise
    except _BROKEN as error:
        raise InputError(
            "That is no zip file, or a damaged one. Send a folder of pictures as zip."
        ) from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise InputError("The entries of the zip file lie over one another. Make the zip file anew.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise InputError("The zip file is encrypted. Send one without a password.")
    if (total := sum(entry.file_size for entry in entries)) > _MOST_BYTES_IN_ALL:
        raise InputError(f"The zip file unpacks to {total / 1e9:.0f} GB. Send fewer pictures at once.")
    return [
        (shown_name(entry.filename), _zip_reader(archive, entry)) for entry in sorted(entries, key=_by_name)
    ]


def _listed(path: Path) -> zipfile.ZipFile:
    """The archive with its list of entries, which is read whole and so must be short."""
    file = _ZipBytes(_OpenFile(path))
    archive = zipfile.ZipFile(file)
    file.is_listing = False
    return archive


class _OpenFile(io.FileIO):
    """Closes itself, as `_ZipBytes` does: of two that go at once either may be the first."""

    def __del__(self) -> None:
        self.close()


class _ZipBytes(io.BufferedReader):
    """An open zip file that bounds its list of entries where zipfile reads it: which of several end records
    it believes is its own affair. Closes itself when the last reader is gone."""

    is_listing = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.is_listing and size is not None and size > _MOST_DIRECTORY_BYTES:
            raise InputError(f"The zip file has too many entries; send at most {MOST_PICTURES} pictures.")
        return super().read(size)

    def __del__(self) -> None:
        self.close()


def _by_name(entry: zipfile.ZipInfo) -> str:
    return entry.filename


def shown_name(name: str) -> PurePosixPath:
    """A name for people alone: short, printable, without drives and steps upwards."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in name.replace("\\", "/"))
    parts = [
        part[-_LONGEST_NAME:] for part in printable.split("/") if part.strip() and part not in (".", "..")
    ]
    return PurePosixPath(*parts[-4:])


def _zip_reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        name = shown_name(entry.filename).name
        if entry.file_size > min(_MOST_BYTES, _MOST_RATIO * max(entry.compress_size, 1)):
            raise UnreadableImageError(
                f"{name} unpacks to {entry.file_size / 1e6:.0f} MB and was left alone."
            )
        if entry.compress_type not in _KINDS:
            raise UnreadableImageError(f"{name} is packed in a rare way. Make the zip file anew.")
        try:
            with archive.open(entry) as file:
                return file.read(entry.file_size + 1)  # with a number, it unpacks no more than that
        except _BROKEN as error:
            raise UnreadableImageError(f"{name} is damaged in the zip file.") from error

    return read
