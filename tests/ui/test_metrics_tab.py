"""The Metrics page built in an empty Blocks, and its handler called as a function."""

import gradio as gr
import numpy as np
import pytest

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage.files import FileKind
from mambaad_demo.ui.metrics_tab import build_metrics_tab
from tests.workflow.figures.labeled_store import LabeledStore, other

LABELS = {"Product": "product", "Version": "version", "By the word of": "reviewer"}


class FakeDesk:
    """One workspace for each visitor."""

    def __init__(self, **workspaces):
        self.workspaces = workspaces

    def workspace(self, request):
        return self.workspaces[request]


class Page:
    """The page in a Blocks of its own."""

    def __init__(self, desk):
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Metrics") as tab:
            build_metrics_tab(desk, tab=tab)
        (self.handler,) = self.blocks.fns.values()

    def steps(self, product=None, version=None, reviewer="", visitor="ada"):
        """What the handler changes, step by step: name of the component → new value."""
        return [
            {self._name(component): value for component, value in step.items()}
            for step in self.handler.fn(product, version, reviewer, visitor)
        ]

    @staticmethod
    def _name(block):
        name = getattr(block, "elem_id", None) or LABELS.get(getattr(block, "label", None))
        return name or "drift-card"


@pytest.fixture
def store(tmp_path):
    opened = LabeledStore(tmp_path)
    yield opened
    opened.workspace.database.close()


@pytest.fixture
def page(store):
    return Page(FakeDesk(ada=store.workspace, ben=store.workspace.of("ben")))


@pytest.fixture
def filled(store):
    """Six good gears and six defective ones with masks."""
    random = np.random.default_rng(0)
    for number in range(12):
        mask = np.zeros((16, 16), bool)
        mask[4:9, 5:12] = number % 2
        anomaly_map = (0.5 * random.random((16, 16)) + 0.1 * mask).astype(np.float32)
        image = store.inspect(float(anomaly_map.max()), anomaly_map=anomaly_map)
        store.say(image, Finding.DEFECT if number % 2 else Finding.GOOD, mask=mask if number % 2 else None)
    return store


def test_image_figures_come_first_and_pixel_figures_after_them(page, filled):
    first, second = page.steps()
    assert first["metrics-labeled"]["visible"]
    assert "maps are being read" in first["metrics-table"]
    assert [trace.name for trace in first["metrics-roc"].data] == ["images"]
    assert "maps are being read" not in second["metrics-table"]
    assert [trace.name for trace in second["metrics-roc"].data] == ["images", "pixels"]
    assert first["metrics-empty"] == ""


def test_an_empty_store_says_what_to_do_first(page):
    (step,) = page.steps()
    assert "Inspect pictures on the <strong>Batch</strong> page" in step["metrics-empty"]
    assert (step["metrics-labeled"]["visible"], step["drift-card"]["visible"]) == (False, False)
    assert step["product"]["choices"] == []


def test_inspected_but_unlabeled_pictures_show_drift_and_ask_for_labels(page, store):
    store.inspect(0.2)
    (step,) = page.steps()
    assert "1 picture inspected, none of them labeled" in step["metrics-empty"]
    assert (step["metrics-labeled"]["visible"], step["drift-card"]["visible"]) == (False, True)


def test_the_first_product_and_the_version_used_last_are_chosen(page, filled):
    filled.add(0.2, Finding.GOOD, product="cap")
    filled.add(0.2, Finding.GOOD, product="cap", version=other(sha256="99" * 32))
    first, *_ = page.steps()
    assert first["product"]["value"] == "cap"
    assert first["version"]["value"].startswith("9999")
    assert len(first["version"]["choices"]) == 2


def test_a_version_may_be_chosen(page, filled):
    filled.add(0.2, Finding.GOOD, version=other(sha256="99" * 32))
    newest, *_ = page.steps("gear")
    older = newest["version"]["choices"][1][1]
    chosen, *_ = page.steps("gear", older)
    assert "value" not in chosen["version"]
    assert "<dt>good</dt><dd>6</dd>" in chosen["metrics-ground"]
    assert "<dt>good</dt><dd>1</dd>" in newest["metrics-ground"]


def test_names_that_do_not_exist_fall_back_to_ones_that_do(page, filled):
    first, *_ = page.steps("spaceship", "nobody's", "a stranger")
    assert (first["product"]["value"], first["reviewer"]["value"]) == ("gear", "")


def test_one_reviewer_may_be_asked_alone(page, filled):
    filled.say(1, Finding.DEFECT, reviewer="noor")
    first, *_ = page.steps("gear", None, "noor")
    assert "<dt>defective</dt><dd>1</dd>" in first["metrics-ground"]
    assert [value for _, value in first["reviewer"]["choices"]] == ["", "mira", "noor"]


def test_visitors_see_their_own_workspace_alone(page, filled):
    page.steps(visitor="ada")
    (step,) = page.steps("gear", visitor="ben")
    assert "Nothing to measure yet" in step["metrics-empty"]


def test_a_missing_map_is_explained_and_the_rest_stays(page, filled):
    filled.workspace.files.delete(FileKind.MAP, next(filled.workspace.files.names(FileKind.MAP)))
    first, second = page.steps()
    assert "False reject (overkill)" in first["metrics-rates"]
    assert "Restore it from a backup" in second["metrics-notice"]
    assert second["metrics-table"].count("not measured") == 4


def test_hostile_names_of_products_and_checkpoints_are_values_only(page, store):
    name = "<script>alert(1)</script>${2}"
    store.add(0.2, Finding.GOOD, product=name, version=other(checkpoint=name))
    for step in page.steps():
        assert not any("<script>" in value for value in step.values() if isinstance(value, str))


def test_measuring_is_private_and_one_at_a_time(page):
    assert page.handler.api_visibility == "private"
    assert page.handler.concurrency_limit == 1
    assert page.handler.concurrency_id != "model"
