"""Rows that are made when first needed, by whoever comes first."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from mambaad_demo.storage.tables import Image, Product, Reviewer, Table, Version

_TURNS = 0x6D616D62  # any number that no other program uses


def take_turns(session: Session, workspace: str) -> None:
    """Wait until nobody else is in a transaction that adds or deletes pictures of a workspace; on SQLite all
    writers take turns anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_TURNS, func.hashtext(workspace))))


def id_of(
    session: Session,
    table: type[Product] | type[Image] | type[Reviewer] | type[Version],
    key: dict[str, Any],
    **values: Any,
) -> int:
    """The id of the row with this unique key, added with `values` where missing; two at once get the same."""
    columns = [getattr(table, name) == value for name, value in key.items()]
    found = session.scalar(select(table.id).where(*columns))
    if found is not None:
        return found
    add_if_missing(session, table, {**key, **values})
    return session.scalars(select(table.id).where(*columns)).one()


def add_if_missing(session: Session, table: type[Table], values: dict[str, Any]) -> bool:
    """Add a row unless a unique key forbids it; whether it was added."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    key = table.__table__.primary_key.columns  # type: ignore[attr-defined]
    added = session.execute(insert(table).values(**values).on_conflict_do_nothing().returning(*key))
    return added.first() is not None
