"""The file of a backup: a zip that vouches for itself.

    manifest.json           schema, program, counts, and the SHA-256 of every other member
    tables/<table>.jsonl    one row a line
    <kind>/<sha256>         the files, as `files.FileKind` names them

It may come from a stranger: members are known by name or refused, read within bounds, and hashed before any
of them is used. Nothing is unpacked onto the disk by zipfile, and no name in it is used as a path.
"""

import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from mambaad_demo.data.uploads import MAX_FILE_BYTES
from mambaad_demo.errors import InputError
from mambaad_demo.storage.files import FileKind
from mambaad_demo.version import __version__

MANIFEST = "manifest.json"
NAMED_BY_CONTENT = (FileKind.PICTURE, FileKind.MAP, FileKind.MASK)

_TABLE = re.compile(r"tables/([a-z_]{1,60})\.jsonl")
_FILE = re.compile(rf"({'|'.join(FileKind)})/([0-9a-f]{{64}})")
_MOST_MANIFEST_BYTES = 512 * 2**20  # about 150 bytes a member
_LONGEST_LINE = 64 * 2**20
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without bounds
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError,
)  # fmt: skip
"""What zipfile and json throw at damaged bytes."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a backup says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    schema_revision: str
    """Of the tables; see `migrations`."""
    program: str = __version__
    created_at: AwareDatetime
    rows: dict[str, NonNegativeInt]
    """How many, by table."""
    members: dict[str, Sha256]
    """Hashes of all members but this one."""
    missing: tuple[str, ...] = ()
    """Files that rows name and the store had lost, or held damaged, when the backup was made."""


class BackupWriter:
    """Fills a new backup."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members: dict[str, str] = {}
        self._rows: dict[str, int] = {}

    def add_table(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add all rows of a table, whose values are JSON types."""
        name = f"tables/{table}.jsonl"
        digest = hashlib.sha256()
        count = 0
        with self._archive.open(_entry(name, zipfile.ZIP_DEFLATED), "w", force_zip64=True) as file:
            for count, row in enumerate(rows, 1):  # noqa: B007 - the number of the last one
                line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
                digest.update(line)
                file.write(line)
        self._rows[table], self._members[name] = count, digest.hexdigest()

    def add_file(self, kind: FileKind, sha256: str, content: bytes) -> None:
        """Add a file of the store."""
        name = member_name(kind, sha256)
        self._archive.writestr(_entry(name, zipfile.ZIP_STORED), content)
        self._members[name] = hashlib.sha256(content).hexdigest()

    def finish(self, **facts: Any) -> Manifest:
        """Write the manifest, once everything else is in."""
        manifest = Manifest(rows=self._rows, members=self._members, **facts)
        self._archive.writestr(_entry(MANIFEST, zipfile.ZIP_DEFLATED), manifest.model_dump_json(indent=1))
        return manifest


class BackupReader:
    """Reads a backup whose members have all been checked."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table, as `BackupWriter.add_table` took them."""
        with self._archive.open(f"tables/{table}.jsonl") as file:
            for line in _lines(file):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError("A row of the backup is damaged. Take another copy.") from error

    def files(self) -> Iterator[tuple[FileKind, str, bytes]]:
        """All files as (kind, hash that is their name, content)."""
        for name in self.manifest.members:
            if match := _FILE.fullmatch(name):
                yield FileKind(match[1]), match[2], self._archive.read(name)


@contextmanager
def opened_backup(path: Path) -> Iterator[BackupReader]:
    """Open a backup and check all of it; what it holds can then be relied on.

    Raises:
        InputError: no backup of this program, or one that is damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise InputError("There is no such backup file. Check the name.") from error
    except _BROKEN as error:
        raise InputError("That is no backup, or one that was cut short. Take another copy.") from error
    with archive:
        try:
            manifest = _manifest(archive)
            _check_names(archive, manifest)
            _check_bounds(archive, path)
            _check_contents(archive, manifest)
        except InputError:  # which is a ValueError too
            raise
        except _BROKEN as error:
            raise InputError("The backup is damaged. Take another copy.") from error
        yield BackupReader(archive, manifest)


def member_name(kind: FileKind, sha256: str) -> str:
    """Where a file of the store lies in the zip."""
    return f"{kind.value}/{sha256}"


def is_as_named(kind: FileKind, sha256: str, content: bytes) -> bool:
    """Whether a file holds what its name says; where names say nothing of that, it does."""
    return kind not in NAMED_BY_CONTENT or hashlib.sha256(content).hexdigest() == sha256


def _entry(name: str, packing: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = packing
    return entry


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    try:
        entry = archive.getinfo(MANIFEST)
        if entry.file_size > _MOST_MANIFEST_BYTES or entry.compress_type not in _PACKED:
            raise InputError("The manifest of the backup is not as this program writes it.")
        return Manifest.model_validate_json(archive.read(entry))
    except KeyError as error:
        raise InputError(
            "That zip file is no backup, or one that was cut short: it has no manifest. Take another copy."
        ) from error
    except ValidationError as error:
        raise InputError(
            "The manifest of the backup is damaged, or of a version this program does not know."
        ) from error


def _check_names(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Exactly the members that the manifest lists, once each, and of the kinds that a backup holds."""
    found = Counter(archive.namelist())
    if found != Counter([MANIFEST, *manifest.members]):
        raise InputError("The backup does not hold what its manifest lists. Take another copy.")
    tables = {match[1] for name in manifest.members if (match := _TABLE.fullmatch(name))}
    files = {name for name in manifest.members if _FILE.fullmatch(name)}
    if tables != set(manifest.rows) or len(tables) + len(files) != len(manifest.members):
        raise InputError("The backup holds files that no backup has, so it was left alone.")


def _check_bounds(archive: zipfile.ZipFile, path: Path) -> None:
    """Nothing that unpacks to more than it may: files lie in the zip as they are, none over another."""
    entries = archive.infolist()
    for entry in entries:
        is_file = _FILE.fullmatch(entry.filename) is not None
        if (
            entry.flag_bits & 1
            or entry.compress_type not in (_PACKED[:1] if is_file else _PACKED)
            or (is_file and entry.file_size > MAX_FILE_BYTES)
        ):
            raise InputError("The backup is packed in a way that no backup is, so it was left alone.")
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise InputError("The backup is packed in a way that no backup is, so it was left alone.")


def _check_contents(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    for name, expected in manifest.members.items():
        table, file = _TABLE.fullmatch(name), _FILE.fullmatch(name)
        with archive.open(name) as member:
            digest, parts = _measured(_lines(member) if table else _blocks(member))
        is_misnamed = file and FileKind(file[1]) in NAMED_BY_CONTENT and file[2] != digest
        if digest != expected or is_misnamed or (table and parts != manifest.rows[table[1]]):
            raise InputError(f"The backup is damaged: {name} is not what was saved. Take another copy.")


def _measured(parts: Iterator[bytes]) -> tuple[str, int]:
    """SHA-256 of all parts together, and how many they are."""
    digest, count = hashlib.sha256(), 0
    for count, part in enumerate(parts, 1):  # noqa: B007 - the number of the last one
        digest.update(part)
    return digest.hexdigest(), count


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(2**20):
        yield block


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise InputError("The backup holds a row that is too long to be one, so it was left alone.")
        yield line
