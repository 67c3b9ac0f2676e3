"""Both parts of the page, what is kept of them, and the JSON."""

import json

import numpy as np
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.ops.metrics import METRICS, evaluate_maps
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import labels
from mambaad_demo.workflow.figures import summary
from mambaad_demo.workflow.figures.metrics_file import metrics_json
from mambaad_demo.workflow.figures.summary import FigureBook, overview, product_versions
from tests.workflow.figures.labeled_store import other


@pytest.fixture
def filled(store):
    """Six good gears and six defective ones, all with masks; one good cap."""
    random = np.random.default_rng(0)
    store.maps, store.masks = [], []
    for number in range(12):
        mask = np.zeros((16, 16), bool)
        mask[4:9, 5:12] = number % 2
        anomaly_map = (0.5 * random.random((16, 16)) + 0.1 * mask).astype(np.float32)
        finding = Finding.DEFECT if number % 2 else Finding.GOOD
        image = store.inspect(float(anomaly_map.max()), anomaly_map=anomaly_map)
        store.say(image, finding, mask=mask if number % 2 else None)
        store.maps.append(anomaly_map)
        store.masks.append(mask)
    store.add(0.2, Finding.GOOD, product="cap")
    return store


def newest(store, product="gear"):
    return product_versions(store.workspace, product)[0]


def test_a_reviewer_may_be_asked_alone_while_agreement_stays_that_of_all(filled):
    first = overview(filled.workspace, "gear", newest(filled)).labeled.decided[0]
    filled.say(first.inspection.image_id, Finding.DEFECT, reviewer="noor")

    alone = overview(filled.workspace, "gear", newest(filled), reviewer="noor")

    assert (alone.labeled.n_good, alone.labeled.n_defect) == (0, 1)
    assert [pair.reviewers for pair in alone.agreement.pairs] == [("mira", "noor")]


@pytest.fixture
def counted(monkeypatch):
    """How often each part was measured."""
    calls = {"overview": 0, "full_ranking": 0}
    for name in calls:
        real = getattr(summary, name)

        def measure(*arguments, real=real, name=name, **how):
            calls[name] += 1
            return real(*arguments, **how)

        monkeypatch.setattr(summary, name, measure)
    return calls


def ask(book, store):
    shown = book.overview(store.workspace, "gear", newest(store))
    return shown, book.ranking(store.workspace, shown.labeled)


def test_answers_are_kept_while_nothing_happens(filled, counted):
    book = FigureBook()
    assert ask(book, filled) == ask(book, filled)
    assert counted == {"overview": 1, "full_ranking": 1}


def test_after_a_decision_both_parts_are_measured_anew(filled, counted):
    book = FigureBook()
    _, before = ask(book, filled)
    filled.add(0.9, Finding.GOOD)
    shown, after = ask(book, filled)
    assert counted == {"overview": 2, "full_ranking": 2}
    assert (before.n_good, after.n_good, shown.labeled.n_good) == (6, 7, 7)


def test_after_an_undo_too(filled):
    book = FigureBook()
    filled.say(1, Finding.DEFECT)
    ask(book, filled)
    labels.undo(filled.workspace, reviewer="mira")
    assert ask(book, filled)[0].labeled.n_good == 6


def test_a_new_inspection_that_nobody_labeled_leaves_the_slow_part_as_it_is(filled, counted):
    book = FigureBook()
    ask(book, filled)
    filled.inspect(0.3)
    shown, _ = ask(book, filled)
    assert counted == {"overview": 2, "full_ranking": 1}
    assert shown.labeled.n_inspected == 13


def test_few_answers_are_kept(filled, counted):
    book = FigureBook()
    for number in range(12):
        book.overview(filled.workspace, "gear", newest(filled), reviewer=f"nobody {number}")
    book.overview(filled.workspace, "gear", newest(filled), reviewer="nobody 0")
    assert counted["overview"] == 13


def test_workspaces_never_share_an_answer(filled):
    book = FigureBook()
    ask(book, filled)
    version = newest(filled)
    stranger = filled.workspace.of("somebody else")
    assert book.overview(stranger, "gear", version).labeled.n_inspected == 0


def test_the_json_has_the_seven_metrics_of_each_product_and_their_mean(filled):
    found = json.loads(json.dumps(metrics_json(filled.workspace), allow_nan=False))

    gear, cap = found["categories"]["gear"], found["categories"]["cap"]
    expected = evaluate_maps(np.stack(filled.maps), np.stack(filled.masks))
    assert {name: gear[name] for name in METRICS} == pytest.approx(expected)
    assert gear["mad"] == pytest.approx(np.mean(list(expected.values())))
    assert (gear["n_good"], gear["n_defect"], gear["n_without_mask"]) == (6, 6, 0)
    low, high = gear["intervals"]["pixel_auroc"]
    assert low < gear["pixel_auroc"] < high
    assert gear["rates"]["false_reject"]["value"] == 0
    assert sum(gear["confusion"]["good"].values()) == 6
    assert (cap["image_auroc"], cap["mad"], cap["n_good"]) == (None, None, 1)
    assert found["mean"]["image_auroc"] == gear["image_auroc"]


def test_one_product_and_one_checkpoint_may_be_asked_for(filled):
    filled.add(0.3, Finding.GOOD, version=other(checkpoint="pyramid_mamba", sha256="12" * 32))
    found = metrics_json(filled.workspace, "gear", "pyramid_mamba")["categories"]
    assert list(found) == ["gear"]
    assert (found["gear"]["n_good"], found["gear"]["version"]["checkpoint"]) == (1, "pyramid_mamba")


def test_the_newest_version_of_a_checkpoint_speaks_for_it(filled):
    filled.add(0.3, Finding.GOOD, version=other(sha256="12" * 32))
    assert metrics_json(filled.workspace, "gear", "mambaad")["categories"]["gear"]["n_good"] == 1


@pytest.mark.parametrize(("product", "checkpoint"), [("spaceship", None), ("gear", "nobody")])
def test_unknown_names_are_refused(filled, product, checkpoint):
    with pytest.raises(InputError, match=checkpoint or product):
        metrics_json(filled.workspace, product, checkpoint)


def test_an_empty_store_has_no_categories(store):
    assert metrics_json(store.workspace) == {
        "categories": {},
        "mean": dict.fromkeys([*METRICS, "mad"]),
    }


def test_pictures_that_nobody_labeled_make_no_category(store):
    store.inspect(0.2)
    assert metrics_json(store.workspace)["categories"] == {}
    assert metrics_json(store.workspace, "gear")["categories"]["gear"]["image_auroc"] is None
