"""Stores on SQLite and on a real PostgreSQL server; import the fixtures into a folder's `conftest.py`:

    from tests.databases import new_store, postgresql, store, workspace

    __all__ = ["new_store", "postgresql", "store", "workspace"]

Without PostgreSQL its half is skipped, unless REQUIRE_POSTGRES=1 asks for it.
"""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from mambaad_demo.storage.database import Database
from mambaad_demo.storage.workspace import Workspace
from tests.postgresql import NoPostgresqlError, PostgresqlServer

KINDS = ("sqlite", "postgresql")
_TEMPLATE = "migrated"
_SERVER = pytest.StashKey[PostgresqlServer]()


@dataclass(frozen=True, slots=True)
class Store:
    """Where a store is; what a process of its own needs to open it."""

    database_url: str
    files_url: str

    @contextmanager
    def opened(self) -> Iterator[Workspace]:
        """The store, open."""
        workspace = Workspace.open(self.database_url, self.files_url)
        with closing(workspace.database):
            yield workspace


NewStore = Callable[..., Store]
"""(kind, *, bare=False): an empty store on one of `KINDS`; a bare one has no tables yet."""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, new_store: NewStore) -> Store:
    """An empty store at the newest schema, once on each database."""
    return new_store(request.param)


@pytest.fixture
def workspace(store: Store) -> Iterator[Workspace]:
    """That store, open."""
    with store.opened() as opened:
        yield opened


@cache
def _migrated_sqlite() -> bytes:
    """A file with all tables and no rows, to be copied: migrating takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        Database.open(f"sqlite:///{path}").close()
        return path.read_bytes()


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewStore]:
    """Makes stores; those on PostgreSQL are dropped at the end of the test."""
    with ExitStack() as undoing:

        def new(kind: str, *, bare: bool = False) -> Store:
            name = f"store_{secrets.token_hex(6)}"
            files = str(tmp_path / name)
            if kind == "sqlite":
                path = tmp_path / f"{name}.db"
                if not bare:
                    path.write_bytes(_migrated_sqlite())
                return Store(f"sqlite:///{path}", files)
            server: PostgresqlServer = request.getfixturevalue("postgresql")
            server.create(name, template="template0" if bare else _TEMPLATE)
            undoing.callback(server.drop, name)
            return Store(server.url(name), files)

        yield new


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> PostgresqlServer:
    """A running server, one for all folders of tests that import this."""
    try:
        return _server(request.config)
    except NoPostgresqlError as error:
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            pytest.fail(f"REQUIRE_POSTGRES=1, but {error}. Install Debian's package postgresql.")
        pytest.skip(f"{error}; install Debian's package postgresql to run these tests")


def make_templates(config: pytest.Config) -> None:
    """Make what new stores are copied from, before a test gives the program another schema."""
    _migrated_sqlite()
    with suppress(NoPostgresqlError):
        _server(config)


def _server(config: pytest.Config) -> PostgresqlServer:
    if _SERVER not in config.stash:
        server = config.stash[_SERVER] = PostgresqlServer()
        config.add_cleanup(server.stop)
        server.create(_TEMPLATE)
        Database.open(server.url(_TEMPLATE)).close()
    return config.stash[_SERVER]
