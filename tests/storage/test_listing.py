"""Stored pictures filtered, ordered, counted and paged, on both databases."""

from collections import Counter
from itertools import chain

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage import labels, listing
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.listing import Decided, Filters, Order
from mambaad_demo.workflow.batches import BatchSpec
from tests.workflow.stored import Scorer, found, image_ids, inspected, names, part, parts


def batch(workspace, scores, *, first=0, product=None, checkpoint="scorer", limits=None, category=None):
    """A batch of new parts with these scores by name; returns its id."""
    contents = {name: part(score, first + number) for number, (name, score) in enumerate(scores.items())}
    predictor = Scorer(name=checkpoint) if limits is None else Scorer(name=checkpoint, limits=limits)
    spec = BatchSpec(checkpoint=checkpoint, product=product, category=category)
    return inspected(workspace, contents, predictor=predictor, spec=spec)


def say(workspace, name, finding, *, reviewer="mira", defect_type="", **how):
    label = Label(finding=Finding(finding), defect_type=defect_type)
    return labels.decide(workspace, image_ids(workspace)[name], label, reviewer=reviewer, **how)


def test_an_empty_store_lists_nothing(workspace):
    assert listing.page(workspace, Filters()) == []
    assert listing.count(workspace, Filters()) == 0


def test_doubtful_parts_come_first_and_parts_without_limits_last(workspace):
    batch(workspace, {"no limits": 0.9}, limits=Limits())
    batch(
        workspace,
        {"far below": 0.1, "just above": 0.52, "middle": 0.3, "just below check": 0.39, "sure": 0.9},
        first=10,
    )
    assert names(workspace, order=Order.DOUBT) == [
        "just below check",
        "just above",
        "middle",
        "far below",
        "sure",
        "no limits",
    ]


def test_parts_at_one_distance_stay_in_the_order_in_which_they_came(workspace):
    for number, name in enumerate("cabd"):
        batch(workspace, {name: 0.6}, first=number)
    assert names(workspace, order=Order.DOUBT) == ["c", "a", "b", "d"]


def test_high_scores_are_compared_in_units_of_their_own_limit(workspace):
    batch(workspace, {"strict": 0.3}, limits=Limits(check=0.1, reject=0.2))
    batch(workspace, {"usual": 0.6, "low": 0.2}, first=10)
    batch(workspace, {"no limits": 0.95}, first=20, limits=Limits())
    assert names(workspace, order=Order.SCORE) == ["strict", "usual", "low", "no limits"]


def test_a_limit_of_zero_breaks_no_order(workspace):
    batch(workspace, {"zero": 0.5}, limits=Limits(check=0.0, reject=0.0))
    batch(workspace, {"usual": 0.6}, first=10)
    for order in Order:
        assert set(names(workspace, order=order)) == {"zero", "usual"}
    assert names(workspace, order=Order.SCORE) == ["usual", "zero"]
    assert [one.multiple for one in found(workspace)] == [pytest.approx(1.2), None]


def test_names_and_age_can_be_ordered_by(workspace):
    for number, name in enumerate("bca"):
        batch(workspace, {name: 0.6}, first=number)
    assert names(workspace, order=Order.NAME) == ["a", "b", "c"]
    assert names(workspace, order=Order.NEWEST) == ["a", "c", "b"]


def test_pages_hold_everything_once_and_in_order(workspace):
    batch(workspace, {f"{number:02d}": (number * 7 % 13) / 13 for number in range(13)})
    for order in Order:
        whole = names(workspace, order=order)
        pages = [
            [one.name for one in listing.page(workspace, Filters(order=order), offset=offset, limit=5)]
            for offset in (0, 5, 10, 15)
        ]
        assert [len(page) for page in pages] == [5, 5, 3, 0]
        assert list(chain(*pages)) == whole
        assert len(set(whole)) == 13
    assert listing.count(workspace, Filters()) == 13


def test_each_filter_lets_its_own_pass(workspace):
    first = batch(workspace, {"ok.png": 0.1, "odd.png": 0.45, "bad.png": 0.9})
    second = batch(workspace, {"other.png": 0.9}, first=10, product="pinion", checkpoint="newer")

    assert names(workspace, job_id=first) == ["bad.png", "odd.png", "ok.png"]
    assert names(workspace, job_id=second) == ["other.png"]
    assert names(workspace, job_id="-") == []
    assert names(workspace, product="pinion") == ["other.png"]
    assert names(workspace, checkpoint="newer") == ["other.png"]
    assert names(workspace, verdict="reject") == ["bad.png", "other.png"]
    assert names(workspace, verdict="check") == ["odd.png"]
    assert names(workspace, verdict="reject", job_id=first) == ["bad.png"]
    assert names(workspace, search="O") == ["odd.png", "ok.png", "other.png"]
    assert names(workspace, search="other", product="cap") == []


