"""The door to the database: transactions, several at once, and errors in our own words."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text, update

from mambaad_demo.errors import InputError, StorageError, StoreBusyError
from mambaad_demo.storage import database as database_module
from mambaad_demo.storage.database import Database
from mambaad_demo.storage.tables import Image, Product, Reviewer, Study

SECRET = "hunter2"
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY_TEXT = st.text(st.characters())


def add_reviewer(database: Database, name: str) -> None:
    with database.writing() as session:
        session.add(Reviewer(workspace="w", name=name))


def picture_of(product: Product, **values: float) -> Image:
    look = {"brightness": 0.5, "sharpness": 1.0} | values
    return Image(
        workspace="w", product_id=product.id, sha256=secrets.token_hex(32), name="", width=1, height=1, **look
    )


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Reviewer.name).order_by(Reviewer.name)))


def test_what_is_written_is_there_for_the_next_program(workspace, store):
    add_reviewer(workspace.database, "Mira")
    with store.opened() as again:
        assert names(again.database) == ["Mira"]


def test_a_transaction_that_fails_leaves_no_trace(workspace):
    def fail_in_the_middle() -> None:
        with workspace.database.writing() as session:
            session.add(Reviewer(workspace="w", name="Mira"))
            session.flush()
            raise InputError("changed my mind")

    with pytest.raises(InputError, match="changed my mind"):
        fail_in_the_middle()
    assert names(workspace.database) == []


def test_a_reader_sees_one_moment(workspace):
    add_reviewer(workspace.database, "before")
    with workspace.database.reading() as session:
        count = select(func.count()).select_from(Reviewer)
        first = session.scalar(count)
        add_reviewer(workspace.database, "meanwhile")
        assert session.scalar(count) == first == 1
    assert names(workspace.database) == ["before", "meanwhile"]


def test_a_reader_does_not_wait_for_a_writer(workspace):
    with workspace.database.writing() as session:
        session.add(Reviewer(workspace="w", name="Mira"))
        session.flush()
        assert names(workspace.database) == []
    assert names(workspace.database) == ["Mira"]


def test_rows_that_refer_to_nothing_are_refused(workspace):
    def add_orphan() -> None:
        with workspace.database.writing() as session:
            session.add(picture_of(Product(id=7)))

    with pytest.raises(StorageError):
        add_orphan()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    st.datetimes(
        min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1),
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | FINITE | ANY_TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
        max_leaves=8,
    ),
)  # fmt: skip
def test_moments_and_json_come_back_equal(workspace, moment, content):
    with workspace.database.writing() as session:
        study = Study(workspace="w", name="s", spec={"content": content}, result={}, created_at=moment)
        session.add(study)
        session.flush()
        number = study.id
    with workspace.database.reading() as session:
        back = session.get_one(Study, number)
        assert back.spec == {"content": content}
        assert back.created_at == moment
        assert back.created_at.utcoffset() == timedelta(0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(FINITE)
def test_numbers_come_back_to_the_last_bit(workspace, number):
    with workspace.database.writing() as session:
        product = Product(workspace="w", name=secrets.token_hex(8), defect_types=[])
        session.add(product)
        session.flush()
        image = picture_of(product, brightness=number, sharpness=-number)
        session.add(image)
        session.flush()
        image_id = image.id
    with workspace.database.reading() as session:
        back = session.get_one(Image, image_id)
        assert (back.brightness, back.sharpness) == (number, -number)


def test_sqlite_keeps_what_is_confirmed_through_a_power_cut(tmp_path):
    names = ("journal_mode", "synchronous", "foreign_keys")
    with (
        closing(Database.open(f"sqlite:///{tmp_path / 'a.db'}")) as database,
        database.reading() as session,
    ):
        pragmas = {name: session.scalar(text(f"PRAGMA {name}")) for name in names}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2 is FULL


def test_a_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Database.open("sqlite:///~/new/folder/a.db").close()
    assert (tmp_path / "new" / "folder" / "a.db").is_file()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_programs_that_start_at_once_make_the_tables_once(new_store, kind):
    url = new_store(kind, bare=True).database_url
    start = threading.Barrier(5, timeout=60)

    def open_and_write(number: int) -> None:
        start.wait()
        with closing(Database.open(url)) as database:
            add_reviewer(database, str(number))

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(open_and_write, range(5)))
    with closing(Database.open(url)) as database:
        assert names(database) == list("01234")


class TestErrors:
    """Foreign errors become ours, with what to do next, and repeat no value, path, password or statement."""

    @pytest.fixture
    def impatient(self, store, monkeypatch):
        """A database whose writers wait a tenth of a second."""
        monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
        with closing(Database.open(store.database_url)) as database:
            yield database

    def test_a_writer_who_waits_too_long_is_told_to_try_again(self, impatient):
        add_reviewer(impatient, "Mira")
        rename = update(Reviewer).values(name=SECRET)
        with impatient.writing() as first:
            first.execute(rename)
            with pytest.raises(StoreBusyError, match="Try again") as caught, impatient.writing() as second:
                second.execute(rename)
        assert "reviewers" not in str(caught.value)
        add_reviewer(impatient, "afterwards")
        assert names(impatient) == ["afterwards", SECRET]

    @pytest.fixture
    def on_postgresql(self, new_store):
        with closing(Database.open(new_store("postgresql").database_url)) as database:
            yield database

    def test_of_two_writers_who_wait_for_each_other_one_goes_on(self, on_postgresql):
        database = on_postgresql
        for name in ("a", "b"):
            add_reviewer(database, name)
        both_hold_one = threading.Barrier(2, timeout=60)

        def lock(first: str, second: str) -> str:
            try:
                with database.writing() as session:
                    session.execute(update(Reviewer).where(Reviewer.name == first).values(workspace="x"))
                    both_hold_one.wait()
                    session.execute(update(Reviewer).where(Reviewer.name == second).values(workspace="x"))
            except StoreBusyError:
                return "busy"
            return "done"

        with ThreadPoolExecutor(2) as threads:
            said = list(threads.map(lock, "ab", "ba"))
        assert sorted(said) == ["busy", "done"]

    def test_a_full_disk_under_sqlite(self, tmp_path):
        with closing(Database.open(f"sqlite:///{tmp_path / 'a.db'}")) as database:
            database.close()
            event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 1"))
            with (
                pytest.raises(StorageError, match="disk of the store is full"),
                database.writing() as session,
            ):
                session.add(Study(workspace="w", name=SECRET, spec={"much": "x" * 10**6}, result={}))

    @pytest.mark.parametrize(
        ("number", "message"),
        [("53100", "disk of the store is full"), ("57P01", "cannot be reached"), ("XX000", "log says why")],
    )
    def test_what_postgresql_reports(self, on_postgresql, number, message):
        failing = text(f"DO $$ BEGIN RAISE EXCEPTION '{SECRET}' USING ERRCODE = '{number}'; END $$")
        with pytest.raises(StorageError, match=message) as caught, on_postgresql.writing() as session:
            session.execute(failing)
        assert SECRET not in str(caught.value)

    def test_a_store_that_may_only_be_read(self, workspace):
        only = "PRAGMA query_only = ON" if workspace.database.is_sqlite else "SET TRANSACTION READ ONLY"

        def write() -> None:
            with workspace.database.writing() as session:
                session.execute(text(only))
                session.add(Reviewer(workspace="w", name=SECRET))

        with pytest.raises(StorageError, match="may only be read") as caught:
            write()
        assert SECRET not in str(caught.value)

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / SECRET).write_text("in the way")
        with pytest.raises(StorageError, match="MAMBAAD_HOME") as caught:
            Database.open(f"sqlite:///{tmp_path / SECRET / 'a.db'}")
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("is_folder", [True, False])
    def test_a_file_that_is_no_database(self, tmp_path, is_folder):
        path = tmp_path / SECRET
        if is_folder:
            path.mkdir()
        else:
            path.write_bytes(b"no database" * 100)
        with pytest.raises(StorageError, match="MAMBAAD_DATABASE_URL") as caught:
            Database.open(f"sqlite:///{path}")
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://mira:{SECRET}@127.0.0.1:1/store",
            f"postgresql://mira:{SECRET}@/store?host=/nowhere/at/all",
            f"postgresql://mira:{SECRET}@127.0.0.1:{SECRET}/store",
            f"mysql://mira:{SECRET}@127.0.0.1/store",
            f"postgresql+asyncpg://mira:{SECRET}@127.0.0.1/store",
            f"{SECRET}://x",
            f"{SECRET}",
        ],
    )
    def test_a_database_that_is_not_there_or_of_no_kind_we_use(self, url):
        with pytest.raises(StorageError) as caught:
            Database.open(url)
        assert SECRET not in str(caught.value).replace(f"kind {SECRET!r}", "")
        assert "127.0.0.1" not in str(caught.value)
        assert "Use sqlite or postgresql" in str(caught.value) or "Check" in str(caught.value)

    def test_a_database_that_goes_away_and_comes_back(self, on_postgresql, postgresql):
        database = on_postgresql
        add_reviewer(database, "before")

        def write() -> None:
            with database.writing() as session:
                session.add(Reviewer(workspace="w", name="lost"))
                session.flush()
                postgresql.end_connections(database.engine.url.database)

        with pytest.raises(StorageError, match="cannot be reached"):
            write()
        add_reviewer(database, "after")
        assert names(database) == ["after", "before"]

    @pytest.mark.parametrize("value", [2**80, -(2**70), "\ud800"])
    def test_values_that_no_database_holds_are_the_fault_of_who_sent_them(self, workspace, value):
        column = Reviewer.name if isinstance(value, str) else Reviewer.id
        try:
            with workspace.database.reading() as session:
                found = list(session.scalars(select(Reviewer).where(column == value)))
        except InputError as error:
            found = [] if "Load the page again" in str(error) else [error]
        assert found == []
