"""The Calibrate page built in an empty Blocks, and its handlers called as functions."""

import re
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage import limits
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.limits import Source
from mambaad_demo.ui.calibrate_tab import build_calibrate_tab
from tests.ui.allowances import few_pictures
from tests.ui.desks import desk_in
from tests.ui.test_inspect_tab import upload
from tests.workflow.gray_line import NAME, Rack, good_parts, inspect, line_predictor, part, say

__all__ = ["upload"]

ADA, EVE = (SimpleNamespace(session_hash=name) for name in ("ada", "eve"))
HOSTILE = "<img src=x onerror=alert(1)>"
WHERE = (NAME, "gray", 1)
RATES = (5, 0.5)
DEFECTS = {f"bad {n}.png": part(0.3 + 0.05 * n, 50 + n) for n in range(4)}


class Page:
    """The page in a Blocks of its own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Calibrate") as tab:
            self.parts = build_calibrate_tab(desk, tab=tab)
        names = {id(getattr(self.parts, name)): name for name in self.parts.__slots__}
        self._name = lambda component: names[id(component)]

    def call(self, name, *arguments, request=ADA):
        """What a handler changes: field of the page → new value."""
        return self._named(self._handler(name)(*arguments, request))

    def steps(self, name, *arguments, request=ADA):
        """The same of a handler that answers step by step."""
        return [self._named(step) for step in self._handler(name)(*arguments, request)]

    def measure(self, *files, where=WHERE, rates=RATES):
        return self.steps("measure", list(files), *where, *rates)

    def workspace(self, request=ADA):
        return self.desk.workspace(request)

    def _handler(self, name):
        return next(fn.fn for fn in self.blocks.fns.values() if fn.name == name)

    def _named(self, changes):
        return {self._name(component): value for component, value in changes.items()}


@pytest.fixture(scope="module")
def predictor():
    return line_predictor()


@pytest.fixture(scope="module")
def built(tmp_path_factory, predictor):
    """The page over an empty desk; building it takes longest."""
    page = Page(desk_in(tmp_path_factory.mktemp("built"), catalog=Rack(predictor)))
    page.desk.close()
    return page


@pytest.fixture
def new_page(built, tmp_path, predictor):
    """Makes the page work over a desk of the test's own."""
    desks = []

    def new(**how):
        desks.append(desk_in(tmp_path, catalog=how.pop("catalog", Rack(predictor)), **how))
        vars(built.desk).update(vars(desks[-1]))
        return built

    yield new
    for desk in desks:
        desk.close()


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def filled(page, predictor):
    """Twenty good parts and four defective ones, all labeled."""
    inspect(page.workspace(), predictor, good_parts() | DEFECTS)
    say(page.workspace(), good_parts(), Finding.GOOD)
    say(page.workspace(), DEFECTS, Finding.DEFECT)
    return page


def tried(steps):
    """What is tried on at the end."""
    return steps[-1]["tried"]


def test_opening_shows_the_limits_in_force_of_the_first_product(page, predictor):
    shown = page.call("open_page", None, None, None, 1)
    assert shown["checkpoint"]["value"] == NAME
    assert shown["category"]["value"] == "gray"
    assert [value for _, value in shown["category"]["choices"]] == ["gray", "brown"]
    assert "in force" in shown["summary"]
    assert "An aim is no proof: with 20 good parts" in shown["summary"]
    assert shown["check"]["value"] == pytest.approx(
        predictor.limits("gray").check, abs=shown["check"]["step"]
    )
    assert shown["check"]["interactive"]
    assert not shown["save"]["interactive"]
    assert not shown["take_back"]["interactive"]
    assert shown["tried"] is None


def test_a_new_name_says_what_to_do_and_offers_nothing_to_move(page):
    shown = page.call("open_page", None, NAME, HOSTILE, 1)
    assert "There are no limits for it yet" in shown["summary"]
    assert HOSTILE not in shown["summary"]
    assert not any(shown[name]["interactive"] for name in ("check", "reject", "place", "save", "labeled"))


