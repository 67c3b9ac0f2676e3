"""The measuring tools of `benchmarks/` themselves; their figures belong to a machine, not to a test."""

import itertools

import torch

from benchmarks.run import SCAN_SHAPE, in_turns, machine_facts, scan_inputs, spread


def test_calls_take_turns_and_the_first_round_is_not_measured():
    called = []
    ticks = itertools.count(step=0.5)

    times = in_turns(
        {"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 2, lambda: next(ticks)
    )

    assert called == ["a", "b"] * 3
    assert list(times) == ["a", "b"]
    assert [len(t) for t in times.values()] == [2, 2]
    assert times["b"] == [500.0, 500.0]


def test_spread_keeps_the_middle_and_both_ends():
    assert spread([9.0, 1.0, 2.0]) == {"median": 2.0, "lowest": 1.0, "highest": 9.0}


def test_scan_inputs_are_the_same_every_time_and_fit_the_named_shape():
    first, second = scan_inputs(), scan_inputs()

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["u"].shape == (1, SCAN_SHAPE["side"] ** 2, SCAN_SHAPE["channels"])
    assert (first["a"] < 0).all()


def test_figures_name_the_machine_they_belong_to():
    assert {"cpu", "cores", "python", "torch", "numba"} <= machine_facts().keys()
