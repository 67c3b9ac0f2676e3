"""The precision that `accelerate launch --mixed_precision` asks for reaches both training scripts."""

import argparse

import pytest

from train import decoder_options, finetune_decoder
from train.precision import add_precision

NEEDED = ["--checkpoint", "base", "--images", "photos", "--category", "gear", "--steps", "2", "--out", "new"]


def asked(*arguments: str) -> str | None:
    parser = argparse.ArgumentParser()
    add_precision(parser)
    return parser.parse_args(arguments).precision


@pytest.mark.parametrize(("launched", "expected"), [("bf16", "bfloat16"), ("no", None), ("", None)])
def test_a_launched_precision_is_trained_in(monkeypatch, launched, expected):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)

    assert asked() == expected
    assert finetune_decoder._parse(NEEDED).precision == expected
    assert decoder_options.parse(["--data", "parts", "--out", "new"], description="").precision == expected


def test_the_option_wins_over_the_launcher(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")

    assert asked("--precision", "float32") == "float32"


def test_another_precision_is_refused_with_those_that_work(monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")

    with pytest.raises(SystemExit):
        asked()

    assert "fp16: launch with --mixed_precision bf16, or no" in capsys.readouterr().err