def test_a_checkpoint_without_categories_asks_for_a_name(new_page):
    page = new_page(catalog=Rack(line_predictor(calibrated=False)))
    shown = page.call("open_page", None, None, None, 1)
    assert "Type a name for the product" in shown["summary"]
    assert shown["figure"] is None


def test_photos_are_measured_and_tried_on_but_not_in_force(page, predictor, upload):
    files = [upload(name, content) for name, content in good_parts().items()]
    first, *_, last = page.measure(*files, upload("<b>.png", b"no"), where=(NAME, "washer", 1))
    assert "0 of 21" in first["progress"]
    assert first["stop"]["interactive"]
    assert last["files"] is None
    assert last["tried"].measured.calibration.images == 20
    assert "tried on, not saved" in last["summary"]
    assert "&lt;b&gt;.png" in last["progress"]
    assert last["save"]["interactive"]
    assert [trace.name for trace in last["figure"].data] == ["good parts they rest on (20)"]
    assert limits.in_force(page.workspace(), predictor) is predictor


def test_what_cannot_be_measured_is_explained_and_the_page_stays(page, upload, tmp_path_factory):
    def told(*files, **how):
        (step,) = page.measure(*files, **how)
        assert step["measure"]["interactive"]
        return step["notice"]

    assert "Choose photos" in told()
    assert "zip" in told(upload("a.zip", b"no zip"))
    assert "percent" in told(upload("a.png", part(0.1)), rates=(0, 0))
    assert "name" in told(upload("a.png", part(0.1)), where=(NAME, "", 1))
    assert "Choose 1 to 16" in told(upload("a.png", part(0.1)), where=(NAME, "gray", 17))
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(part(0.1))
    assert "no uploaded file" in told({"path": str(secret)})
    *_, last = page.measure(upload("a.png", part(0.1)))
    assert "has 1" in last["notice"]


def test_labeled_pictures_set_limits(filled):
    shown = filled.call("open_page", None, *WHERE)
    assert shown["labeled"]["value"] == "Use 20 labeled good"
    trial = tried(filled.steps("use_labels", *WHERE, *RATES))
    assert (trial.measured.source, trial.measured.calibration.images) == (Source.LABELS, 20)


def test_sliders_judge_everything_anew(filled):
    trial = tried(filled.steps("use_labels", *WHERE, *RATES))
    shown = filled.call("move_reject", trial, *WHERE, 0.47)
    shown = filled.call("move_check", shown["tried"], *WHERE, 0.42)
    assert "3 of 4" in shown["numbers"]  # defects of 0.30, 0.35 and 0.40 are accepted
    assert "is-bad" in shown["numbers"]
    assert "moved by hand" in shown["summary"]
    shown = filled.call("move_check", shown["tried"], *WHERE, 0.25)
    assert "is-bad" not in shown["numbers"]
    assert shown["tried"].measured.is_moved


def test_moving_the_limits_in_force_tries_them_on(page):
    shown = page.call("move_reject", None, *WHERE, 0.4)
    assert shown["tried"].measured.source is Source.CHECKPOINT
    assert shown["reject"]["value"] == pytest.approx(0.4)


def test_rates_place_the_limits(page):
    moved = page.call("move_reject", None, *WHERE, 0.4)["tried"]
    shown = page.call("place", moved, *WHERE, 10, 2)
    measured = shown["tried"].measured
    assert not measured.is_moved
    assert (measured.calibration.rates.check, measured.calibration.rates.reject) == pytest.approx((0.1, 0.02))


def test_what_is_tried_on_stays_while_one_looks_elsewhere_and_goes_on_demand(page):
    trial = page.call("move_reject", None, *WHERE, 0.4)["tried"]
    assert page.call("open_page", trial, *WHERE)["tried"] is trial
    assert page.call("open_page", trial, NAME, "brown", 1)["tried"] is None
    assert page.call("discard", *WHERE)["tried"] is None


