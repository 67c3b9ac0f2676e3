"""The training entry point, end to end on a few generated parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mambaad_demo.data.folders import find_categories
from mambaad_demo.data.sample_parts import write_sample_parts
from mambaad_demo.hub.checkpoints import load_checkpoint
from mambaad_demo.models import DECODERS
from mambaad_demo.models.detector import build_detector
from mambaad_demo.pipeline import training_data
from mambaad_demo.pipeline.predictor import Predictor
from tests.conftest import TINY
from train import evaluate, train_decoder
from train.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    write_sample_parts(
        root, train=9, test_good=1, test_defect=1, seed=0, categories=("gasket", "leather"), side=128
    )
    return root


def _arguments(parts: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(parts), "--steps", "2", "--batch-size", "4", "--out", str(out), *more]


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_a_run_writes_a_calibrated_checkpoint_that_passes_its_self_test(
    parts: Path, tmp_path: Path, decoder: str
) -> None:
    out, figures = tmp_path / "first", tmp_path / "figures.json"

    assert train_decoder.main(_arguments(parts, out, "--decoder", decoder, "--json", str(figures))) == 0

    checkpoint = load_checkpoint(str(out), device="cpu")
    assert checkpoint.self_test.passed
    assert checkpoint.detector.config.decoder == decoder
    assert set(checkpoint.calibration.categories) == {"gasket", "leather"}
    report = json.loads(figures.read_text(encoding="utf-8"))
    assert report["steps"] == 2
    assert report["held_out"] == {"gasket": 5, "leather": 5}
    assert [entry["step"] for entry in report["validation"]] == [2]
    speed = report["throughput"]
    assert speed["images_per_second"] == pytest.approx(4 / speed["seconds_per_step"], rel=0.01)
    assert speed["peak_memory_mb"] > 100  # torch alone takes more
    assert speed["device_name"]
    assert not (tmp_path / "first.training.pt").exists()


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "second"

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train_decoder, "save_checkpoint", cut_off)
        assert train_decoder.main(_arguments(parts, out)) == 130
    assert not out.exists()
    figures = tmp_path / "figures.json"

    assert train_decoder.main(_arguments(parts, out, "--resume", "--json", str(figures))) == 0

    report = json.loads(figures.read_text(encoding="utf-8"))
    assert report["resumed_at"] == 2
    assert out.is_dir()


def test_logs_go_on_over_an_interruption_and_the_card_tells_the_whole_run(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, logs = tmp_path / "third", tmp_path / "logs"
    more = ["--recipe", "quick", "--logs", str(logs), "--note", "a|b <b>\n---", "--validations", "2"]

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train_decoder, "save_checkpoint", cut_off)
        assert train_decoder.main(_arguments(parts, out, *more)) == 130
    with (logs / "metrics.csv").open("a") as file:
        file.write("3,9.9,1.0,0.1,\n")  # a step after the last saved state

    assert train_decoder.main(_arguments(parts, out, *more, "--resume")) == 0

    rows = (logs / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2"]
    assert rows[2].split(",")[4] != ""
    assert "metrics.csv" in capsys.readouterr().out
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| gasket | 4 | 5 |" in card
    assert "| changed | --steps 2 --batch-size 4 |" in card
    assert "a\\|b &lt;b&gt; ---" in card
    assert f"| 1 | 2 | {float(rows[2].split(',')[4]):.4g} |" in card


def test_epochs_end_a_run_of_a_recipe_that_counts_steps(parts: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = [
        "--data",
        str(parts),
        "--recipe",
        "full",
        "--out",
        str(tmp_path / "out"),
        "--json",
        str(figures),
    ]

    assert train_decoder.main([*arguments, "--epochs", "1", "--batch-size", "4", "--validations", "0"]) == 0

    report = json.loads(figures.read_text(encoding="utf-8"))
    assert report["steps"] == 2  # 8 images in batches of 4
    assert report["settings"]["epochs"] == 1
    assert report["validation"] == []
    assert "--recipe full --epochs 1 --batch-size 4 --data parts" in report["command"]


def test_help_lists_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        train_decoder.main(["--help"])

    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in RECIPES)


def test_a_run_in_tiles_sets_limits_for_tiles_and_can_be_measured(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figures = tmp_path / "tiled", tmp_path / "figures.json"

    assert train_decoder.main(_arguments(parts, out, "--tiles", "2")) == 0

    assert "32 good tiles of images" in capsys.readouterr().out  # 2 × 2 of each of the 4 images per category
    predictor = Predictor.from_checkpoint(str(out), device="cpu")
    assert predictor.tiles == predictor.checkpoint.config.tiles == 2
    prediction = predictor.predict(next(parts.glob("gasket/test/good/*")))
    assert prediction.tiles == 4
    assert prediction.limits.reject is not None
    assert evaluate.main(["--checkpoint", str(out), "--data", str(parts), "--json", str(figures)]) == 0
    assert json.loads(figures.read_text(encoding="utf-8"))["mean"]["pixel_auroc"] is not None


def test_of_more_tiles_than_fit_into_memory_the_seed_draws_some_of_every_image(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_data, "_MOST_TENSORS", 20)
    splits = [training_data.split_good(category, seed=0) for category in find_categories([parts])]

    def drawn(seed: int) -> list[torch.Tensor]:
        return [
            tile
            for tile, _ in training_data.training_tensors(
                splits, side=64, resize="letterbox", tiles=2, seed=seed
            )
        ]

    first = drawn(1)
    assert len(first) == 2 * 8  # two of the four of each of the 8 images
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, drawn(2), strict=True))


def test_too_few_good_images_end_the_run_with_one_sentence(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small"
    write_sample_parts(small, train=4, test_good=0, test_defect=0, seed=0, categories=("gasket",), side=64)

    code = train_decoder.main(_arguments(small, tmp_path / "third"))

    assert code == 1
    assert "'gasket' has 4 good training images" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--batch-size", "1"], "batch_size"),
        (["--encoder", "no_such_backbone"], "no_such_backbone"),
        (["--json", "no/such/folder.json"], "folder.json"),
        (["--name", "my parts"], "my parts"),
        (["--recipe", "mvtec_mambaad", "--decoder", "mambaad_v2"], "mvtec_mambaad_v2"),
    ],
)
def test_what_cannot_end_well_is_refused_before_the_work(
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    monkeypatch.setattr(train_decoder, "cache_features", lambda *_: pytest.fail("work began"))

    assert train_decoder.main(_arguments(parts, tmp_path / "out", *arguments)) == 1

    assert named in capsys.readouterr().err


def test_the_log_of_another_run_is_refused_before_the_work(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_decoder, "cache_features", lambda *_: pytest.fail("work began"))
    (tmp_path / "metrics.csv").write_text("step,seconds,loss,learning_rate,held_out_loss\n1,1,1,1,\n")

    assert train_decoder.main(_arguments(parts, tmp_path / "out", "--logs", str(tmp_path))) == 1

    assert "--resume" in capsys.readouterr().err


def test_training_data_is_never_replaced_by_the_result(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in parts.rglob("*"))

    assert train_decoder.main(_arguments(parts, parts)) == 1

    assert "no checkpoint folder" in capsys.readouterr().err
    assert sorted(path.name for path in parts.rglob("*")) == before


def test_two_processes_fit_one_decoder_and_write_it_once(parts: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "train.train_decoder", *_arguments(parts, tmp_path / "both")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MAMBAAD_DEVICE": "auto"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("checkpoint written") == 1
    assert load_checkpoint(str(tmp_path / "both"), device="cpu").self_test.passed


def test_a_network_without_standardised_targets_is_trained_too(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all published recipes want it."""
    monkeypatch.setattr(train_decoder, "build_detector", lambda config: build_detector(TINY))
    assert train_decoder.main(_arguments(parts, tmp_path / "plain")) == 0
    assert not load_checkpoint(str(tmp_path / "plain"), device="cpu").detector.config.standardize
