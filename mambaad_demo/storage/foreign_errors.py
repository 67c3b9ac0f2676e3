"""What SQLite, PostgreSQL and SQLAlchemy complain about, in words of our own.

Their texts hold statements, values, addresses and paths: they stay in the traceback, which only the log sees.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from mambaad_demo.errors import InputError, StorageError, StoreBusyError

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40P01", "40001")  # also: deadlock, serialization failure
_FULL = ("SQLITE_FULL", "53100")
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_PERM", "25006", "42501")
_AWAY = ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "NO ANSWER", "08", "28", "3D", "53300", "57P")
"""Beginnings of the names and numbers that SQLite and PostgreSQL give to what went wrong."""


@contextmanager
def translated() -> Iterator[None]:
    """Foreign errors as ours.

    Raises:
        StoreBusyError: another writer did not let go in time.
        StorageError: the database failed.
        InputError: a number or a text that no database can hold; nothing was changed.
    """
    try:
        yield
    except (DataError, OverflowError, UnicodeEncodeError) as error:  # the last two as the drivers raise them
        raise InputError(
            "A number or a text is none that the store can hold. Load the page again."
        ) from error
    except DBAPIError as error:
        raise _ours(_code(error)) from error
    except SQLAlchemyError as error:
        raise _ours("") from error


def _ours(code: str) -> StorageError:
    if code.startswith(_BUSY):
        return StoreBusyError("The store is busy; nothing was changed. Try again in a moment.")
    if code.startswith(_FULL):
        return StorageError("The disk of the store is full; nothing was changed. Make room and try again.")
    if code.startswith(_READ_ONLY):
        return StorageError("The store may only be read; nothing was changed. Give this program the right.")
    if code.startswith(_AWAY):
        return StorageError(
            "The database cannot be reached or lets nobody in. Check that it runs and that "
            "MAMBAAD_DATABASE_URL names it."
        )
    return StorageError("The store did not do as asked; nothing was changed. The log says why.")


def _code(error: DBAPIError) -> str:
    """SQLite's name for what went wrong, or the five characters of the SQL standard."""
    original = error.orig
    if isinstance(original, psycopg.OperationalError) and original.sqlstate is None:
        return "NO ANSWER"
    if isinstance(original, psycopg.Error):
        return original.sqlstate or ""
    return str(getattr(original, "sqlite_errorname", ""))
