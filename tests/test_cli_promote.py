"""`golden`, `promote` and `rollback` on the command line: what they print, store and exit with."""

import json

import pytest
import typer
from typer.testing import CliRunner

from mambaad_demo.cli import promote as commands
from mambaad_demo.cli.store import open_store
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.workflow.promotion import active, history
from tests.workflow.versions import CATEGORY, KNOWN, Version, Versions, add_golden

runner = CliRunner()


@pytest.fixture
def catalog():
    return Versions(
        Version("mambaad"), Version("cap-1"), Version("cap-2", check=0.7, reject=0.8), own=("cap-1", "cap-2")
    )


@pytest.fixture
def call(tmp_path, monkeypatch, catalog):
    """Call the commands over a store with a golden set; cap-2 accepts one of its defects."""
    monkeypatch.setenv("MAMBAAD_HOME", str(tmp_path / "home"))
    for name in ("MAMBAAD_DATABASE_URL", "MAMBAAD_FILES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(commands, "Catalog", lambda *arguments, **options: catalog)
    monkeypatch.setattr(commands, "predictor_of", lambda name, device: catalog.predictor(name))
    app = typer.Typer()
    commands.add_to(app)
    store = open_store()
    add_golden(store, KNOWN)
    store.database.close()
    return lambda *arguments: runner.invoke(app, [*arguments])


def promoted(call, name, *options):
    return call("promote", name, "--category", CATEGORY, "--note", "more photos", *options)


def stored():
    """The active version and the history."""
    store = open_store()
    try:
        return active(store, CATEGORY), history(store, CATEGORY)
    finally:
        store.database.close()


def test_golden_tells_what_would_go_wrong_and_exits_with_one_where_that_blocks(call):
    result = call("golden", "cap-2", "--category", CATEGORY)
    assert result.exit_code == 1
    headline, *_ = result.stdout.splitlines()
    assert headline.startswith("Blocked: 1 defective part")
    assert "cap-2: of 2 defective parts 1 accepted, 0 to check; of 2 good parts 0 rejected" in result.stdout
    assert "escape: scratch.png" in result.stdout
    assert stored() == (None, [])


def test_golden_exits_with_zero_where_nothing_blocks(call):
    result = call("golden", "cap-1", "--category", CATEGORY)
    assert result.exit_code == 0
    assert result.stdout.startswith("Passed")


def test_golden_prints_json_and_nothing_else(call):
    result = call("golden", "cap-2", "--category", CATEGORY, "--json")
    report = json.loads(result.stdout)
    assert (report["blocked"], report["new_escapes"]) == (True, ["scratch.png"])
    assert (report["before"]["checkpoint"], report["after"]["checkpoint"]) == ("mambaad", "cap-2")


def test_an_empty_golden_set_warns(call):
    result = call("golden", "cap-1", "--category", CATEGORY, "--product", "other")
    assert result.exit_code == 0
    assert "warning: Nothing stands between a bad version and production" in result.stdout


def test_promote_makes_a_version_active(call):
    result = promoted(call, "cap-1", "--actor", "Mira")
    assert result.exit_code == 0
    assert result.stdout == "cap-1 is now the active version of cap\n"
    name, (step,) = stored()
    assert (name, step.note, step.actor) == ("cap-1", "more photos", "Mira")


def test_a_blocked_version_exits_with_one_and_a_reason_unblocks_it(call):
    result = promoted(call, "cap-2")
    assert result.exit_code == 1
    assert "Error: Blocked: 1 defective part" in result.stderr
    assert "escape: scratch.png" in result.stderr
    assert stored()[0] is None
    reason = "the customer accepts scratches"
    assert promoted(call, "cap-2", "--override-reason", reason).exit_code == 0
    assert stored()[1][0].override_reason == reason


def test_rollback_goes_back_and_says_what_was_not_done(call):
    promoted(call, "cap-1")
    result = call("rollback", "--category", CATEGORY, "--note", "too strict")
    assert result.exit_code == 0
    assert result.stdout == "The default checkpoint serves cap again; the golden set was not replayed\n"
    assert stored()[0] is None


def test_rollback_names_the_versions_that_cannot_be_used_any_more(call, catalog):
    for name in ("cap-1", "cap-2", "mambaad"):
        assert promoted(call, name, "--override-reason", "for a try only").exit_code == 0
    catalog.versions.pop("cap-2")

    result = call("rollback", "--category", CATEGORY, "--note", "too strict")

    assert result.stdout.startswith("cap-1 serves cap again, since cap-2 cannot be used any more; ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("golden", "cap-9", "--category", CATEGORY), "There is no checkpoint 'cap-9'"),
        (("golden", "cap-1", "--category", "gear"), "does not know the category 'gear'"),
        (("promote", "cap-1", "--category", CATEGORY, "--note", " "), "Write a change note first"),
        (("rollback", "--category", CATEGORY, "--note", "n"), "nothing to take back"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_two(call, arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert message in line


def test_known_escapes_are_told_although_they_do_not_block(call):
    store = open_store()
    add_golden(store, {"faint.png": (0.1, Finding.DEFECT)}, start=9)
    store.database.close()
    result = call("golden", "cap-1", "--category", CATEGORY)
    assert result.exit_code == 0
    assert "1 defective part is still accepted" in result.stdout
    assert "escape: faint.png" in result.stdout
