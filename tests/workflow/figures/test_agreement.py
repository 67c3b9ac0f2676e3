"""Kappas against scikit-learn and statsmodels, and where they are undefined."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

from mambaad_demo.pipeline.labeling import Finding, LabeledImage, Severity, consensus
from mambaad_demo.workflow.figures.agreement import agreement, cohen

WORDS = list(Finding)


def labeled(number, **said):
    """A picture and what each reviewer says of it."""
    return LabeledImage(
        image_id=number,
        sha256="ab" * 32,
        name="part.png",
        product="gear",
        width=8,
        height=8,
        finding=consensus(list(said.values())),
        defect_type="",
        severity=Severity.UNSTATED,
        note="",
        mask_sha256=None,
        reviewers=tuple(said),
        findings=tuple(said.values()),
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def said(count, reviewers, *, seed=0, noise=0.3):
    """(count, reviewers) indices of words: a truth that each reviewer misses now and then."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, size=(count, 1), p=[0.6, 0.3, 0.1])
    guess = random.choice(3, size=(count, reviewers))
    return np.where(random.random((count, reviewers)) < noise, guess, truth)


def pictures(words, names=("ada", "ben", "cem")):
    return [
        labeled(number, **{name: WORDS[word] for name, word in zip(names, row, strict=False)})
        for number, row in enumerate(words)
    ]


def test_cohens_kappa_equals_scikit_learn_and_its_interval_statsmodels():
    words = said(60, 2)

    (pair,) = agreement(pictures(words), []).pairs

    assert pair.reviewers == ("ada", "ben")
    assert pair.kappa.value == pytest.approx(cohen_kappa_score(words[:, 0], words[:, 1]))
    table = np.zeros((3, 3))
    np.add.at(table, (words[:, 0], words[:, 1]), 1)
    ends = cohens_kappa(table)
    assert (pair.kappa.interval.low, pair.kappa.interval.high) == pytest.approx(
        (ends.kappa_low, ends.kappa_upp)
    )
    assert (pair.n, pair.same.value) == (60, pytest.approx((words[:, 0] == words[:, 1]).mean()))


def test_fleiss_kappa_equals_statsmodels():
    words = said(40, 3)
    group = agreement(pictures(words), []).group
    assert (group.n, group.reviewers_each) == (40, 3)
    assert group.kappa.value == pytest.approx(fleiss_kappa(aggregate_raters(words)[0]))


def test_fleiss_takes_the_pictures_that_most_have_the_same_number_of_reviewers_for():
    words = said(30, 3)
    some = [*pictures(words[:12]), *pictures(words[12:, :2])]
    group = agreement(some, []).group
    assert (group.n, group.reviewers_each) == (18, 2)


def test_pairs_are_compared_on_pictures_that_both_decided_alone():
    some = [
        labeled(0, ada=Finding.GOOD, ben=Finding.GOOD),
        labeled(1, ben=Finding.DEFECT, ada=Finding.GOOD),
        labeled(2, ada=Finding.DEFECT),
        labeled(3, cem=Finding.UNSURE, ben=Finding.GOOD),
    ]
    found = agreement(some, [])
    assert [(pair.reviewers, pair.n, pair.same.value) for pair in found.pairs] == [
        (("ada", "ben"), 2, 0.5),
        (("ben", "cem"), 1, 0.0),
    ]
    assert (found.n_labeled, found.n_reviewers) == (4, 3)


def test_hidden_repeats_say_how_steady_a_reviewer_is():
    repeats = [("ada", Finding.GOOD, Finding.GOOD)] * 3 + [("ada", Finding.DEFECT, Finding.GOOD)]
    (ada,) = agreement([], repeats).selves
    assert (ada.reviewer, ada.n, ada.same.value, ada.kappa.value) == ("ada", 4, 0.75, 0.0)


def test_kappa_of_one_word_alone_is_undefined_and_says_why():
    some = [labeled(number, ada=Finding.GOOD, ben=Finding.GOOD) for number in range(30)]
    found = agreement(some, [("ada", Finding.GOOD, Finding.GOOD)])
    for kappa in (found.pairs[0].kappa, found.group.kappa, found.selves[0].kappa):
        assert (kappa.interval, "one word" in kappa.reason) == (None, True)
    assert found.pairs[0].same.value == 1


def test_few_pictures_have_a_kappa_without_interval():
    kappa = cohen([("good", "good"), ("defect", "defect"), ("defect", "good")])
    assert (kappa.interval.low, "20 pictures" in kappa.reason) == (None, True)


def test_full_agreement_has_no_interval_of_no_width():
    kappa = cohen([("good", "good"), ("defect", "defect")] * 20)
    assert (kappa.value, kappa.interval.low) == (1.0, None)
    assert "never differ" in kappa.reason


def test_a_reviewer_who_always_says_the_same_agrees_by_chance_alone():
    kappa = cohen([("good", "good"), ("good", "defect")] * 20)
    assert (kappa.value, kappa.interval.low) == (0.0, None)
    assert "one word only" in kappa.reason


def test_one_reviewer_agrees_with_nobody():
    found = agreement([labeled(0, ada=Finding.GOOD)], [])
    assert (found.pairs, found.group, found.selves) == ((), None, ())
