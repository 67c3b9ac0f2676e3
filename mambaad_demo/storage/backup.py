"""Backup and restore: the whole store, all workspaces, as one file that any empty store can be filled from.

Rows are read at one moment, so a backup made while people work is consistent. They carry the schema they were
written with; restoring brings them to the schema of this program. `backup_file` knows the file itself.
"""

import os
import secrets
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

from sqlalchemy import DateTime, MetaData, Table, func, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from mambaad_demo.errors import InputError, SchemaTooNewError, StorageError
from mambaad_demo.storage import tables
from mambaad_demo.storage.backup_file import (
    BackupReader,
    BackupWriter,
    Manifest,
    is_as_named,
    member_name,
    opened_backup,
)
from mambaad_demo.storage.database import Database
from mambaad_demo.storage.files import FileKind, FileStore
from mambaad_demo.storage.migrations import is_known, migrate, newest_revision, without_tables
from mambaad_demo.storage.workspace import Workspace

_ROWS_AT_ONCE = 500
_NAMED_IN = (
    (FileKind.PICTURE, tables.Image.sha256),
    (FileKind.PREVIEW, tables.Image.sha256),
    (FileKind.THUMBNAIL, tables.Image.sha256),
    (FileKind.MAP, tables.Inspection.map_sha256),
    (FileKind.MASK, tables.Decision.mask_sha256),
)
"""Columns that name files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """What a backup holds."""

    schema_revision: str
    program: str
    """Version of the program that wrote it."""
    created_at: datetime
    rows: dict[str, int]
    """How many, by table."""
    files: dict[str, int]
    """How many, by kind."""
    missing: tuple[str, ...]
    """Files that rows name, and that were gone or damaged already when the backup was made."""
    size: int
    """Bytes of the backup."""

    @classmethod
    def of(cls, manifest: Manifest, path: Path) -> Self:
        """The facts of a backup file."""
        kinds = Counter(name.partition("/")[0] for name in manifest.members)
        return cls(
            schema_revision=manifest.schema_revision,
            program=manifest.program,
            created_at=manifest.created_at,
            rows=manifest.rows,
            files={kind.value: kinds[kind.value] for kind in FileKind},
            missing=manifest.missing,
            size=path.stat().st_size,
        )


def back_up(workspace: Workspace, target: Path) -> BackupFacts:
    """Write the whole store, all workspaces, to a new file, which appears whole or not at all.

    People may go on working meanwhile. A file of the store that is lost or damaged does not stand in the way
    of saving all others: it is listed as missing.

    Raises:
        InputError: there is a file of this name already.
        StorageError: the store cannot be read, or the file not be written.
    """
    if target.exists():
        raise InputError("There is a file of this name already. Choose another name for the backup.")
    try:
        with _appearing(target) as file, zipfile.ZipFile(file, "w") as archive:
            writer = BackupWriter(archive)
            created_at = datetime.now(UTC)
            with workspace.database.reading() as session:
                for table in tables.Table.metadata.sorted_tables:
                    writer.add_table(table.name, _rows(session, table))
                named = list(_named_files(session))
            missing = tuple(_add_files(writer, workspace.files, named))
            manifest = writer.finish(
                schema_revision=newest_revision(), created_at=created_at, missing=missing
            )
        return BackupFacts.of(manifest, target)
    except OSError as error:
        raise StorageError(
            "The backup could not be written: the folder is missing or full, or not ours to write to. Choose "
            "another place."
        ) from error


def restore(database_url: str, files_url: str, source: Path) -> BackupFacts:
    """Fill an empty store from a backup, which is checked as a whole before anything is written.

    Nobody else may use the store meanwhile. Rows come in one transaction; files without rows, which a failure
    leaves behind, do no harm.

    Raises:
        InputError: no backup, a damaged one, or a store that holds data.
        SchemaTooNewError: a newer version of this program made the backup, or uses the store.
        StorageError: the store failed; there are no rows in it.
    """
    with opened_backup(source) as backup:
        _require_known(backup.manifest.schema_revision)
        files = FileStore(files_url)
        database = Database.at_any_schema(database_url)
        try:
            with database.writing() as session:
                connection = session.connection()
                _prepare(connection, backup.manifest.schema_revision)
                _write_files(files, backup)
                _insert(connection, backup)
                migrate(connection)
        finally:
            database.close()
        return BackupFacts.of(backup.manifest, source)


@contextmanager
def _appearing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is complete and on the disk."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def _rows(session: Session, table: Table) -> Iterator[dict[str, Any]]:
    query = select(table).order_by(*table.primary_key)
    for row in session.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}).mappings():
        yield {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()
        }


def _named_files(session: Session) -> Iterator[tuple[FileKind, str]]:
    for kind, column in _NAMED_IN:
        for sha256 in session.scalars(select(column).where(column.is_not(None)).distinct().order_by(column)):
            yield kind, str(sha256)


def _add_files(
    writer: BackupWriter, files: FileStore, named: Iterable[tuple[FileKind, str]]
) -> Iterator[str]:
    """Add the files; yields the names of those that are missing."""
    for kind, sha256 in named:
        content = files.read(kind, sha256) if files.holds(kind, sha256) else None
        if content is not None and is_as_named(kind, sha256, content):
            writer.add_file(kind, sha256, content)
        else:
            yield member_name(kind, sha256)


def _require_known(revision: str) -> None:
    if not is_known(revision):
        raise SchemaTooNewError(
            f"The backup has the schema {revision}, which this version does not know: a newer version made "
            "it. Update this program; nothing was changed."
        )


def _prepare(connection: Connection, revision: str) -> None:
    """Empty tables of a schema, whatever the store was made with."""
    migrate(connection)
    for table in tables.Table.metadata.sorted_tables:
        if connection.scalar(select(select(table).exists())):
            raise InputError(
                "This store holds data already; nothing was changed. Restore into an empty one: set "
                "MAMBAAD_HOME or MAMBAAD_DATABASE_URL to another place."
            )
    if revision != newest_revision():
        without_tables(connection)
        migrate(connection, revision)


def _write_files(files: FileStore, backup: BackupReader) -> None:
    """Write the files; what lies there under the same name with other content is replaced."""
    for kind, sha256, content in backup.files():
        if files.holds(kind, sha256) and files.read(kind, sha256) != content:
            files.delete(kind, sha256)
        files.write(kind, sha256, content)


def _insert(connection: Connection, backup: BackupReader) -> None:
    """Insert all rows, in an order in which those come first that others refer to."""
    schema = MetaData()
    schema.reflect(connection, only=sorted(backup.manifest.rows))
    for table in schema.sorted_tables:
        rows = backup.rows(table.name)
        while some := [_values(table, row) for row in islice(rows, _ROWS_AT_ONCE)]:
            connection.execute(insert(table), some)
        if connection.dialect.name == "postgresql":
            _set_sequences(connection, table)


def _values(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """A row as its table takes it."""
    moments = {column.name for column in table.columns if isinstance(column.type, DateTime)}
    try:
        if row.keys() != set(table.columns.keys()):
            raise ValueError("other columns")
        return {
            name: datetime.fromisoformat(value) if name in moments and value is not None else value
            for name, value in row.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError("A row of the backup is not as its schema says. Take another copy.") from error


def _set_sequences(connection: Connection, table: Table) -> None:
    """Numbers that PostgreSQL gives out next come after those that were inserted."""
    for column in table.primary_key:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
        if sequence is not None:
            connection.execute(select(func.setval(sequence, select(func.max(column)).scalar_subquery())))