def test_decisions_can_be_filtered_by(workspace):
    batch(workspace, dict.fromkeys(("bent", "fine", "new", "odd", "taken back"), 0.6))
    say(workspace, "bent", "defect", defect_type="bent")
    say(workspace, "fine", "good")
    say(workspace, "odd", "unsure")
    say(workspace, "odd", "defect", defect_type="dirt", reviewer="jo")
    say(workspace, "taken back", "defect", defect_type="bent")
    labels.undo(workspace, reviewer="mira")

    assert names(workspace, decided=Decided.NOBODY) == ["new", "taken back"]
    assert names(workspace, decided=Decided.SOMEBODY) == ["bent", "fine", "odd"]
    assert names(workspace, finding="defect") == ["bent", "odd"]
    assert names(workspace, finding="unsure") == ["odd"]
    assert names(workspace, defect_type="bent") == ["bent"]
    assert names(workspace, finding="defect", defect_type="dirt") == ["odd"]
    assert names(workspace, finding="good", defect_type="dirt") == []
    labels.redo(workspace, reviewer="mira")
    assert names(workspace, defect_type="bent") == ["bent", "taken back"]


def test_only_a_reviewers_newest_word_counts(workspace):
    batch(workspace, {"a": 0.6})
    say(workspace, "a", "defect", defect_type="bent")
    say(workspace, "a", "good")
    assert names(workspace, finding="defect") == []
    assert names(workspace, finding="good") == ["a"]
    say(workspace, "a", "defect", is_repeat=True)  # what is said of a hidden repeat is a measurement
    assert names(workspace, finding="good") == ["a"]
    assert names(workspace, finding="defect") == []


def test_finding_and_type_have_to_stand_in_one_persons_word(workspace):
    batch(workspace, {"a": 0.6})
    say(workspace, "a", "good", reviewer="mira")
    say(workspace, "a", "defect", defect_type="bent", reviewer="jo")
    assert names(workspace, finding="good", defect_type="bent") == []


def test_collections_can_be_filtered_by(workspace):
    batch(workspace, {"a": 0.6, "b": 0.6})
    say(workspace, "a", "good", is_taught=True)
    say(workspace, "b", "defect", is_golden=True)
    assert names(workspace, collection="teach") == ["a"]
    assert names(workspace, collection="golden") == ["b"]


def test_what_is_searched_for_is_taken_literally(workspace):
    batch(
        workspace, dict.fromkeys(["100%.png", "a_b.png", "axb.png", "x/y.png", "b\\c.png", "it's.png"], 0.6)
    )
    for search, expected in {
        "%": ["100%.png"],
        "_": ["a_b.png"],
        "a_b": ["a_b.png"],
        "A_B.PNG": ["a_b.png"],
        "/": ["x/y.png"],
        "\\": ["b\\c.png"],
        "'": ["it's.png"],
        "*": [],
    }.items():
        assert names(workspace, search=search) == expected
        assert listing.count(workspace, Filters(search=search)) == len(expected)


def test_a_picture_is_listed_once_with_its_newest_inspection(workspace):
    first = inspected(workspace, {"a.png": part(0.6)})
    second = inspected(workspace, {"a.png": part(0.6)}, predictor=Scorer(name="newer"))
    third = inspected(workspace, {"a.png": part(0.6)}, predictor=Scorer(name="newest"))

    assert [one.checkpoint for one in found(workspace)] == ["newest"]
    assert [one.checkpoint for one in found(workspace, job_id=first)] == ["scorer"]
    assert [one.checkpoint for one in found(workspace, job_id=second)] == ["newer"]
    assert [one.checkpoint for one in found(workspace, checkpoint="newer")] == ["newer"]
    assert found(workspace, checkpoint="newer", job_id=third) == []
    assert listing.count(workspace, Filters()) == 1


def test_filters_look_at_the_newest_inspection_alone(workspace):
    inspected(workspace, {"a.png": part(0.6)})
    inspected(workspace, {"a.png": part(0.6)}, predictor=Scorer(limits=Limits(check=0.8, reject=0.9)))
    assert names(workspace, verdict="reject") == []
    assert names(workspace, verdict="accept") == ["a.png"]


def test_counts_agree_with_pages_for_every_filter(workspace):
    job_id = batch(workspace, {f"{number}": number / 10 for number in range(10)})
    say(workspace, "3", "good")
    for filters in (
        Filters(),
        Filters(job_id=job_id, verdict="reject"),
        Filters(decided=Decided.SOMEBODY, finding="good"),
        Filters(search="1", order=Order.SCORE),
        Filters(product="nothing"),
    ):
        assert listing.count(workspace, filters) == len(listing.page(workspace, filters))
    verdicts = Counter(one.verdict.value for one in found(workspace))
    assert {name: listing.count(workspace, Filters(verdict=name)) for name in verdicts} == verdicts


def test_each_workspace_sees_its_own(workspace):
    stranger = workspace.of("stranger")
    job_id = inspected(workspace, parts(2))
    inspected(stranger, parts(3))
    assert (len(found(workspace)), len(found(stranger))) == (2, 3)
    assert found(stranger, job_id=job_id) == []
    with pytest.raises(InputError):
        labels.decide(stranger, found(workspace)[0].image_id, Label(finding=Finding.GOOD), reviewer="eve")
    labels.decide(stranger, found(stranger)[0].image_id, Label(finding=Finding.GOOD), reviewer="eve")
    assert found(workspace, decided=Decided.SOMEBODY) == []
    assert len(inspections(workspace)) == 2
