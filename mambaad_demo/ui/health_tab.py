"""The Models & Health page at work: facts when it is opened, a self-test when somebody asks for one."""

from collections.abc import Iterator

import gradio as gr

from mambaad_demo.pipeline.health import Health
from mambaad_demo.ui import present_health
from mambaad_demo.ui.dropdowns import relisted, still
from mambaad_demo.ui.health_page import HealthPage, draw_health_page
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.workflow.service import Service


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

    def test() -> Iterator[Updates]:
        with shown_to_user():
            names = [one.name for one in service.health().checkpoints]
            yield {page.told: present_health.testing_html(0, len(names))}
            for done, _ in enumerate(service.test(), start=1):
                yield {page.told: present_health.testing_html(done, len(names))}
            health = service.health()
            yield {**_facts(page, service, health), page.told: present_health.tested_html(health)}

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
        **MODEL_LANE,
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
