"""The sentences people read about a part."""

import pytest

from mambaad_demo.pipeline.prediction import UNKNOWN_CATEGORY, Limits, Verdict
from mambaad_demo.ui import words
from tests.ui.fakes import CHECK, REJECT, calibration, prediction


def scored(make_image, score, **changes):
    """A prediction with a given score; its picture does not matter."""
    verdict = Limits(check=CHECK, reject=REJECT).verdict(score)
    pixels = make_image(32, 24) / 255
    return prediction(pixels, **{"image_score": score, "verdict": verdict, **changes})


def test_rarity_is_told_with_the_number_of_good_parts(make_image):
    sentence = " ".join(words.rarity(scored(make_image, 0.7, percentile=99.2), calibration()))

    assert sentence == "Rarer than 99.2 % of 40 good parts."


def test_a_very_usual_part_is_not_called_rare(make_image):
    sentence = " ".join(words.rarity(scored(make_image, 0.1, percentile=0.0), calibration()))

    assert sentence == "More usual than all 40 good parts it is compared with."


def test_without_limits_the_judgement_is_left_to_the_eye(make_image):
    uncalibrated = scored(
        make_image, 0.7, limits=Limits(), verdict=Verdict.CHECK, percentile=None, regions=()
    )

    assert "by eye" in " ".join(words.rarity(uncalibrated, None))
    assert words.regions(uncalibrated) == ""
    assert words.certainty(uncalibrated, None).startswith("Unknown")


@pytest.mark.parametrize(
    ("score", "beginning", "line"),
    [
        (0.90, "Clear", "above the reject limit of 0.500"),
        (0.55, "Fair", "above the reject limit of 0.500"),
        (0.505, "Slim", "above the reject limit of 0.500"),
        (0.45, "Undecided", "between the check limit of 0.400 and the reject limit of 0.500"),
        (0.395, "Slim", "below the check limit of 0.400"),
        (0.35, "Fair", "below the check limit of 0.400"),
        (0.20, "Clear", "below the check limit of 0.400"),
    ],
)
def test_certainty_is_the_distance_to_the_limit_that_decided(make_image, score, beginning, line):
    sentence = words.certainty(scored(make_image, score), calibration())

    assert sentence.startswith(beginning)
    assert line in sentence


def test_regions_are_counted_in_words(make_image):
    one = scored(make_image, 0.7)
    with_defects = prediction(make_image(96, 80, defect=(20, 20, 16)) / 255)

    assert words.regions(one) == "Nothing stands out."
    assert words.regions(with_defects) == "One region stands out."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"category_source": "given"}, ("bottle cap", "chosen by you")),
        ({"category_margin": 0.5}, ("bottle cap", "suggested, clearly the nearest")),
        ({"category_margin": 0.2}, ("bottle cap", "suggested, fairly sure")),
        ({"category": UNKNOWN_CATEGORY}, ("unknown", "this checkpoint knows no products")),
    ],
)
def test_product_says_where_it_comes_from(make_image, changes, expected):
    assert words.product(scored(make_image, 0.3, **changes)) == expected


def test_a_close_call_invites_to_choose(make_image):
    assert "choose it yourself" in words.product(scored(make_image, 0.3, category_margin=0.02))[1]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "0.500"), (0.01234, "0.0123"), (1.5, "1.50"), (0.0, "0.00")]
)
def test_scores_have_three_digits(value, shown):
    assert words.score_text(value) == shown


def test_the_picture_is_described_for_those_who_cannot_see_it(make_image):
    assert words.picture(scored(make_image, 0.2), "a.png") == (
        "a.png, 32 by 24 pixels: Accept. Nothing stands out."
    )
