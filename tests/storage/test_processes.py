"""Processes that are killed, and processes that work side by side: nothing that was confirmed is lost."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mambaad_demo.storage import jobs, labels
from mambaad_demo.storage.audit import entries
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import anomaly_map, inspections, sha256_of
from mambaad_demo.storage.jobs import BATCH, JobState
from mambaad_demo.storage.labels import StoredDecision
from mambaad_demo.storage.masks import mask_of
from mambaad_demo.storage.workspace import Workspace
from tests.databases import Store
from tests.storage.parts import PRODUCT
from tests.storage.writer import work

ROOT = Path(__file__).resolve().parents[2]
Writer = subprocess.Popen[str]


@contextmanager
def writer(store: Store, job_id: str, reviewer: str, count: int) -> Iterator[Writer]:
    """A process that will be ready to work on a store."""
    command = [sys.executable, "-m", "tests.storage.writer", store.database_url, store.files_url]
    with subprocess.Popen(
        [*command, job_id, reviewer, str(count)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go(*processes: Writer) -> None:
    """Let them work as soon as all of them are ready."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def said(lines: list[str], kind: str) -> set[str]:
    """What a process confirmed; a line that was cut short does not count."""
    return {line[len(kind) + 1 : -1] for line in lines if line.startswith(kind) and line.endswith("\n")}


def decisions(workspace: Workspace) -> list[StoredDecision]:
    pictures = {stored.image_id for stored in inspections(workspace)}
    return [decision for picture in pictures for decision in labels.history(workspace, picture)]


def assert_whole(workspace: Workspace, job_id: str) -> None:
    """Everything that is there is there with all that belongs to it."""
    for item in jobs.items(workspace, job_id):
        assert anomaly_map(workspace, item.inspection).size
        sha256 = item.inspection.sha256
        assert sha256_of(workspace.files.read(FileKind.PICTURE, sha256)) == sha256
        assert workspace.files.holds(FileKind.PREVIEW, sha256)
        assert workspace.files.holds(FileKind.THUMBNAIL, sha256)
    made = decisions(workspace)
    for decision in made:
        assert mask_of(workspace.files.read(FileKind.MASK, decision.mask_sha256)).any()
    trail = [entry for entry in entries(workspace, at_most=10_000) if entry.action == "decided"]
    assert sorted(entry.details["decision"] for entry in trail) == sorted(decision.id for decision in made)
    assert set(labels.products(workspace).get(PRODUCT, [])) == {decision.defect_type for decision in made}


def test_of_what_a_killed_process_confirmed_nothing_is_lost_and_the_rest_is_resumed(workspace, store):
    job_id = jobs.create_job(workspace, kind=BATCH, name="", spec={}, actor="")
    jobs.set_state(workspace, job_id, JobState.RUNNING)
    with writer(store, job_id, "Mira", 40) as process:
        go(process)
        lines = [process.stdout.readline() for _ in range(9)]
        process.kill()  # SIGKILL, wherever it is just now
        lines += process.stdout.readlines()
    confirmed = said(lines, "item")
    assert 4 <= len(confirmed) < 40
    assert confirmed <= jobs.done_names(workspace, job_id)
    assert {int(number) for number in said(lines, "decision")} <= {
        decision.id for decision in decisions(workspace)
    }
    assert_whole(workspace, job_id)

    assert jobs.mark_orphans(workspace, [job_id]) == 1
    resumed: list[str] = []
    work(workspace, job_id, "Ben", 40, lambda line: resumed.append(f"{line}\n"))
    assert not said(resumed, "item") & confirmed
    assert [item.position for item in jobs.items(workspace, job_id)] == list(range(40))
    assert len(inspections(workspace)) == 40
    assert_whole(workspace, job_id)


def test_of_what_two_processes_confirm_at_once_nothing_is_lost(workspace, store):
    reviewers = ("Mira", "Ben")
    jobs_of = {
        name: jobs.create_job(workspace, kind=BATCH, name=name, spec={}, actor="") for name in reviewers
    }
    with ExitStack() as running:
        processes = [running.enter_context(writer(store, jobs_of[name], name, 12)) for name in reviewers]
        go(*processes)
        lines = [line for process in processes for line in process.stdout.readlines()]
    made = decisions(workspace)
    assert {int(number) for number in said(lines, "decision")} == {decision.id for decision in made}
    assert len(made) == 24
    assert len({stored.image_id for stored in inspections(workspace)}) == 12
    for name in reviewers:
        assert [item.position for item in jobs.items(workspace, jobs_of[name])] == list(range(12))
        assert_whole(workspace, jobs_of[name])
