"""Schemas: what the steps make, old stores brought up, newer ones left alone."""

from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, insert, inspect, select, text
from sqlalchemy.engine import Connection

from mambaad_demo.errors import SchemaTooNewError
from mambaad_demo.storage import migrations
from mambaad_demo.storage.database import Database
from mambaad_demo.storage.labels import products
from mambaad_demo.storage.migrations import (
    FOLDER,
    VERSION_TABLE,
    current_revision,
    migrate,
    newest_revision,
    script_directory,
)
from mambaad_demo.storage.tables import Table
from mambaad_demo.storage.workspace import Workspace
from tests.databases import Store
from tests.storage.parts import PRODUCT, add, everything, judged
from tests.storage.teams import fill

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
STEPS = [step.revision for step in script_directory().walk_revisions()][::-1]


def assert_newest(store: Store) -> None:
    with store.opened() as workspace, workspace.database.reading() as session:
        assert current_revision(session.connection()) == newest_revision()
        assert compare_metadata(MigrationContext.configure(session.connection()), Table.metadata) == []


def write_revision(store: Store, revision: str) -> None:
    with (
        closing(Database.at_any_schema(store.database_url)) as database,
        database.writing() as session,
    ):
        session.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": revision})


def copy_rows(workspace: Workspace, connection: Connection) -> None:
    """Fill the tables of an older schema with what a store holds."""
    schema = MetaData()
    schema.reflect(connection)
    with workspace.database.reading() as session:
        for table in schema.sorted_tables:
            if table.name != VERSION_TABLE:
                newest = Table.metadata.tables[table.name].columns
                columns = [newest[column.name] for column in table.columns]
                rows = [dict(row) for row in session.execute(select(*columns)).mappings()]
                connection.execute(insert(table), rows)


def test_the_steps_are_one_line_of_numbers():
    assert [f"{number:04d}" for number in range(1, len(STEPS) + 1)] == STEPS
    assert newest_revision() == STEPS[-1]


def test_the_steps_make_exactly_the_tables_of_the_program(workspace):
    with workspace.database.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
        names = set(inspect(session.connection()).get_table_names())
    assert names == {*Table.metadata.tables, "alembic_version"}


@KINDS
@pytest.mark.parametrize("revision", STEPS)
def test_every_old_schema_is_brought_to_the_newest_with_its_rows(new_store, kind, revision):
    full, store = new_store(kind), new_store(kind, bare=True)
    with full.opened() as workspace, closing(Database.at_any_schema(store.database_url)) as old:
        fill(workspace)
        with old.writing() as session:
            migrate(session.connection(), revision)
            copy_rows(workspace, session.connection())
        before = everything(old)
        rows = everything(workspace.database)
    assert_newest(store)
    with store.opened() as workspace:
        assert everything(workspace.database) == {name: [] for name in rows} | {
            name: rows[name] for name in before
        }


def test_opening_again_changes_nothing(workspace, store):
    add(workspace, judged(1))
    before = everything(workspace.database)
    with store.opened():
        pass
    assert everything(workspace.database) == before


def test_the_program_of_tomorrow_keeps_the_rows_of_today(workspace, store, tomorrow):
    add(workspace, judged(1), judged(2))
    before = everything(workspace.database)
    tomorrow()
    with store.opened() as migrated:
        after = everything(migrated.database)
        assert after.pop("alembic_version") == ["('9999',)"]
        assert after.pop("products") == [row[:-1] + ", None)" for row in before["products"]]
        assert after == {name: before[name] for name in after}
        assert list(products(migrated)) == [PRODUCT]


def test_a_store_of_the_program_of_tomorrow_is_refused_and_left_alone(workspace, store):
    add(workspace, judged(1))
    write_revision(store, "9999")
    before = everything(workspace.database)
    with pytest.raises(SchemaTooNewError, match=r"schema 9999.*Update this program; nothing was changed"):
        store.opened().__enter__()
    assert everything(workspace.database) == before


@KINDS
def test_a_step_that_fails_leaves_the_schema_as_it_was(new_store, kind, tomorrow, monkeypatch):
    store = new_store(kind)
    tomorrow(ending="    raise RuntimeError('a bug')\n")
    with pytest.raises(RuntimeError, match="a bug"):
        store.opened().__enter__()
    monkeypatch.setattr(migrations, "FOLDER", FOLDER)
    assert_newest(store)
