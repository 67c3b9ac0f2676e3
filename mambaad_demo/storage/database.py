"""One door to the database: open it at the newest schema, read in one transaction, write in one transaction.

SQLite (write-ahead log, one writer at a time) or PostgreSQL, by URL. Foreign errors become ours here.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from mambaad_demo.errors import StorageError, StoreBusyError
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
    def open(cls, url: str, *, revision: str = "head") -> Self:
        """Connect, creating or migrating the tables as needed.

        Args:
            url: as SQLAlchemy means it; `postgresql://` takes psycopg.
            revision: schema to migrate to.

        Raises:
            SchemaTooNewError: a newer version of this program has been at it.
            StorageError: it cannot be reached.
        """
        engine = _engine(url)
        with _translated():
            try:
                with engine.execution_options(is_writing=True).begin() as connection:
                    migrate(connection, revision)
            except BaseException:
                engine.dispose()
                raise
        return cls(engine)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one moment of the database."""
        with _translated(), Session(self._reading) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits as a whole when it ends, and leaves no trace when it fails.

        Raises:
            StoreBusyError: other writers did not let go within `BUSY_SECONDS`.
            StorageError: the database failed; nothing was changed.
        """
        with _translated(), Session(self._writing, expire_on_commit=False) as session, session.begin():
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
            _make_folder(parsed)
            options["connect_args"] = {"timeout": BUSY_SECONDS, "check_same_thread": False}
        else:
            options["connect_args"] = {"connect_timeout": BUSY_SECONDS}
            options["pool_pre_ping"] = True
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StorageError(
            "MAMBAAD_DATABASE_URL names no database that can be used here. Check its beginning."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_folder(url: URL) -> None:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError("The folder of the database cannot be made. Check MAMBAAD_HOME.") from error


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
    connection.execute("PRAGMA synchronous = FULL")  # a confirmed decision survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """Writers queue up at the start, where waiting is safe, and not in the middle, where it would fail."""
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    """Foreign errors as ours; their texts hold statements and values and stay in the log's traceback."""
    try:
        yield
    except DBAPIError as error:
        text = str(error.orig).lower()
        if "database is locked" in text or "lock timeout" in text:
            raise StoreBusyError("The store is busy; nothing was changed. Try again in a moment.") from error
        if "full" in text or "no space left" in text:
            raise StorageError(
                "The disk of the store is full; nothing was changed. Make room and try again."
            ) from error
        raise StorageError("The store did not do as asked; nothing was changed. The log says why.") from error
    except SQLAlchemyError as error:
        raise StorageError("The store did not do as asked; nothing was changed. The log says why.") from error
