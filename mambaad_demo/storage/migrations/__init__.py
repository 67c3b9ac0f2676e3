"""Ordered steps of the schema, run by Alembic; `versions/` holds one file a step, oldest first.

A new step is a new file there with the next number and the change of `tables.py` written out; a test compares
both.
"""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, select, table
from sqlalchemy.engine import Connection

from mambaad_demo.errors import SchemaTooNewError
from mambaad_demo.storage.tables import Table

FOLDER = Path(__file__).parent

VERSION_TABLE = "alembic_version"

_LOCK = 0x6D616D6261  # any number that no other program uses


def script_directory() -> ScriptDirectory:
    """The steps as Alembic sees them."""
    return ScriptDirectory(str(FOLDER))


def newest_revision() -> str:
    """The schema of this program."""
    return str(script_directory().get_current_head())


def is_known(revision: str) -> bool:
    """Whether a schema is one of ours, up to this program's."""
    return revision in {step.revision for step in script_directory().walk_revisions()}


def current_revision(connection: Connection) -> str | None:
    """The schema of a database; None before its first step."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring a database to a schema, inside the caller's transaction; two programs at once take turns.

    Raises:
        SchemaTooNewError: its schema is none of ours.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    scripts = script_directory()
    current = current_revision(connection)
    if current is not None and not is_known(current):
        raise SchemaTooNewError(
            f"The store has the schema {current}, which this version does not know: a newer version wrote "
            "it. Update this program; nothing was changed."
        )
    if current == (newest_revision() if revision == "head" else revision):
        return
    with EnvironmentContext(
        Config(),
        scripts,
        fn=lambda known, context: scripts._upgrade_revs(revision, known),
        destination_rev=revision,
    ) as environment:
        environment.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
        environment.run_migrations()


def without_tables(connection: Connection) -> None:
    """Drop the tables of the newest schema, inside the caller's transaction; `migrate` then starts anew."""
    Table.metadata.drop_all(connection)
    connection.execute(delete(table(VERSION_TABLE)))
