"""AIAG's bands, and how much of them is shown."""

import pytest

from mambaad_demo.workflow.studies.acceptance import (
    CRITERIA,
    EFFECTIVENESS,
    FALSE_ALARM,
    MISS,
    Band,
    judgement,
    judgements,
    least_parts,
)
from mambaad_demo.workflow.studies.shares import share
from tests.workflow.studies.test_attribute_msa import MIRA, appraisals, appraiser


@pytest.mark.parametrize(
    ("criterion", "count", "total", "band"),
    [
        (EFFECTIVENESS, 90, 100, Band.ACCEPTABLE),
        (EFFECTIVENESS, 89, 100, Band.MARGINAL),
        (EFFECTIVENESS, 80, 100, Band.MARGINAL),
        (EFFECTIVENESS, 79, 100, Band.UNACCEPTABLE),
        (MISS, 2, 100, Band.ACCEPTABLE),
        (MISS, 5, 100, Band.MARGINAL),
        (MISS, 6, 100, Band.UNACCEPTABLE),
        (FALSE_ALARM, 5, 100, Band.ACCEPTABLE),
        (FALSE_ALARM, 10, 100, Band.MARGINAL),
        (FALSE_ALARM, 11, 100, Band.UNACCEPTABLE),
    ],
)
def test_bands_hold_their_own_bounds(criterion, count, total, band):
    assert judgement(criterion, share(count, total)).estimate is band


def test_no_error_in_few_parts_shows_nothing():
    found = judgement(MISS, share(0, 20))
    assert (found.estimate, found.worst, found.best) == (Band.ACCEPTABLE, Band.UNACCEPTABLE, Band.ACCEPTABLE)
    assert not found.is_shown
    assert found.needed == 183


def test_no_error_in_as_many_parts_as_needed_shows_it():
    for criterion in CRITERIA:
        needed = least_parts(criterion)
        errors = 0 if criterion.counts_errors else needed
        assert judgement(criterion, share(errors, needed)).is_shown
        fewer = 0 if criterion.counts_errors else needed - 1
        assert not judgement(criterion, share(fewer, needed - 1)).is_shown


def test_many_errors_are_shown_to_be_unacceptable():
    found = judgement(EFFECTIVENESS, share(10, 100))
    assert found.is_shown
    assert found.worst is Band.UNACCEPTABLE
    assert found.needed is None  # no number of parts would make it acceptable


def test_an_appraiser_is_judged_by_what_could_be_counted():
    assert [found.criterion for found in judgements(*appraisals(MIRA))] == list(CRITERIA)
    (only_good,) = appraisals(appraiser("one", g1="g"))
    assert [found.criterion for found in judgements(only_good)] == [EFFECTIVENESS, FALSE_ALARM]
