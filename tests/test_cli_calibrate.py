"""The command `calibrate`: what it prints, and what it puts in force."""

import json
from contextlib import closing

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from mambaad_demo.cli import calibrate
from mambaad_demo.cli.store import open_store
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import limits


@pytest.fixture(scope="module")
def loaded(_saved_tiny_checkpoint):
    """The tiny checkpoint, loaded once: that takes longest."""
    return Predictor.from_checkpoint(_saved_tiny_checkpoint, device="cpu", kernel="torch")


@pytest.fixture
def call(loaded, tmp_path, monkeypatch):
    """Call the command over an empty store."""
    monkeypatch.setenv("MAMBAAD_HOME", str(tmp_path / "home"))
    for name in ("MAMBAAD_DATABASE_URL", "MAMBAAD_FILES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(calibrate, "predictor_of", lambda name, device: loaded)
    app = typer.Typer()
    app.callback()(lambda: None)
    calibrate.add_to(app)
    return lambda *arguments: CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path, make_image):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(5):
        Image.fromarray(make_image(seed=seed)).save(folder / f"{seed}.png")
    return folder


def in_force(loaded, category):
    store = open_store()
    with closing(store.database):
        return limits.in_force(store, loaded).limits(category)


def test_limits_from_photos_are_printed_and_not_kept(call, photos, loaded):
    result = call(photos, "--category", "washer", "--reject-rate", "0.02", "--check-rate", "0.1")
    assert result.exit_code == 0, result.stderr
    assert "not saved" in result.stdout
    assert "5 good parts without a reject can show no better than < 45.1%" in result.stdout
    assert "good parts rejected: 0 of 5" in result.stdout
    assert in_force(loaded, "washer").reject is None


def test_saved_limits_are_in_force_and_json_is_all_there_is(call, photos, loaded):
    result = call(photos, "--category", "washer", "--save", "--note", "new lamp", "--json")
    told = json.loads(result.stdout)
    assert (told["in_force"], told["images"], told["history"][0]["note"]) == (True, 5, "new lamp")
    assert in_force(loaded, "washer").reject == told["limits"]["reject"]
    again = json.loads(call("--category", "washer", "--json").stdout)
    assert again["limits"] == told["limits"]


def test_rates_alone_are_tried_on_the_parts_of_the_limits_in_force(call):
    own = json.loads(call("--category", "plate", "--json").stdout)
    other = json.loads(call("--category", "plate", "--check-rate", "0.3", "--json").stdout)
    assert (own["in_force"], other["in_force"]) == (True, False)
    assert other["limits"]["check"] < own["limits"]["check"]


def test_a_rate_that_is_not_given_is_the_one_in_force(call):
    assert call("--category", "plate", "--reject-rate", "0.1", "--check-rate", "0.3", "--save").exit_code == 0
    other = call("--category", "plate", "--reject-rate", "0.2", "--json")
    assert json.loads(other.stdout)["rates"] == {"reject": 0.2, "check": 0.3}
    misfit = call("--category", "plate", "--check-rate", "0.05")
    assert misfit.exit_code == 2
    assert "In force are rates of 0.1 to reject and 0.3 to check" in misfit.stderr


def test_refused_files_are_listed_and_told_by_the_exit_status(call, photos):
    (photos / "fake.png").write_bytes(b"no picture")
    result = call(photos, "--category", "washer", "--json")
    assert result.exit_code == 3
    assert "left out fake.png" in result.stderr
    assert [one["file"] for one in json.loads(result.stdout)["refused"]] == ["fake.png"]


def test_of_a_folder_with_defects_only_the_good_parts_are_measured_and_the_others_counted(call, photos):
    (photos / "good").mkdir()
    for path in sorted(photos.glob("*.png"))[:3]:
        path.rename(photos / "good" / path.name)
    result = call(photos, "--category", "washer", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["images"] == 3
    assert "2 pictures in folders of defects or tests were left aside" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name"),
        (("--category", "washer", "--save"), "nothing to save"),
        (("--category", "plate", "--reject-rate", "2"), "between 0 and 1"),
        (
            ("--category", "plate", "--reject-rate", "0.2", "--check-rate", "0.1"),
            "no more parts are rejected",
        ),
        (("--category", "plate", "--tiles", "99"), "1 to 16"),
    ],
)
def test_wrong_usage_is_one_line(call, arguments, words):
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_category_without_limits_says_what_to_do(call):
    result = call("--category", "washer")
    assert result.exit_code == 0
    assert "No limits yet" in result.stdout
