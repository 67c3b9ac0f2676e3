"""The Models & Health page at work: facts when it is opened, a self-test when somebody asks for one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from mambaad_demo.pipeline.health import Health
from mambaad_demo.ui import present_health
from mambaad_demo.ui.dropdowns import relisted, still
from mambaad_demo.ui.health_page import HealthPage, draw_health_page
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.workflow.service import Service

_LOOK_SECONDS = 0.3
_LANE: dict[str, Any] = {"concurrency_id": "self-test", "concurrency_limit": 8}
"""Who waits here waits without a thread for one self-test, whose work takes turns on the model thread."""


def build_health_tab(service: Service, *, tab: gr.Tab) -> None:
    """Draw the Models & Health page into the surrounding tab and wire it.

    Args:
        service: facts of this server.
        tab: opening it shows them as they are then.
    """
    page = draw_health_page()
    seen = [page.state, page.told, page.service, page.checkpoints, page.machine]

    def show(chosen: str | None) -> Updates:
        with shown_to_user():
            health = service.health()
            names = [one.name for one in health.checkpoints]
            name = still(chosen, names)
            return {
                **_facts(page, service, health),
                page.told: "",
                page.card_of: relisted(names, chosen, name),
                page.card: _card(service, name),
            }

    async def test() -> AsyncIterator[Updates]:
        with shown_to_user():
            run = await run_in_threadpool(service.join_test)
            told = None
            while not run.is_over:
                if told != run.done:
                    told = run.done
                    yield {page.told: present_health.testing_html(told, run.total)}
                await asyncio.sleep(_LOOK_SECONDS)
            if run.problem is not None:
                raise run.problem
            health = await run_in_threadpool(service.health)
            facts = await run_in_threadpool(_facts, page, service, health)
            yield {**facts, page.told: present_health.tested_html(health)}

    def open_card(name: str | None) -> str:
        with shown_to_user():
            return _card(service, name)

    gr.on(
        [tab.select, page.refresh.click],
        show,
        page.card_of,
        [*seen, page.card_of, page.card],
        api_visibility="private",
        show_progress="hidden",
        preprocess=False,
        queue=False,
    )
    page.test.click(
        test,
        None,
        seen,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="once",
        **_LANE,
    )
    page.card_of.input(
        open_card,
        page.card_of,
        page.card,
        api_visibility="private",
        show_progress="hidden",
        preprocess=False,
        queue=False,
    )


def _facts(page: HealthPage, service: Service, health: Health) -> Updates:
    facts = service.facts()
    return {
        page.state: present_health.state_html(health, facts),
        page.service: present_health.service_html(facts),
        page.checkpoints: present_health.checkpoints_html(health),
        page.machine: present_health.machine_html(health),
    }


def _card(service: Service, name: str | None) -> str:
    return present_health.NO_CARD if name is None else service.card(name) or present_health.NO_CARD
