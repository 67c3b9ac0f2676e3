"""Whose stored work a visitor sees, and what becomes of it."""

from types import SimpleNamespace

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.storage import jobs
from tests.ui.desks import desk_in

MIRA, JO, NOBODY = (SimpleNamespace(session_hash=name) for name in ("mira", "jo", None))


@pytest.fixture
def desk(request, tmp_path):
    desk = desk_in(tmp_path, is_private=request.param == "strangers")
    yield desk
    desk.close()


def begin_batch(desk, visitor):
    return jobs.create_job(desk.workspace(visitor), kind=jobs.BATCH, name="b", spec={}, actor="somebody")


@pytest.mark.parametrize("desk", ["colleagues"], indirect=True)
def test_colleagues_share_their_work_and_nobody_deletes_it_in_passing(desk):
    job_id = begin_batch(desk, MIRA)
    desk.forget(MIRA)
    assert [job.id for job in jobs.jobs(desk.workspace(JO))] == [job_id]


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_strangers_see_their_own_work_alone_and_can_delete_it(desk):
    begin_batch(desk, MIRA)
    theirs = begin_batch(desk, JO)
    desk.forget(MIRA)
    assert jobs.jobs(desk.workspace(MIRA)) == []
    assert [job.id for job in jobs.jobs(desk.workspace(JO))] == [theirs]


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_among_strangers_a_request_without_a_visit_is_refused(desk):
    with pytest.raises(InputError, match="Open the page first"):
        desk.workspace(NOBODY)
