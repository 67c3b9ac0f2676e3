"""The measuring tools of `benchmarks/` themselves; their figures belong to a machine, not to a test."""

import itertools
import json
import shutil
import time

import numpy as np
import pytest
import torch

from benchmarks import ablations, false_rejects, hub_faults, large_photos
from benchmarks.kernels import SCAN_SHAPE, forward, scan_inputs
from benchmarks.run import markdown, with_table
from benchmarks.timing import Row, in_turns, machine_facts, one_thread, ratio, spread
from mambaad_demo.data.sample_parts import write_sample_parts


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


def test_the_table_says_what_was_measured_what_fell_short_and_what_was_not():
    table = markdown(
        [
            Row(name="a", target=">= 5x", value=7.5, met=True, note="how"),
            Row(name="b", target=">= 5x", value=3.0, met=False),
            Row(name="c", target=">= 5x", note="not measured: no GPU"),
        ]
    )
    assert table.splitlines()[2:] == [
        "| a | >= 5x | 7.5 | how |",
        "| b | >= 5x | 3 (falls short) |  |",
        "| c | >= 5x | – | not measured: no GPU |",
    ]


def test_the_table_replaces_the_old_one_and_nothing_else():
    begin, end = "<!-- speed: written by make bench -->", "<!-- end of speed -->"
    assert with_table(f"x\n{begin}\nold\n{end}\ny", "new") == f"x\n{begin}\nnew\n{end}\ny"
    with pytest.raises(ValueError, match="no place"):
        with_table("nothing", "new")


def test_the_compiled_scan_needs_less_than_a_third_of_the_cpu_time_of_the_torch_form():
    inputs = scan_inputs(side=16)
    with one_thread():
        times = in_turns({name: forward(inputs, name) for name in ("numba", "torch")}, 3, time.process_time)
    assert ratio(spread(times["torch"]), spread(times["numba"])) > 3


@pytest.fixture
def one_variant(monkeypatch, tmp_path):
    """One tiny variant over a few parts, and the command that measures it."""
    monkeypatch.setattr(ablations, "VARIANTS", {"plain": ("mambaad", {"directions": 2}, {"noise_std": 0.0})})
    monkeypatch.setattr(ablations, "_SIZE", {"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2)})
    parts = tmp_path / "parts"
    write_sample_parts(parts, train=9, test_good=2, test_defect=1, seed=0, categories=("gasket",), side=64)
    return [
        *("--data", str(parts), "--test", str(parts), "--steps", "1", "--side", "64", "--batch-size", "2"),
        *("--json", str(tmp_path / "ablations.json")),
    ]


def test_ablations_measure_each_seed_once_and_print_mean_and_spread(one_variant, tmp_path, capsys):
    assert ablations.main([*one_variant, "--seeds", "1"]) == 0
    assert ablations.main([*one_variant, "--seeds", "1", "2"]) == 0

    runs = json.loads((tmp_path / "ablations.json").read_text())["runs"]
    assert [(run["variant"], run["seed"]) for run in runs] == [("plain", 1), ("plain", 2)]
    assert runs[0]["image_auroc"] is not None
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("| plain | 2 | ")


def test_ablations_without_masks_have_no_pixel_metrics(one_variant, tmp_path, capsys):
    shutil.rmtree(tmp_path / "parts" / "gasket" / "ground_truth")
    assert ablations.main([*one_variant, "--seeds", "1"]) == 0
    assert " – " in capsys.readouterr().out.rstrip().splitlines()[-1]


def test_ablations_of_another_budget_are_not_mixed(one_variant, capsys):
    assert ablations.main([*one_variant, "--seeds", "1"]) == 0
    assert ablations.main([*one_variant, "--seeds", "1", "--steps", "2"]) == 1
    assert "another budget" in capsys.readouterr().err


def test_every_ablation_differs_from_the_first_and_can_be_built():
    totals = {
        name: sum(p.numel() for p in ablations._detector(name, 64).decoder.parameters())
        for name in ablations.VARIANTS
    }
    assert all(total > 0 for total in totals.values())
    assert len({repr(variant) for variant in ablations.VARIANTS.values()}) == len(ablations.VARIANTS)


def test_the_spot_of_the_large_photos_is_twelve_pixels_across_and_nowhere_else():
    image = np.full((60, 80, 3), 40, np.uint8)
    spotted, mask = large_photos.with_spot(image, 50, 20)
    rows, columns = np.nonzero(mask)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (12, 12)
    assert (spotted[20, 50] > 200).all()
    np.testing.assert_array_equal(spotted[:, :38], image[:, :38])
    assert set(np.unique(mask)) == {0, 255}


def test_faults_of_the_hub_are_measured_with_what_is_said_and_left(tiny_checkpoint):
    well = hub_faults.Scenario(name="well")
    faulty = hub_faults.Scenario(name="404", pattern="*", fault={"status": 404, "code": "RepoNotFound"})
    damaged = hub_faults.Scenario(name="damaged", damaged="calibration.json")

    loaded, missing, discarded = (
        hub_faults.outcome_of(scenario, tiny_checkpoint) for scenario in (well, faulty, damaged)
    )

    assert loaded.message.startswith("loaded")
    assert set(loaded.left) == {path.name for path in tiny_checkpoint.iterdir()}
    assert "missing on the Hub" in missing.message
    assert missing.left == ()
    assert set(loaded.left) - set(discarded.left) == {"calibration.json"}
    assert hub_faults.row(missing) == f"| 404 | {missing.seconds:.1f} | {missing.message} | none |"


def test_promises_of_limits_are_counted_for_every_product_and_together(tiny_checkpoint, tmp_path, capsys):
    parts = tmp_path / "parts"
    write_sample_parts(
        parts, train=8, test_good=4, test_defect=1, seed=3, categories=("gear", "screw"), side=64
    )
    asked = ["--data", str(parts), "--json", str(tmp_path / "counts.json")]

    assert false_rejects.main([*asked, "--checkpoints", str(tiny_checkpoint)]) == 0

    rows = json.loads((tmp_path / "counts.json").read_text())["rows"]
    assert [(row["product"], row["photos"], row["good"]) for row in rows] == [("gear", 4, 4), ("screw", 4, 4)]
    assert all(0 <= row["good_rejected"] <= row["good_checked"] <= 4 for row in rows)
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"| {tiny_checkpoint} | together | 8 | ")