def test_saving_puts_in_force_judges_and_tells(filled, predictor):
    trial = tried(filled.steps("use_labels", *WHERE, *RATES))
    first, *_, last = filled.steps("save", trial, HOSTILE)
    assert first["tried"] is None
    assert "in force" in first["summary"]
    assert HOSTILE not in first["history"]
    assert "&lt;img src=x" in first["history"]
    assert "24 stored results" in last["saved"]
    assert "redrawn while this page stays open" in first["saved"]
    assert not any("this visit" in step["saved"] for step in (first, last))
    assert re.search(r"Accept 0 → \d+", last["saved"])
    in_force = limits.in_force(filled.workspace(), predictor)
    assert in_force.calibration_of("gray") == trial.measured.calibration
    assert {one.limits for one in inspections(filled.workspace())} == {in_force.limits("gray")}


def test_earlier_limits_can_be_tried_on_and_all_taken_back(filled, predictor):
    first = tried(filled.steps("use_labels", *WHERE, *RATES))
    filled.steps("save", first, "")
    second = filled.call("move_reject", None, *WHERE, 0.45)["tried"]
    filled.steps("save", second, "")
    choices = filled.call("open_page", None, *WHERE)["earlier"]["choices"]
    assert len(choices) == 2
    again = filled.call("try_earlier", choices[1][1], *WHERE)["tried"]
    assert again.measured.calibration == first.measured.calibration
    assert filled.call("open_page", again, *WHERE)["reject_rate"] == pytest.approx(RATES[1])
    filled.steps("take_back", *WHERE, "no")
    assert limits.in_force(filled.workspace(), predictor) is predictor
    with pytest.raises(gr.Error, match="in force already"):
        filled.steps("take_back", *WHERE, "")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("save", (None, "")),
        ("move_check", (None, NAME, "washer", 1, 0.4)),
        ("move_check", (None, *WHERE, None)),
        ("move_reject", (None, *WHERE, -1)),
        ("place", (None, *WHERE, "x", 1)),
        ("try_earlier", (77, *WHERE)),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(page, name, arguments):
    call = page.steps if name == "save" else page.call
    with pytest.raises(gr.Error) as refused:
        call(name, *arguments)
    assert "our side" not in str(refused.value)


def test_strangers_keep_their_limits_to_themselves(new_page, predictor):
    page = new_page(is_private=True)
    trial = page.call("move_reject", None, *WHERE, 0.4)["tried"]
    saved = page.steps("save", trial, "")
    assert all("hold for the batches of this visit" in step["saved"] for step in saved)
    assert "moved by hand" in page.call("open_page", None, *WHERE)["summary"]
    other = page.call("open_page", None, *WHERE, request=EVE)
    assert "moved by hand" not in other["summary"]
    number = limits.history(page.workspace(), predictor, "gray")[0].id
    with pytest.raises(gr.Error, match="no longer here"):
        page.call("try_earlier", number, *WHERE, request=EVE)
    with pytest.raises(gr.Error, match="session"):
        page.call("open_page", None, *WHERE, request=SimpleNamespace(session_hash=None))


def test_a_trial_of_another_checkpoint_is_not_taken_for_this_one(page):
    trial = page.call("move_reject", None, *WHERE, 0.4)["tried"]
    foreign = replace(trial, checkpoint="other")
    assert page.call("move_check", foreign, *WHERE, 0.2)["tried"].measured.calibration.reject != 0.4


def test_bugs_are_told_and_not_hidden(page, monkeypatch, upload):
    monkeypatch.setattr("mambaad_demo.ui.calibrate_tab.calibrating.measure_photos", lambda *a, **k: 1 / 0)
    with pytest.raises(gr.Error, match="our side"):
        page.measure(upload("a.png", part(0.1)))


RESTING = ("checkpoint", "category", "tiles", "measure", "labeled")


