"""The facts of a running server: self-tests, queue, state and uptime."""

import shutil
import threading

import pytest

from mambaad_demo.hub.layout import GOLDEN
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.workflow.service import Retention, Service
from mambaad_demo.workflow.shared_test import FRESH_SECONDS
from tests.hub.client import MANIFEST, hub, parts, pauses

__all__ = ["hub", "parts", "pauses"]


class Lane:
    """A queue of some length."""

    def __init__(self, length):
        self.length = length

    def queued(self):
        return self.length


@pytest.fixture
def catalog(tiny_checkpoint):
    return Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch")


@pytest.fixture
def released(tiny_checkpoint, parts):
    """The release parts stands in the manifest; the Hub holds it."""
    (tiny_checkpoint.parent / "manifest.toml").write_text(MANIFEST)


@pytest.fixture
def at():
    return [100.0]


@pytest.fixture
def service(catalog, at, tmp_path):
    return Service(
        catalog,
        Lane(2),
        Lane(1),
        places={"store": (tmp_path,)},
        retention=Retention(uploads_minutes=60, stored_work_minutes=None),
        clock=lambda: at[0],
    )


def test_a_checkpoint_is_untested_until_it_is_loaded_or_tested(service):
    assert [one.passed for one in service.health().checkpoints] == [None]
    assert list(service.test()) == ["tiny"]
    assert [one.passed for one in service.health().checkpoints] == [True]


def test_a_failed_self_test_is_told_and_the_server_is_not_ready_until_it_passes(service, catalog):
    spoil(catalog)

    list(service.test())

    (tiny,) = service.health().checkpoints
    assert (tiny.passed, service.is_ready, service.facts().state) == (False, False, "failed")
    assert tiny.largest_difference > tiny.tolerance
    assert "computes something else" in tiny.error
    list(service.test())  # it is loaded anew
    assert (service.is_ready, service.facts().state) == (True, "ready")


def spoil(catalog):
    """Make the network in memory compute something else."""
    for parameter in catalog.predictor("tiny").checkpoint.detector.decoder.parameters():
        parameter.data.mul_(3)


def test_a_failed_checkpoint_that_was_loaded_anew_no_longer_counts(service, catalog):
    spoil(catalog)
    list(service.test())
    assert not service.is_ready

    catalog.predictor("tiny")

    assert service.is_ready
    (tiny,) = service.health().checkpoints
    assert (tiny.passed, tiny.error) == (True, None)
    catalog.forget("tiny")
    assert service.is_ready


def test_what_cannot_be_tested_counts_although_it_is_still_in_memory(service, catalog, tiny_checkpoint):
    catalog.predictor("tiny")
    (tiny_checkpoint / GOLDEN).write_bytes(b"damaged")

    list(service.test())

    assert catalog.loaded("tiny") is not None
    assert not service.is_ready


class Held(Service):
    """A service whose self-tests end when they are let, and are counted."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.begun, self.may_end = 0, threading.Event()

    def test(self):
        self.begun += 1
        assert self.may_end.wait(30)
        yield from super().test()


@pytest.fixture
def held(catalog, at):
    return Held(
        catalog,
        Lane(0),
        Lane(0),
        places={},
        retention=Retention(uploads_minutes=60, stored_work_minutes=None),
        clock=lambda: at[0],
    )


def test_one_self_test_answers_all_who_ask_while_it_is_at_work(held):
    runs = [held.join_test() for _ in range(20)]
    held.may_end.set()

    assert all(run.wait(30) for run in runs)
    assert (held.begun, runs[0].done, runs[0].total) == (1, 1, 1)
    assert held.health().checkpoints[0].passed


def test_a_self_test_that_has_just_passed_answers_for_a_moment(held, at):
    held.may_end.set()
    first = held.join_test()
    assert first.wait(30)

    at[0] += FRESH_SECONDS - 1
    assert held.join_test() is first
    at[0] += 1
    later = held.join_test()

    assert later.wait(30)
    assert (later is first, held.begun) == (False, 2)


def test_a_self_test_that_has_just_failed_can_be_run_again_at_once(held, catalog):
    held.may_end.set()
    spoil(catalog)
    assert held.join_test().wait(30)
    assert not held.is_ready

    assert held.join_test().wait(30)

    assert (held.is_ready, held.begun) == (True, 2)


def test_what_ends_a_self_test_early_is_kept_for_those_who_asked(held, monkeypatch):
    def break_down(self):
        yield "tiny"
        raise ZeroDivisionError

    monkeypatch.setattr(Held, "test", break_down)
    run = held.join_test()

    assert run.wait(30)
    assert isinstance(run.problem, ZeroDivisionError)
    assert held.join_test() is not run


def test_a_checkpoint_that_cannot_be_loaded_fails_with_words_and_the_others_are_tested(
    service, tiny_checkpoint
):
    (tiny_checkpoint / GOLDEN).unlink()

    assert list(service.test()) == ["tiny"]

    (tiny,) = service.health().checkpoints
    assert tiny.passed is False
    assert "lacks golden.safetensors" in tiny.error


def test_a_version_that_failed_and_was_deleted_no_longer_counts(catalog, service, tiny_checkpoint):
    broken = shutil.copytree(tiny_checkpoint, tiny_checkpoint.parent / "broken")
    (broken / GOLDEN).unlink()
    list(service.test())
    assert not service.is_ready

    shutil.rmtree(broken)

    assert [one.name for one in service.health().checkpoints] == ["tiny"]
    assert service.is_ready


def test_a_release_that_is_not_here_is_neither_fetched_nor_failed(released, service, hub):
    list(service.test())

    assert hub.requests == []
    assert {one.name: one.passed for one in service.health().checkpoints} == {"tiny": True, "parts": None}
    assert service.is_ready


def test_a_release_that_is_here_is_tested_and_no_failure_once_it_is_out_of_reach(
    released, service, catalog, hub, tmp_path
):
    for parameter in catalog.predictor("parts").checkpoint.detector.decoder.parameters():
        parameter.data.mul_(3)
    list(service.test())  # it is let go of
    assert not service.is_ready

    shutil.rmtree(tmp_path / "cache")
    hub.fault("*", status=503)
    list(service.test())

    assert service.is_ready
    assert catalog.loaded("parts") is None


def test_queue_uptime_disk_and_retention_are_told(service, at):
    at[0] += 61.5

    facts = service.facts().to_json()

    assert facts["uptime_seconds"] == 61
    assert (facts["queue"]["batches"], facts["queue"]["trainings"]) == (2, 1)
    assert facts["retention"] == {"uploads_minutes": 60, "stored_work_minutes": None}
    assert facts["disk"]["used"]["store"] > 0


def test_the_model_lane_is_busy_while_something_computes(service):
    begun, end = threading.Event(), threading.Event()
    work = model_thread.submit(lambda: (begun.set(), end.wait(30)))
    begun.wait(30)
    assert service.facts().queue.model_lane == 1
    end.set()
    work.result()
    model_thread.run(int)  # callbacks of the former are done before this one begins
    assert service.facts().queue.model_lane == 0


def test_a_closing_server_is_not_ready(service):
    service.close()

    assert (service.is_ready, service.facts().state) == (False, "closing")
