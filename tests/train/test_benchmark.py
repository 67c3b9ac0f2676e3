"""`python -m train.benchmark` on the tiny checkpoint: which figures there are, not how large they are."""

import json

import pytest

from train.benchmark import main


@pytest.fixture
def measure(tiny_checkpoint, monkeypatch, tmp_path):
    """Call the program with few repeats; returns its exit code and what it wrote."""
    monkeypatch.setenv("MAMBAAD_CHECKPOINTS", str(tiny_checkpoint.parent))
    monkeypatch.setenv("MAMBAAD_DEVICE", "cpu")
    monkeypatch.setenv("MAMBAAD_KERNEL", "torch")
    out = tmp_path / "speed.json"

    def call(*arguments):
        short = ["--repeats", "1", "--steps", "3", "--training-batch", "2", "--batch-sizes", "1", "3"]
        code = main([*short, "--json", str(out), *arguments])
        return code, json.loads(out.read_text()) if out.exists() else None

    return call


def test_every_checkpoint_here_is_measured_judging_and_learning(measure, capsys):
    code, written = measure()

    (name, tiny), *_ = written["checkpoints"].items()
    assert (code, name) == (0, "tiny")
    assert list(tiny["inference"]) == ["1", "3"]
    assert tiny["inference"]["3"]["ms"]["median"] > 0
    assert tiny["training"]["images_per_second"] > 0
    assert tiny["training"]["processes"] == 1
    assert tiny["cost"]["parameters"] > 0
    assert (tiny["decoder"], tiny["kernel"], tiny["device"]) == ("mambaad", "torch", "cpu")
    assert {"cpu", "torch"} <= written["machine"].keys()
    assert "tiny: batch 1" in capsys.readouterr().out


def test_a_checkpoint_that_is_not_here_is_refused_in_words(measure, capsys):
    assert measure("--checkpoint", "nobody") == (1, None)
    assert "nobody" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(measure, tmp_path, capsys):
    assert measure("--json", str(tmp_path / "absent" / "x.json")) == (1, None)
    assert "folder that exists" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--steps", "0"), ("--training-batch", "1"), ("--batch-sizes", "-1")])
def test_numbers_that_measure_nothing_are_refused(measure, wrong):
    with pytest.raises(SystemExit) as refusal:
        measure(*wrong)
    assert refusal.value.code == 2
