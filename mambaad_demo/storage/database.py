"""One door to the database: open it at the newest schema, read in one transaction, write in one transaction.

SQLite (write-ahead log, one writer at a time) or PostgreSQL, by URL; foreign errors become ours.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.orm import Session

from mambaad_demo.errors import StorageError
from mambaad_demo.storage.foreign_errors import translated
from mambaad_demo.storage.migrations import migrate

BUSY_SECONDS = 15
"""How long a writer waits for another one."""


class Database:
    """An open database at the schema of this program; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(is_writing=True)
        snapshot = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reading = engine.execution_options(**snapshot)

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect, creating or migrating the tables as needed.

        Args:
            url: as SQLAlchemy means it; `postgresql://` takes psycopg.

        Raises:
            SchemaTooNewError: a newer version of this program has been at it.
            StorageError: it cannot be reached.
        """
        database = cls.at_any_schema(url)
        try:
            with database.writing() as session:
                migrate(session.connection())
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def at_any_schema(cls, url: str) -> Self:
        """The database as it is, perhaps without tables; it is not touched before it is used."""
        return cls(_engine(url))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database."""
        with translated(), Session(self._reading) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits as a whole when it ends, and leaves no trace when it fails.

        Raises:
            StoreBusyError: other writers did not let go within `BUSY_SECONDS`.
            StorageError: the database failed; nothing was changed.
        """
        with translated(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise StorageError(
                f"A database of the kind {parsed.drivername!r} is not supported. Use sqlite or postgresql."
            )
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            parsed = _with_folder(parsed)
            options["connect_args"] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
        else:
            options["connect_args"] = {"connect_timeout": BUSY_SECONDS}
            options["pool_pre_ping"] = True
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
        raise StorageError(
            "MAMBAAD_DATABASE_URL names no database that can be used here. Check its beginning."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _with_folder(url: URL) -> URL:
    """The address of a SQLite file without `~`, once its folder is there."""
    if not url.database or url.database == ":memory:" or url.query.get("uri"):
        return url
    path = Path(url.database).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError("The folder of the database cannot be made. Check MAMBAAD_HOME.") from error
    return url.set(database=str(path))


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
    connection.execute("PRAGMA synchronous = FULL")  # a confirmed decision survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")


def _prepare_postgresql(connection: psycopg.Connection[Any], record: object) -> None:
    connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """Writers queue up at the start, where waiting is safe, and not in the middle, where it would fail."""
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
