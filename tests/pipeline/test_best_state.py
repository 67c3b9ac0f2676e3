"""Which state of a training is kept."""

import pytest
import torch

from mambaad_demo.pipeline.best_state import BestState
from mambaad_demo.pipeline.held_out import Judgment


def offered(*said: tuple[float, float]) -> tuple[BestState, list[bool]]:
    """States of these (loss, separation), whose weights are their numbers."""
    best = BestState()
    kept = [
        best.offer(
            {"w": torch.tensor(float(number))},
            number,
            Judgment(loss=loss, separation=separation, median_score=1.0),
        )
        for number, (loss, separation) in enumerate(said)
    ]
    return best, kept


def test_of_states_that_show_noise_the_one_that_rebuilds_best_is_kept():
    best, kept = offered((0.9, 2.0), (0.5, 2.1), (0.6, 2.2), (0.4, 2.0), (0.45, 2.1))
    assert kept == [True, True, False, True, False]
    assert (best.step, float(best.weights["w"]), best.judgment.loss) == (3, 3.0, 0.4)


def test_a_state_that_copies_noise_is_not_kept():
    best, kept = offered((0.9, 2.0), (0.1, 1.7), (0.1, 1.81))
    assert kept == [True, False, True]
    assert best.step == 2


def test_an_early_state_gives_way_to_later_ones_that_show_noise_far_better():
    best, kept = offered((0.30, 1.0), (0.31, 2.0), (0.305, 2.2), (0.302, 2.3))
    assert kept == [True] * 4
    assert best.judgment == Judgment(loss=0.302, separation=2.3, median_score=1.0)


def test_a_state_that_gave_way_does_not_come_back():
    best, kept = offered((0.1, 1.0), (0.5, 2.0), (0.05, 1.0), (0.6, 2.1))
    assert kept == [True, True, False, False]
    assert best.step == 1


def test_states_are_counted_from_the_one_that_took_the_place():
    best, _ = offered((0.3, 2.0), (0.4, 2.0), (0.4, 2.0), (0.5, 3.0), (0.6, 3.0))
    assert (best.step, best.since) == (3, 1)


@pytest.mark.parametrize("separation", [-0.5, 0.0])
def test_where_no_state_shows_noise_the_first_one_is_kept_until_one_does(separation):
    best, kept = offered((0.9, separation), (0.8, separation - 1), (1.0, 0.1))
    assert kept == [True, False, True]
    assert best.judgment.loss == 1.0


def test_what_was_restored_chooses_as_what_was_saved():
    best, _ = offered((0.30, 1.0), (0.31, 2.0))
    again = BestState()
    again.load_state_dict(best.state_dict())
    later = Judgment(loss=0.2, separation=1.7, median_score=1.0)
    assert again.offer({"w": torch.tensor(5.0)}, 2, later) is best.offer({}, 2, later) is False
    assert (again.step, again.since, float(again.weights["w"])) == (1, 1, 1.0)
    assert again.history == best.history
