"""The suggested category and its margin, on embeddings small enough to compute by hand."""

import numpy as np
import pytest

from mambaad_demo.hub.schemas import CalibrationFile
from mambaad_demo.pipeline.suggestion import CategoryIndex


def index(**centroids):
    category = {
        "scores": [0.1, 0.2],
        "pixel_quantiles": {"0.5": 0.05},
        "check": 0.3,
        "reject": 0.4,
        "images": 2,
        "rates": {"check": 0.05, "reject": 0.005},
        "embedding_distances": [0.5, 1.0],
    }
    return CategoryIndex(
        CalibrationFile.model_validate(
            {
                "embedding_scale": [1.0, 10.0] if centroids else [],
                "categories": {name: category | {"embedding": value} for name, value in centroids.items()},
            }
        )
    )


def test_distance_is_measured_in_units_of_the_spread():
    categories = index(near=[0.0, 0.0], far=[3.0, 0.0])

    suggestion = categories.suggest(np.array([1.0, 20.0]))  # 20 in the second dimension is two units

    assert suggestion.category == "near"
    assert suggestion.margin == pytest.approx(1 - np.sqrt(5) / np.sqrt(8))


def test_a_tie_has_margin_zero_and_a_hit_margin_one():
    categories = index(left=[0.0, 0.0], right=[2.0, 0.0])

    assert categories.suggest(np.array([1.0, 0.0])).margin == 0
    assert categories.suggest(np.array([2.0, 0.0])).margin == 1


def test_the_only_category_has_margin_one():
    assert index(only=[0.0, 0.0]).suggest(np.array([1.0, 1.0])).margin == 1


def test_a_given_category_that_is_not_the_nearest_has_margin_zero():
    suggestion = index(left=[0.0, 0.0], right=[2.0, 0.0]).suggest(np.array([0.1, 0.0]), given="right")

    assert (suggestion.category, suggestion.nearest, suggestion.margin) == ("right", "left", 0)


@pytest.mark.parametrize(("distance", "is_stranger"), [(1.9, False), (2.1, True)])
def test_a_stranger_is_twice_as_far_as_any_good_part_was(distance, is_stranger):
    embedding = np.array([-distance * np.sqrt(2), 0.0])

    assert index(left=[0.0, 0.0], right=[9.0, 0.0]).suggest(embedding).is_stranger is is_stranger


def test_there_is_nothing_to_suggest_without_categories():
    assert index().suggest(np.zeros(2)) is None
    assert index(left=[0.0, 0.0]).suggest(np.zeros(2), given="other") is None
