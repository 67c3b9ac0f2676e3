"""`push-labels`: labels of the store as a data set of the Hub."""

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from mambaad_demo.__main__ import app
from mambaad_demo.storage.workspace import Workspace
from tests.hub.client import REPO, SENDS_OLD_STYLE, TOKEN, hub, pauses
from tests.workflow.exchange.stores import CLIMBER, fill

__all__ = ["hub", "pauses"]

pytestmark = SENDS_OLD_STYLE
runner = CliRunner()


@pytest.fixture
def call(hub, tmp_path, monkeypatch):
    """Call the program with a store full of hostile names, a Hub, and a token for it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("MAMBAAD_HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("MAMBAAD_DATABASE_URL", "MAMBAAD_FILES_URL"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace.open(f"sqlite:///{home / 'mambaad.db'}", str(home / "files"))
    fill(workspace)
    workspace.database.close()
    return lambda *arguments: runner.invoke(app, ["push-labels", *arguments])


def test_labels_become_a_private_data_set(call, hub):
    result = call(REPO, "--format", "mvtec", "--product", CLIMBER)

    repo = hub.repos["dataset", REPO]
    files = repo.commits[repo.head]
    assert result.exit_code == 0
    assert repo.private
    assert f"dataset repository {REPO}, private" in result.stdout
    assert result.stdout.splitlines()[-1] == f"{REPO}@{repo.head}"
    assert "MAMBAAD_ALLOWED_REPOS" not in result.stderr
    assert {"README.md", "labels.json"} < files.keys()
    assert all(path in result.stdout for path in files)


def test_a_dry_run_shows_the_card_and_asks_the_hub_nothing(call, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    result = call(REPO, "--dry-run", "--public")

    assert result.exit_code == 0
    assert f"dataset repository {REPO}, public" in result.stdout
    assert "license: other" in result.stdout
    assert hub.requests == []


def test_an_older_export_is_replaced_only_when_asked_for(call, hub):
    hub.add_repo(REPO, kind="dataset", private=True).commit({"old.csv": b""})

    mixed = call(REPO)
    replaced = call(REPO, "--replace")

    assert (mixed.exit_code, replaced.exit_code) == (1, 0)
    assert "1 other files (first: old.csv)" in mixed.stderr
    repo = hub.repos["dataset", REPO]
    assert repo.commits[repo.head].keys() == {"labels.csv", "decisions.csv", "README.md"}


def test_a_store_without_labels_is_wrong_usage(call, hub):
    result = call(REPO, "--product", "nobody made this")

    assert result.exit_code == 2
    assert "Nothing is labeled" in result.stderr
    assert hub.requests == []
