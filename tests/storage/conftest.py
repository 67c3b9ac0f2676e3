"""Stores on SQLite and on PostgreSQL, and the program of tomorrow."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mambaad_demo.storage import migrations
from mambaad_demo.storage.migrations import newest_revision
from tests.databases import make_templates, new_store, postgresql, store, workspace

__all__ = ["new_store", "postgresql", "store", "workspace"]

NEXT_STEP = '''"""Reviewers get a color, and products may be retired."""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade() -> None:
    op.add_column("reviewers", sa.Column("color", sa.String(20), nullable=False, server_default="gray"))
    with op.batch_alter_table("products") as products:
        products.add_column(sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
'''


@pytest.fixture
def tomorrow(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Turns the program into that of tomorrow, with one step more."""
    make_templates(request.config)

    def become(*, ending: str = "") -> None:
        folder = shutil.copytree(migrations.FOLDER, tmp_path / "migrations")
        step = NEXT_STEP.format(newest=newest_revision()) + ending
        (folder / "versions" / "9999_tomorrow.py").write_text(step, encoding="utf-8")
        monkeypatch.setattr(migrations, "FOLDER", folder)

    return become
