"""Everything a query needs to know: the database, the files, and whose rows it may see."""

from dataclasses import dataclass, replace
from typing import Self

from mambaad_demo.storage.database import Database
from mambaad_demo.storage.files import FileStore

SHARED = "shared"
"""The workspace of a machine whose visitors work together."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """One team's part of the store; every function of this layer takes it first."""

    database: Database
    files: FileStore
    key: str = SHARED

    @classmethod
    def open(cls, database_url: str, files_url: str) -> Self:
        """Open a store at the newest schema.

        Raises:
            StorageError: it cannot be reached, or a newer version wrote it.
        """
        return cls(Database.open(database_url), FileStore(files_url))

    def of(self, key: str) -> Self:
        """The same store, seen by others."""
        return replace(self, key=key)
