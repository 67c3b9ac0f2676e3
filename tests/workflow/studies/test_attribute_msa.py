"""The attribute agreement analysis, counted by hand and against scipy, scikit-learn and statsmodels."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.workflow.studies.attribute_msa import Appraiser, attribute_msa
from mambaad_demo.workflow.studies.shares import Share
from mambaad_demo.workflow.studies.study import Reference, Source

WORDS = {"g": Finding.GOOD, "d": Finding.DEFECT, "u": Finding.UNSURE}
REFERENCES = {
    name: Reference(finding=WORDS[name[0]], source=Source.GOLDEN, by=("gold keeper",))
    for name in ("g1", "g2", "g3", "g4", "d1", "d2")
}


def appraiser(name, *, is_person=True, **trials):
    return Appraiser(
        name=name,
        is_person=is_person,
        trials={part: tuple(WORDS[word] for word in words) for part, words in trials.items()},
    )


MIRA = appraiser("mira", g1="gg", g2="gg", g3="gd", g4="gu", d1="dd", d2="dg")
JO = appraiser("jo", g1="g", g2="d", g3="g", g4="g", d1="d", d2="u")


def appraisals(*appraisers, references=REFERENCES):
    return attribute_msa(references, appraisers).appraisals


def test_shares_counted_by_hand():
    (mira,) = appraisals(MIRA)
    assert (mira.parts, mira.looks) == (6, 12)
    assert (mira.within.count, mira.within.total) == (3, 6)
    assert (mira.effectiveness.count, mira.effectiveness.total) == (3, 6)
    assert (mira.miss.count, mira.miss.total) == (1, 4)  # looks at d1 and d2
    assert (mira.false_alarm.count, mira.false_alarm.total) == (1, 8)
    assert (mira.undecided.count, mira.undecided.total) == (1, 12)


def test_intervals_are_exact_for_the_number_of_parts():
    (jo,) = appraisals(JO)  # one look at each part
    for share in (jo.effectiveness, jo.miss, jo.false_alarm, jo.undecided):
        exact = stats.binomtest(share.count, share.total).proportion_ci(0.95, method="exact")
        assert (share.low, share.high) == pytest.approx((exact.low, exact.high))
    twice = appraiser("jo", **{part: [word[0]] * 2 for part, word in shown(JO).items()})
    (doubled,) = appraisals(twice)
    assert (doubled.miss.total, jo.miss.total) == (4, 2)
    assert (doubled.miss.low, doubled.miss.high) == (jo.miss.low, jo.miss.high)


def shown(one):
    return {part: [word.value[0] for word in words] for part, words in one.trials.items()}


def test_an_undecided_look_is_neither_right_nor_a_miss_nor_a_false_alarm():
    (one,) = appraisals(appraiser("one", g1="uu", d1="uu"))
    assert one.within.count == 2  # it repeats itself, in a category of its own
    assert (one.effectiveness.count, one.miss.count, one.false_alarm.count) == (0, 0, 0)
    assert one.undecided.value == 1
    assert one.kappa == pytest.approx(0)  # undecided looks never agree with a reference


def test_kappa_to_the_reference_is_that_of_scikit_learn():
    (mira,) = appraisals(MIRA)
    truth = [part[0] for part, words in MIRA.trials.items() for _ in words]
    said = [word.value[0] for words in MIRA.trials.values() for word in words]
    assert mira.kappa == pytest.approx(cohen_kappa_score(truth, said, labels=["g", "u", "d"]))
    assert 0.3 < mira.kappa < 0.7


def test_kappa_between_appraisers_is_that_of_statsmodels_on_first_looks():
    third = appraiser("third", g1="g", g2="u", g3="g", g4="d", d1="d", d2="d")
    sheet = attribute_msa(REFERENCES, [MIRA, JO, third])
    table = np.array(
        [[3, 0, 0], [1, 1, 1], [3, 0, 0], [2, 0, 1], [0, 0, 3], [0, 1, 2]]
    )  # good, unsure, defect
    assert sheet.common == 6
    assert sheet.fleiss == pytest.approx(fleiss_kappa(table))
    assert (sheet.between.count, sheet.between.total) == (2, 6)  # g1 and d1: every look
    assert (sheet.system.count, sheet.system.total) == (2, 6)


def test_all_may_agree_with_each_other_against_the_reference():
    sheet = attribute_msa(REFERENCES, [appraiser("a", g1="d", d1="d"), appraiser("b", g1="d", d1="d")])
    assert (sheet.between.count, sheet.system.count, sheet.common) == (2, 1, 2)


def test_only_parts_that_all_looked_at_are_common():
    sheet = attribute_msa(REFERENCES, [MIRA, appraiser("late", g1="g")])
    assert sheet.common == 1
    assert sheet.fleiss is None  # one part, one word: no kappa


def test_a_person_is_not_measured_by_their_own_word():
    own = {"g1": Reference(finding=Finding.GOOD, source=Source.CONSENSUS, by=("mira",))}
    references = REFERENCES | own
    mira, jo = appraisals(MIRA, JO, references=references)
    assert (mira.own, mira.parts) == (1, 6)
    assert (mira.effectiveness.count, mira.effectiveness.total) == (2, 5)
    assert mira.within.total == 6
    assert jo.own == 0
    assert jo.effectiveness.total == 6


def test_a_checkpoint_of_a_reviewers_name_is_measured_all_the_same():
    references = {"g1": Reference(finding=Finding.GOOD, source=Source.CONSENSUS, by=("mambaad",))}
    (machine,) = appraisals(appraiser("mambaad", is_person=False, g1="gg"), references=references)
    assert machine.effectiveness.total == 1


def test_looks_at_parts_without_a_reference_are_not_counted():
    (one,) = appraisals(appraiser("one", g1="g", stranger="ddd"))
    assert (one.parts, one.looks) == (1, 1)


def test_who_looked_at_nothing_is_left_out():
    assert appraisals(appraiser("absent"), appraiser("elsewhere", stranger="g")) == ()


def test_what_cannot_be_counted_is_missing_and_never_nan():
    sheet = attribute_msa(REFERENCES, [appraiser("one", g1="g", g2="g")])
    (one,) = sheet.appraisals
    assert (one.within, one.miss, one.kappa) == (None, None, None)
    assert (sheet.between, sheet.system, sheet.fleiss) == (None, None, None)
    empty = attribute_msa({}, [])
    assert (empty.parts, empty.common, empty.between) == (0, 0, None)


def test_nothing_is_nan_whatever_is_said():
    generator = np.random.default_rng(0)
    for _ in range(60):
        count = generator.integers(1, 5)
        parts = list(REFERENCES)[: generator.integers(0, 7)]
        people = [
            appraiser(
                f"person {number}",
                **{part: "".join(generator.choice(list("gdu"), generator.integers(0, 4))) for part in parts},
            )
            for number in range(count)
        ]
        sheet = attribute_msa({part: REFERENCES[part] for part in parts}, people)
        numbers = [sheet.fleiss, *(one.kappa for one in sheet.appraisals)]
        for one in [
            sheet.between,
            sheet.system,
            *(measure(a) for a in sheet.appraisals for measure in MEASURES),
        ]:
            if isinstance(one, Share):
                assert 0 <= one.low <= one.value <= one.high <= 1
        assert not any(number is not None and math.isnan(number) for number in numbers)


MEASURES = [
    lambda one: one.within,
    lambda one: one.effectiveness,
    lambda one: one.miss,
    lambda one: one.false_alarm,
    lambda one: one.undecided,
]


def test_the_sheet_says_what_its_references_rest_on():
    consensus = {"g9": Reference(finding=Finding.GOOD, source=Source.CONSENSUS, by=("a", "b"))}
    sheet = attribute_msa(REFERENCES | consensus, [MIRA])
    assert (sheet.good, sheet.defective, sheet.from_golden_set) == (5, 2, 6)
