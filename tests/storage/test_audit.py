"""The audit trail."""

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit
from mambaad_demo.storage.audit import entries
from mambaad_demo.storage.workspace import Workspace

DETAILS = {"finding": "defect", "mask": None, "count": 3, "share": 0.1, "repeat": False, "names": ["ü", "🙂"]}


def note(workspace: Workspace, subject: str, **details: object) -> None:
    with workspace.database.writing() as session:
        audit.note(session, workspace, actor="Mira", action="decided", subject=subject, **details)


def test_a_line_comes_back_as_it_was_noted(workspace):
    note(workspace, "image 1", **DETAILS)
    (entry,) = entries(workspace)
    assert (entry.actor, entry.action, entry.subject) == ("Mira", "decided", "image 1")
    assert entry.details == DETAILS


def test_the_newest_lines_come_first(workspace):
    for number in range(5):
        note(workspace, f"image {number % 2}", number=number)
    assert [entry.details["number"] for entry in entries(workspace)] == [4, 3, 2, 1, 0]
    assert [entry.details["number"] for entry in entries(workspace, subject="image 1")] == [3, 1]
    assert [entry.details["number"] for entry in entries(workspace, at_most=2)] == [4, 3]
    assert [entry.at for entry in entries(workspace)] == sorted(
        (entry.at for entry in entries(workspace)), reverse=True
    )


def test_a_line_is_kept_only_with_what_it_speaks_of(workspace):
    def note_and_fail() -> None:
        with workspace.database.writing() as session:
            audit.note(session, workspace, actor="Mira", action="decided", subject="image 1")
            raise InputError("no")

    with pytest.raises(InputError):
        note_and_fail()
    assert entries(workspace) == []
