"""The fine-tuning entry point, end to end on a few small photos."""

import argparse
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import JsonValue

from mambaad_demo.hub.checkpoints import load_checkpoint
from tests.conftest import textured
from train import finetune_decoder


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMBAAD_HOME", str(tmp_path / "home"))


def written(folder: Path, count: int = 8) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.ascontiguousarray(textured(seed=index)[:, ::-1])).save(folder / f"{index}.png")
    return folder


def arguments(base: Path, images: Path, out: Path, *more: str) -> list[str]:
    given = ["--checkpoint", str(base), "--images", str(images), "--category", "bracket", "--out", str(out)]
    return [*given, "--steps", "2", "--batch-size", "4", *more]


def test_a_folder_of_good_photos_becomes_a_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "bracket", tmp_path / "report.json"
    photos = written(tmp_path / "photos")

    assert finetune_decoder.main(arguments(tiny_checkpoint, photos, out, "--json", str(figures))) == 0

    checkpoint = load_checkpoint(str(out), device="cpu")
    assert checkpoint.self_test.passed
    assert "bracket" in checkpoint.calibration.categories
    report = json.loads(figures.read_text(encoding="utf-8"))
    assert (report["steps"], report["photos"]["given"], report["base"]) == (2, 8, "tiny")
    assert not (tmp_path / "bracket.finetuning.pt").exists()


def test_a_zip_with_one_broken_photo_is_used_without_it(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = written(tmp_path / "photos")
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        for path in photos.iterdir():
            archive.write(path, f"parts/{path.name}")
        archive.writestr("parts/broken.png", b"\x89PNG\r\n\x1a\nnothing")

    assert finetune_decoder.main(arguments(tiny_checkpoint, tmp_path / "good.zip", tmp_path / "b")) == 0

    assert "left out broken.png" in capsys.readouterr().out


def test_where_limits_may_rest_on_learned_photos_a_line_says_so(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = written(tmp_path / "photos")
    assert finetune_decoder.main(arguments(tiny_checkpoint, photos, tmp_path / "v-1")) == 0
    assert "too tight" not in capsys.readouterr().out
    again = arguments(tmp_path / "v-1", photos, tmp_path / "v-2")
    assert finetune_decoder.main(again) == 0
    assert "too tight" not in capsys.readouterr().out
    known = [*arguments(tiny_checkpoint, photos, tmp_path / "v-3"), "--category", "plate"]
    assert finetune_decoder.main(known) == 0
    assert "tiny knows plate, but does not say which photos it learned" in capsys.readouterr().out


def test_of_a_test_set_only_the_good_training_photos_are_taken(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "part" / "train" / "good", 6)
    written(tmp_path / "part" / "test" / "good", 2)
    written(tmp_path / "part" / "test" / "crack", 2)
    figures = tmp_path / "report.json"
    command = arguments(tiny_checkpoint, tmp_path / "part", tmp_path / "b", "--json", str(figures))
    assert finetune_decoder.main(command) == 0
    assert json.loads(figures.read_text(encoding="utf-8"))["photos"]["given"] == 6
    assert "4 pictures in folders of defects or tests were left aside" in capsys.readouterr().out


def test_three_photos_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = written(tmp_path / "photos", 3)
    assert finetune_decoder.main(arguments(tiny_checkpoint, photos, tmp_path / "b")) == 1
    assert "at least 5" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_run_that_was_cut_off_is_resumed(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, figures = written(tmp_path / "photos"), tmp_path / "report.json"
    command = arguments(tiny_checkpoint, photos, tmp_path / "b", "--json", str(figures))

    def interrupted(run: finetune_decoder.Finetuning) -> None:
        steps = run.steps()
        next(steps)
        steps.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finetune_decoder, "_fit", interrupted)
        assert finetune_decoder.main(command) == 130

    seen = []
    fit = finetune_decoder._fit
    monkeypatch.setattr(finetune_decoder, "_fit", lambda run: (seen.append(run.trained_steps), fit(run)))
    assert finetune_decoder.main([*command, "--resume"]) == 0
    assert seen == [1]


@pytest.mark.parametrize(
    "wrong", [["--batch-size", "1"], ["--reject-rate", "0.9"], ["--learning-rate", "-1"]]
)
def test_options_out_of_range_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    photos = written(tmp_path / "photos")
    assert finetune_decoder.main(arguments(tiny_checkpoint, photos, tmp_path / "b", *wrong)) == 1
    assert "do not fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("budget", "minutes", "steps"),
    [((), 10, None), (("--minutes", "3"), 3, None), (("--steps", "7"), None, 7)],
)
def test_without_a_budget_it_takes_ten_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: tuple[str, ...], minutes: float, steps: int
) -> None:
    specs = []

    def record(options: argparse.Namespace) -> dict[str, JsonValue]:
        specs.append(finetune_decoder._spec(options))
        return {}

    monkeypatch.setattr(finetune_decoder, "_run", record)
    given = ["--checkpoint", "tiny", "--images", "x.zip", "--category", "bracket", "--out", str(tmp_path)]
    assert finetune_decoder.main([*given, *budget]) == 0
    assert (specs[0].minutes, specs[0].steps) == (minutes, steps)
