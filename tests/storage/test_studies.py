"""Studies as rows."""

from datetime import timedelta

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, studies
from mambaad_demo.storage.tables import now


def save(workspace, name="gear, mambaad"):
    return studies.save(
        workspace, name=name, spec={"seed": 3}, result={"parts": [0.1 + 0.2, None]}, actor="mira"
    )


def test_a_study_comes_back_as_it_was_saved(workspace):
    stored = studies.study(workspace, save(workspace, "=cmd() <b>\n🙂"))
    assert stored.name == "=cmd() <b> 🙂"
    assert stored.spec == {"seed": 3}
    assert stored.result == {"parts": [0.1 + 0.2, None]}


def test_the_newest_study_comes_first(workspace):
    numbers = [save(workspace, name) for name in ("first", "second", "third")]
    assert [(entry.id, entry.name) for entry in studies.studies(workspace, at_most=2)] == [
        (numbers[2], "third"),
        (numbers[1], "second"),
    ]


def test_studies_of_others_are_not_seen(workspace):
    number = save(workspace)
    others = workspace.of("others")
    assert studies.studies(others) == []
    with pytest.raises(InputError, match="no longer here"):
        studies.study(others, number)


def test_saving_leaves_a_line_in_the_trail(workspace):
    number = save(workspace)
    (entry,) = audit.entries(workspace, subject=f"study {number}")
    assert (entry.actor, entry.action) == ("mira", "study saved")


def test_old_studies_of_visitors_are_deleted_and_kept_ones_are_kept(workspace):
    visitor = workspace.of("visit-1")
    save(workspace), save(visitor)
    assert studies.delete_old(workspace, before=now() - timedelta(hours=1), keep=workspace.key) == 0
    assert studies.delete_old(workspace, before=now() + timedelta(hours=1), keep=workspace.key) == 1
    assert studies.studies(visitor) == []
    assert len(studies.studies(workspace)) == 1