def free(step):
    """What may be changed or pressed, where a step says so."""
    return {name: step[name]["interactive"] for name in RESTING if name in step}


def test_what_is_measured_stays_chosen_while_it_is(filled, upload):
    files = [upload(name, content) for name, content in good_parts(3).items()]
    first, *_, last = filled.measure(*files)
    assert free(first) == dict.fromkeys(RESTING, False)
    assert free(last) == dict.fromkeys(RESTING, True)
    *_, failed = filled.measure(*files[:2])
    assert "has 2" in failed["notice"]
    assert free(failed) == dict.fromkeys(RESTING, True)


def test_stopping_says_that_nothing_was_kept_and_frees_what_can_be_used(filled):
    shown = filled.call("say_stopped", *WHERE)
    assert "nothing was kept" in shown["progress"]
    assert free(shown) == dict.fromkeys(RESTING, True)
    shown = filled.call("say_stopped", NAME, "washer", 1)
    assert free(shown) == dict.fromkeys(RESTING, True) | {"labeled": False}


@pytest.mark.parametrize("name", ["measure", "use_labels", "say_stopped"])
def test_every_component_that_changes_is_an_output_of_its_event(filled, upload, name):
    (event,) = [fn for fn in filled.blocks.fns.values() if fn.name == name]
    files = [upload(name, content) for name, content in good_parts(3).items()]
    arguments = {"measure": (files, *WHERE, *RATES), "use_labels": (*WHERE, *RATES), "say_stopped": WHERE}
    answer = event.fn(*arguments[name], ADA)
    steps = [answer] if isinstance(answer, dict) else list(answer)
    changed = {id(component) for step in steps for component in step}
    assert changed <= {id(component) for component in event.outputs}


def test_limits_of_a_version_that_was_replaced_meanwhile_are_not_saved(page, predictor):
    trial = page.call("move_reject", None, *WHERE, 0.4)["tried"]
    replaced = replace(trial, sha256="0" * 64)
    with pytest.raises(gr.Error, match=f"Meanwhile {NAME} was replaced. Measure the good parts again."):
        page.steps("save", replaced, "")
    assert limits.in_force(page.workspace(), predictor) is predictor


def test_the_page_warns_of_photos_that_a_version_has_learned_from(page):
    shown = [str(getattr(block, "value", "")) for block in page.blocks.blocks.values()]
    assert any("Use photos it has not learned from" in value for value in shown)


def test_parts_the_version_was_taught_are_left_out_and_the_page_says_so(new_page):
    page = new_page(catalog=Rack(line_predictor(trained_on="gray")))
    predictor = page.desk.catalog.only
    inspect(page.workspace(), predictor, good_parts(), product="gray")
    say(page.workspace(), good_parts(), Finding.GOOD)
    say(page.workspace(), ["good 03.png"], Finding.GOOD, is_taught=True)
    shown = page.call("open_page", None, *WHERE)
    assert shown["labeled"]["value"] == "Use 19 labeled good"
    last = page.steps("use_labels", *WHERE, *RATES)[-1]
    assert last["tried"].measured.calibration.images == 19
    assert "Parts taught as good were left out (1)" in last["progress"]


def test_limits_are_values_of_the_page(page):
    shown = page.call("move_reject", None, *WHERE, 0.4)
    check, reject = shown["check"], shown["reject"]
    assert check["minimum"] < check["value"] <= reject["value"] < reject["maximum"]
    assert Limits(check=check["value"], reject=reject["value"])


def test_a_stranger_may_have_so_many_photos_measured(page, upload):
    files = [upload(name, content) for name, content in good_parts().items()]
    with few_pictures(len(files) - 1):
        last = page.measure(*files)[-1]
    assert f"count as {len(files)} pictures" in last["notice"]
    assert last["measure"]["interactive"]
    with few_pictures(len(files)):
        assert tried(page.measure(*files)) is not None
