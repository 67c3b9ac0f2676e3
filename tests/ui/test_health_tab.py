"""The Models & Health page: built in an empty Blocks, its handlers called as functions."""

import asyncio
import threading

import gradio as gr
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.checkpoint_health import CheckpointHealth
from mambaad_demo.pipeline.health import Health, KernelPath
from mambaad_demo.ui import present_health
from mambaad_demo.ui.health_tab import build_health_tab
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.workflow.disk_use import DiskUse
from mambaad_demo.workflow.service import Queue, Retention, Service, ServiceFacts

HOSTILE = "<script>alert(1)</script>${2}"


class Lane:
    def queued(self):
        return 0


@pytest.fixture
def page(tiny_checkpoint):
    """Handlers by name, and the names of what they change."""
    service = Service(
        Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch"),
        Lane(),
        Lane(),
        places={},
        retention=Retention(uploads_minutes=60, stored_work_minutes=None),
    )
    with gr.Blocks(analytics_enabled=False) as blocks, gr.Tabs(), gr.Tab("Models & Health") as tab:
        build_health_tab(service, tab=tab)
    return {fn.name: fn for fn in blocks.fns.values()}


def named(updates):
    return {component.elem_id or component.label: value for component, value in updates.items()}


def health(**changes):
    facts = {
        "version": "1.0",
        "python": "3.11",
        "platform": "Linux",
        "packages": {"torch": "2.11", "mamba-ssm": None},
        "device": "cpu",
        "device_name": "x86_64",
        "precision": "float32",
        "kernel": "numba",
        "kernels": ("numba", "torch"),
        "kernels_missing": {"triton": "it is written for CUDA."},
        "mamba3": KernelPath(kernel="torch", kernels=("torch",), missing={"numba": "it differs."}),
    }
    return Health(**{**facts, **changes})


def facts(**changes):
    values = {
        "state": "ready",
        "uptime_seconds": 90_061,
        "queue": Queue(batches=3, trainings=1, model_lane=2),
        "disk": DiskUse(used={"uploads": 1_234_567}, free=5_000_000_000),
        "retention": Retention(uploads_minutes=60, stored_work_minutes=None),
    }
    return ServiceFacts(**{**values, **changes})


def test_opening_the_page_shows_every_part_and_the_card_of_the_first_checkpoint(page):
    shown = named(page["show"].fn(None))

    assert "Not tested yet" in shown["health-checkpoints"]
    assert "Ready" in shown["health-state"]
    assert shown["Checkpoint"]["value"] == "tiny"
    assert shown["health-card-text"].startswith("# tiny")


def test_the_self_test_tells_how_it_went(page):
    async def steps():
        return [named(step) async for step in page["test"].fn()]

    *_, last = asyncio.run(steps())

    assert "1 checkpoint passed" in last["health-told"]
    assert "Passed" in last["health-checkpoints"]


def test_many_who_ask_at_once_get_the_answer_of_one_self_test_and_hold_up_no_inspection(page, monkeypatch):
    begun, may_end = [], threading.Event()
    test = Service.test

    def held(self):
        begun.append(self)
        assert may_end.wait(30)
        yield from test(self)

    async def ask():
        seen = []
        async for step in page["test"].fn():
            seen.append(named(step)["health-told"])
            if len(seen) == 1:
                waiting.append(seen)
            if len(waiting) == 5:
                may_end.set()
        return seen

    async def all_ask():
        return await asyncio.gather(*(ask() for _ in range(5)))

    waiting = []
    monkeypatch.setattr(Service, "test", held)
    answers = asyncio.run(all_ask())

    assert len(begun) == 1
    assert all("0 of 1" in first and "1 checkpoint passed" in last for first, *_, last in answers)
    assert page["test"].concurrency_id != MODEL_LANE["concurrency_id"]


def test_a_bug_in_a_self_test_reaches_the_page_in_words(page, monkeypatch):
    def break_down(self):
        raise ZeroDivisionError
        yield

    async def ask():
        return [step async for step in page["test"].fn()]

    monkeypatch.setattr(Service, "test", break_down)
    with pytest.raises(gr.Error, match="went wrong on our side"):
        asyncio.run(ask())


def test_a_card_of_a_name_that_does_not_exist_is_refused(page):
    with pytest.raises(gr.Error, match="no checkpoint"):
        page["open_card"].fn("../../etc")


def test_all_handlers_are_private(page):
    assert {handler.api_visibility for handler in page.values()} == {"private"}


def test_missing_kernels_of_both_kinds_are_told_with_their_reasons():
    html = present_health.machine_html(health())

    assert "it is written for CUDA." in html
    assert "it differs." in html
    assert "absent" in html


def test_queue_disk_and_retention_are_told_in_words():
    html = present_health.service_html(facts())

    assert "busy, 2 to do" in html
    assert "1.23 MB" in html
    assert "1 h after they came" in html
    assert "when somebody deletes them" in html
    kept = Retention(uploads_minutes=60, stored_work_minutes=60)
    assert "1 h after they were made" in present_health.service_html(facts(retention=kept))


def test_a_failed_checkpoint_is_told_in_its_place_and_above():
    broken = health(checkpoints=(CheckpointHealth(name="cap", passed=False, error="lacks config.json"),))

    assert "lacks config.json" in present_health.checkpoints_html(broken)
    assert "A self-test failed" in present_health.state_html(broken, facts())
    assert "failed: cap" in present_health.tested_html(broken)


def test_figures_of_the_authors_are_marked_as_not_measured_here():
    quoted = {"image_auroc": 98.6, "au_pro": 93.1, "source": HOSTILE}
    told = health(checkpoints=(CheckpointHealth(name="imported", passed=None, quoted=quoted),))
    silent = health(checkpoints=(CheckpointHealth(name="imported", passed=None),))

    html = present_health.checkpoints_html(told)
    assert "not measured here" in html
    assert "image AUROC 98.6, AU-PRO 93.1" in html
    assert "<script>" not in html
    assert "not measured here" not in present_health.checkpoints_html(silent)


def test_hostile_names_are_text():
    hostile = health(
        checkpoints=(
            CheckpointHealth(name="x", passed=None, categories=(HOSTILE,), license=HOSTILE, error=HOSTILE),
        )
    )

    assert "<script>" not in present_health.checkpoints_html(hostile)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "less than a minute"), (3600, "1 h"), (90_061, "1 d 1 h"), (7_260, "2 h 1 min")],
)
def test_durations_have_two_units_at_most(seconds, words):
    assert present_health.duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1_234_567, "1.23 MB"), (2_500_000_000_000, "2500 GB")]
)
def test_sizes_have_three_digits(size, words):
    assert present_health.size_text(size) == words


def test_errors_reach_the_page_in_words(page, monkeypatch):
    def refuse(self):
        raise InputError("There is no CUDA device here.")

    monkeypatch.setattr(Service, "health", refuse)
    with pytest.raises(gr.Error, match="no CUDA device"):
        page["show"].fn(None)
