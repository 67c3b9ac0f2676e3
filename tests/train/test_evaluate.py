"""`python -m train.evaluate` end to end on a generated toy set."""

import json

import numpy as np
import pytest
from PIL import Image

from train.evaluate import main


@pytest.fixture
def toy_set(tmp_path, make_image):
    """Categories plate (with masks) and tile (without)."""
    root = tmp_path / "data"
    for category in ("plate", "tile"):
        for folder in ("train/good", "test/good", "test/spot"):
            (root / category / folder).mkdir(parents=True)
        for number in range(2):
            good, bad = make_image(seed=number), make_image(seed=number, defect=(20, 30, 25))
            Image.fromarray(good).save(root / category / f"train/good/{number}.png")
            Image.fromarray(good).save(root / category / f"test/good/{number}.png")
            Image.fromarray(bad).save(root / category / f"test/spot/{number}.png")
    masks = root / "plate" / "ground_truth" / "spot"
    masks.mkdir(parents=True)
    mask = np.zeros((80, 96), bool)
    mask[30:55, 20:45] = True
    for number in range(2):
        Image.fromarray(mask).save(masks / f"{number}_mask.png")
    return root


@pytest.fixture(autouse=True)
def _on_one_kernel(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMBAAD_KERNEL", "torch")
    monkeypatch.setenv("MAMBAAD_DEVICE", "cpu")
    monkeypatch.setenv("MAMBAAD_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("protocol", ["exact", "ader"])
def test_the_metrics_of_all_categories_are_written_and_printed(
    protocol, tiny_checkpoint, toy_set, tmp_path, capsys
):
    out = tmp_path / "metrics.json"

    code = main(
        [
            "--checkpoint",
            str(tiny_checkpoint),
            "--data",
            str(toy_set),
            "--protocol",
            protocol,
            "--json",
            str(out),
        ]
    )

    report = json.loads(out.read_text())
    assert code == 0
    assert report["categories"].keys() == {"plate", "tile"}
    plate, tile = report["categories"]["plate"], report["categories"]["tile"]
    assert plate.keys() == {
        "image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "au_pro", "mad",
        "n_good", "n_defect",
    }  # fmt: skip
    assert (plate["n_good"], plate["n_defect"]) == (2, 2)
    assert all(0 <= value <= 1 for name, value in plate.items() if value is not None and name[:2] != "n_")
    assert tile["pixel_auroc"] is None
    assert tile["mad"] is None
    assert report["mean"]["pixel_ap"] == plate["pixel_ap"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["category", "plate", "tile", "mean"]


def test_several_roots_and_categories_follow_one_option(tiny_checkpoint, toy_set, tmp_path):
    out = tmp_path / "metrics.json"
    roots = [str(toy_set / "plate"), str(toy_set / "tile")]

    main(["--checkpoint", str(tiny_checkpoint), "--data", *roots, "--categories", "tile", "--json", str(out)])

    assert json.loads(out.read_text())["categories"].keys() == {"tile"}


@pytest.mark.parametrize(
    ("checkpoint", "data", "message"),
    [("absent", "data", "absent"), (None, "nowhere", "no folder 'nowhere'")],
)
def test_what_is_missing_is_named(checkpoint, data, message, tiny_checkpoint, toy_set, tmp_path, capsys):
    code = main(["--checkpoint", checkpoint or str(tiny_checkpoint), "--data", str(tmp_path / data)])

    assert code == 1
    assert message in capsys.readouterr().err
