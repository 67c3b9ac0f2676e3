"""Whose stored work a visitor sees, and what becomes of it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.storage import jobs
from mambaad_demo.storage.files import FileKind
from mambaad_demo.ui.allowance import Allowances
from mambaad_demo.ui.caps import GIGABYTE, Caps, Disk
from mambaad_demo.ui.visits import COOKIE, new_cookie
from mambaad_demo.workflow.batches import BatchSpec
from tests.ui.allowances import asking
from tests.ui.desks import desk_in

SPEC = BatchSpec(checkpoint="mambaad", category=None)

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


def in_browser(cookie, session):
    return SimpleNamespace(request=SimpleNamespace(cookies={COOKIE: cookie}), session_hash=session)


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_among_strangers_a_browser_keeps_its_work_over_a_reload_and_its_session_opens_nothing(desk):
    mira = new_cookie()
    job_id = begin_batch(desk, in_browser(mira, "before"))

    assert [job.id for job in jobs.jobs(desk.workspace(in_browser(mira, "after")))] == [job_id]
    for stranger in (in_browser(new_cookie(), "before"), SimpleNamespace(session_hash="before")):
        assert jobs.jobs(desk.workspace(stranger)) == []


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_no_workspace_is_called_by_a_cookie_or_a_session(desk):
    cookie = new_cookie()

    for asked in (in_browser(cookie, "session"), SimpleNamespace(session_hash="session")):
        key = desk.workspace(asked).key
        assert cookie not in key
        assert "session" not in key
        assert len(key) <= 64


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_a_stranger_starts_and_resumes_no_third_batch_while_two_wait_and_others_may(desk):
    desk.most_unfinished = 2
    for _ in range(2):
        begin_batch(desk, MIRA)

    for attempt in (
        lambda: desk.start_batch(desk.workspace(MIRA), SPEC, [], name="b"),
        lambda: desk.resume_batch(desk.workspace(MIRA), "a batch"),
    ):
        with pytest.raises(InputError, match="2 of your batches wait or run"):
            attempt()
    with pytest.raises(InputError, match="Choose pictures"):  # none were given
        desk.start_batch(desk.workspace(JO), SPEC, [], name="b")


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_of_two_starts_at_once_a_stranger_has_the_second_counted_and_others_do_not_wait(desk, monkeypatch):
    desk.most_unfinished = 1
    begun, go_on = threading.Event(), threading.Event()

    def start(workspace, spec, files, **_):
        if files:  # many to take over
            begun.set()
            assert go_on.wait(30)
        return begin_batch(desk, MIRA if files else JO)

    monkeypatch.setattr(desk.runner, "start", start)
    with ThreadPoolExecutor(3) as lane:
        slow = lane.submit(desk.start_batch, desk.workspace(MIRA), SPEC, ["many"], name="b")
        assert begun.wait(30)
        second = lane.submit(desk.start_batch, desk.workspace(MIRA), SPEC, [], name="b")
        try:
            lane.submit(desk.start_batch, desk.workspace(JO), SPEC, [], name="b").result(timeout=20)
            assert not second.done()
        finally:
            go_on.set()

        slow.result()
        with pytest.raises(InputError, match="1 of your batches"):
            second.result()


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_batches_that_are_done_make_room(desk):
    desk.most_unfinished = 2
    for _ in range(3):
        jobs.set_state(desk.workspace(MIRA), begin_batch(desk, MIRA), jobs.JobState.DONE)

    with pytest.raises(InputError, match="Choose pictures"):
        desk.start_batch(desk.workspace(MIRA), SPEC, [], name="b")


@pytest.mark.parametrize("desk", ["colleagues"], indirect=True)
def test_colleagues_have_no_such_cap(desk):
    for _ in range(3):
        begin_batch(desk, MIRA)

    with pytest.raises(InputError, match="Choose pictures"):
        desk.start_batch(desk.workspace(MIRA), SPEC, [], name="b")


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_among_strangers_a_request_without_a_visit_is_refused(desk):
    with pytest.raises(InputError, match="Open the page first"):
        desk.workspace(NOBODY)


CONTENT = b"x" * 700


def store(workspace, first):
    workspace.files.write(FileKind.PICTURE, f"{first}{'0' * 63}", CONTENT)


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_a_stranger_can_have_so_much_stored_also_by_work_that_goes_on_after_the_request(desk):
    allowances = Allowances(Caps(written_mb_per_hour=2**-10))
    with allowances.of(asking("mira"), "mira"):
        mira = desk.workspace(MIRA)
    with allowances.of(asking("jo"), "jo"):
        jo = desk.workspace(JO)
    store(mira, "a")
    store(mira, "b")

    with pytest.raises(StorageError, match="Try again in"):
        store(mira, "c")
    store(jo, "c")


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_strangers_store_nothing_and_begin_no_batch_where_the_disk_is_full(desk, tmp_path):
    allowances = Allowances(Caps(), Disk(tmp_path / "uploads", most_gb=699 / GIGABYTE, free_gb=0))
    with allowances.of(asking("mira"), "mira"):
        with pytest.raises(StorageError, match="no room for more files"):
            store(desk.workspace(MIRA), "a")
        allowances.disk = Disk(tmp_path / "uploads", most_gb=-1, free_gb=0)
        with pytest.raises(StorageError, match="no room for more files"):
            desk.start_batch(desk.workspace(MIRA), SPEC, [], name="b")


@pytest.mark.parametrize("desk", ["colleagues"], indirect=True)
def test_the_store_that_colleagues_keep_is_bounded_by_their_disk_alone(desk, tmp_path):
    full = Disk(tmp_path / "uploads", most_gb=-1, free_gb=0)
    with Allowances(Caps(written_mb_per_hour=2**-10), full).of(asking("mira"), "mira"):
        for first in "abc":
            store(desk.workspace(MIRA), first)
