"""Jobs and the pictures a batch is done with."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.storage import jobs, listing, removal
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.jobs import BATCH, JobState, Refused, add_items, create_job, job, mark_orphans
from mambaad_demo.storage.listing import Filters, Order
from mambaad_demo.storage.pictures import stored_pictures
from mambaad_demo.storage.tables import Image, Inspection, Product
from mambaad_demo.storage.workspace import Workspace
from tests.storage.parts import VERSION, judged

SPEC = {"checkpoint": "mambaad", "category": None, "tiles": 2, "names": ["ü", "\u0000", "🙂"]}


@pytest.fixture
def batch(workspace: Workspace) -> str:
    """The id of a waiting batch."""
    return create_job(workspace, kind=BATCH, name="Monday's parts", spec=SPEC, actor="Mira")


def confirm(workspace: Workspace, job_id: str, *numbers: int) -> None:
    items = [(number, judged(number)) for number in numbers]
    add_items(workspace, job_id, items, version=VERSION, tiles=1)


def rows(workspace: Workspace, table: type) -> int:
    with workspace.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_a_job_comes_back_as_it_was_created(workspace, batch):
    facts = job(workspace, batch)
    assert (facts.id, facts.kind, facts.name, facts.spec) == (batch, BATCH, "Monday's parts", SPEC)
    assert facts.state is JobState.WAITING
    assert (facts.total, facts.done, facts.refused, facts.verdicts) == (None, 0, 0, {})
    assert (facts.error, facts.finished_at) == (None, None)


def test_ids_cannot_be_guessed(workspace):
    ids = {create_job(workspace, kind=BATCH, name="", spec={}, actor="") for _ in range(20)}
    assert len(ids) == 20
    assert {len(job_id) for job_id in ids} == {32}


def test_a_job_says_where_it_is(workspace, batch):
    jobs.set_total(workspace, batch, 3)
    jobs.set_state(workspace, batch, JobState.RUNNING)
    assert (job(workspace, batch).state, job(workspace, batch).total) == (JobState.RUNNING, 3)
    jobs.set_state(workspace, batch, JobState.FAILED, error="no \x00 checkpoint\ud800")
    assert job(workspace, batch).error == "no   checkpoint"
    jobs.set_state(workspace, batch, JobState.DONE)
    assert job(workspace, batch).error is None
    assert job(workspace, batch).finished_at >= job(workspace, batch).created_at


def test_items_come_back_in_the_order_of_the_batch(workspace, batch):
    refused = Refused(name="../evil\n.svg", error="SVG is refused\x00.")
    confirm(workspace, batch, 2)
    add_items(workspace, batch, [(1, refused), (0, judged(0))], version=VERSION, tiles=1)
    items = jobs.items(workspace, batch)
    assert [(item.position, item.name, item.error) for item in items] == [
        (0, "line 1/part 0.png", None),
        (1, "../evil\n.svg", "SVG is refused ."),
        (2, "line 1/part 2.png", None),
    ]
    assert items[1].inspection is None
    assert [items[2].inspection, items[0].inspection] == inspections(workspace)
    facts = job(workspace, batch)
    assert (facts.done, facts.refused) == (3, 1)
    assert facts.verdicts == {"reject": 1, "accept": 1}


def test_what_is_confirmed_already_is_left_alone(workspace, batch):
    confirm(workspace, batch, 1, 2)
    confirm(workspace, batch, 2, 3, 1)
    assert [item.position for item in jobs.items(workspace, batch)] == [1, 2, 3]
    assert rows(workspace, Inspection) == 3
    assert jobs.done_names(workspace, batch) == {f"line 1/part {number}.png" for number in (1, 2, 3)}


def test_a_name_that_comes_twice_at_once_is_confirmed_once(workspace, batch):
    twice = [(0, judged(1, name="a\x00b.png")), (1, judged(2, name="a b.png"))]
    add_items(workspace, batch, twice, version=VERSION, tiles=1)
    assert [item.name for item in jobs.items(workspace, batch)] == ["a b.png"]


def test_the_same_picture_in_two_batches_is_inspected_in_each(workspace, batch):
    other = create_job(workspace, kind=BATCH, name="again", spec={}, actor="Mira")
    confirm(workspace, batch, 1)
    confirm(workspace, other, 1)
    assert (rows(workspace, Image), rows(workspace, Inspection)) == (1, 2)


def test_a_failure_in_the_middle_confirms_nothing(workspace, batch, monkeypatch):
    add_inspection = jobs.add_inspection

    def fail_at_third(session, workspace, item, **options):
        if item.name.endswith("3.png"):
            raise StorageError("the disk is full")
        return add_inspection(session, workspace, item, **options)

    monkeypatch.setattr(jobs, "add_inspection", fail_at_third)
    with pytest.raises(StorageError, match="disk is full"):
        confirm(workspace, batch, 1, 2, 3)
    assert jobs.items(workspace, batch) == []
    assert [rows(workspace, table) for table in (Inspection, Image, Product)] == [0, 0, 0]
    monkeypatch.undo()
    confirm(workspace, batch, 1, 2, 3)
    assert job(workspace, batch).done == 3


def test_rows_are_numbered_in_the_order_of_the_batch(workspace, batch):
    numbers = sorted(range(8), key=lambda number: judged(number).prediction.sha256, reverse=True)
    items = [(position, judged(number)) for position, number in enumerate(numbers)]
    add_items(workspace, batch, items[::-1], version=VERSION, tiles=1)
    in_order = [judged(number).name for number in numbers]
    assert [one.name for one in inspections(workspace)] == in_order
    assert [one.name for one in stored_pictures(workspace)] == in_order
    newest_first = listing.page(workspace, Filters(order=Order.NEWEST))
    assert [one.name for one in newest_first] == in_order[::-1]


def test_refused_pictures_are_paged_and_searched(workspace, batch):
    named = [(place, Refused(name=f"{place}%.svg", error="SVG is refused.")) for place in range(5)]
    add_items(workspace, batch, [*named[::-1], (5, judged(5))], version=VERSION, tiles=1)
    total, some = jobs.refused(workspace, batch, offset=1, limit=2)
    assert (total, [one.name for one in some]) == (5, ["1%.svg", "2%.svg"])
    assert jobs.refused(workspace, batch, search="3%") == (1, [named[3][1]])
    assert jobs.refused(workspace, batch, search="_") == (0, [])


def test_a_batch_may_be_deleted_while_another_one_brings_the_same_pictures(workspace, batch):
    confirm(workspace, batch, *range(12))
    other = create_job(workspace, kind=BATCH, name="", spec={}, actor="Mira")
    start = threading.Barrier(2, timeout=60)

    def bring() -> None:
        start.wait()
        for number in range(11, -1, -3):
            confirm(workspace, other, *range(number, number - 3, -1))

    def delete() -> None:
        start.wait()
        removal.delete_job(workspace, batch, actor="Mira")

    with ThreadPoolExecutor(2) as threads:
        for work in [threads.submit(bring), threads.submit(delete)]:
            work.result()
    assert [item.position for item in jobs.items(workspace, other)] == list(range(12))
    for one in inspections(workspace):
        assert workspace.files.holds(FileKind.PICTURE, one.sha256)
        assert workspace.files.holds(FileKind.MAP, one.map_sha256)


def test_two_workers_of_one_batch_confirm_each_picture_once(workspace, batch):
    start = threading.Barrier(2, timeout=60)

    def work(_: int) -> None:
        for number in range(0, 8, 2):
            start.wait()
            confirm(workspace, batch, number, number + 1)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    assert [item.position for item in jobs.items(workspace, batch)] == list(range(8))
    assert (rows(workspace, Image), rows(workspace, Inspection)) == (8, 8)


def test_two_batches_of_the_same_pictures_do_not_get_in_each_others_way(workspace):
    start = threading.Barrier(2, timeout=60)

    def work(order: int) -> str:
        job_id = create_job(workspace, kind=BATCH, name="", spec={}, actor="Mira")
        numbers = list(range(12))[::order]
        start.wait()
        for some in (numbers[:6], numbers[6:]):
            confirm(workspace, job_id, *some)
        return job_id

    with ThreadPoolExecutor(2) as threads:
        done = [job(workspace, job_id).done for job_id in threads.map(work, (1, -1))]
    assert done == [12, 12]
    assert (rows(workspace, Image), rows(workspace, Inspection)) == (12, 24)


def test_after_a_start_what_seems_to_run_is_interrupted(workspace):
    ids = {}
    for state in JobState:
        ids[state] = create_job(workspace.of(state.value), kind=BATCH, name="", spec={}, actor="")
        jobs.set_state(workspace.of(state.value), ids[state], state)
    assert mark_orphans(workspace, []) == 0  # those of other servers
    assert mark_orphans(workspace, ids.values()) == 2
    after = {state: job(workspace.of(state.value), ids[state]).state for state in JobState}
    assert after == {state: state for state in JobState} | {
        JobState.RUNNING: JobState.INTERRUPTED,
        JobState.WAITING: JobState.INTERRUPTED,
    }
    assert mark_orphans(workspace, ids.values()) == 0


def test_the_newest_jobs_come_first_and_by_kind(workspace):
    first, second = (create_job(workspace, kind=BATCH, name="", spec={}, actor="") for _ in range(2))
    training = create_job(workspace, kind="finetune", name="", spec={"finetune": {}}, actor="")
    assert [facts.id for facts in jobs.jobs(workspace)] == [second, first]
    assert [facts.id for facts in jobs.jobs(workspace, at_most=1)] == [second]
    assert [facts.id for facts in jobs.jobs(workspace, kind="finetune")] == [training]
    assert jobs.items(workspace, training) == []


def test_each_runner_marks_its_own_jobs_as_interrupted(workspace, batch):
    training = create_job(workspace, kind="finetune", name="", spec={}, actor="Mira")
    for job_id in (batch, training):
        jobs.set_state(workspace, job_id, JobState.RUNNING)
    assert mark_orphans(workspace, [training]) == 1
    assert [job(workspace, job_id).state for job_id in (batch, training)] == [
        JobState.RUNNING,
        JobState.INTERRUPTED,
    ]


@pytest.mark.parametrize("job_id", ["", "0" * 32, "'; DROP TABLE jobs; --", "\x00", "\ud800"])
def test_a_job_that_is_not_there_is_the_fault_of_who_asked(workspace, job_id):
    with pytest.raises(InputError, match="Load the page again"):
        job(workspace, job_id)
