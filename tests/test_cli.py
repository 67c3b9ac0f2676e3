"""The command line: what it prints, what it writes, how it exits."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mambaad_demo.__main__ import app

runner = CliRunner()


@pytest.fixture
def photos(tmp_path, make_image):
    """A folder with two readable pictures, one in a sub-folder, and one that only looks like one."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(make_image(seed=1)).save(folder / "a.png")
    Image.fromarray(make_image(seed=2, width=70, defect=(10, 20, 30))).save(folder / "more" / "a.jpg")
    (folder / "fake.png").write_bytes(b"PK\x03\x04 a zip, really")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def call(tiny_checkpoint, tmp_path, monkeypatch):
    """Call the program with the tiny checkpoint as the only one; the folders it sees are the test's own."""
    monkeypatch.setenv("MAMBAAD_CHECKPOINTS", str(tiny_checkpoint.parent))
    monkeypatch.setenv("MAMBAAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAMBAAD_KERNEL", "torch")
    monkeypatch.setenv("MAMBAAD_DEVICE", "cpu")
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


def test_inspect_prints_one_json_array_and_nothing_else(call, photos):
    result = call("inspect", photos, "--checkpoint", "tiny", "--json")

    items = json.loads(result.stdout)
    assert result.exit_code == 3
    assert [item["file"] for item in items] == [
        str(photos / "a.png"),
        str(photos / "fake.png"),
        str(photos / "more" / "a.jpg"),
    ]
    assert [("error" in item) for item in items] == [False, True, False]
    assert items[0]["category_source"] == "suggested"
    assert (items[2]["width"], items[2]["height"]) == (70, 80)


def test_inspect_makes_no_store(call, photos, tmp_path):
    call("inspect", photos / "a.png", "--checkpoint", "tiny")
    assert not (tmp_path / "home").exists()


def test_inspect_judges_by_the_limits_that_were_saved_here(call, photos, tmp_path, make_image):
    good = tmp_path / "good"
    good.mkdir()
    for seed in range(4):
        Image.fromarray(make_image(seed=seed)).save(good / f"{seed}.png")
    question = ("inspect", photos / "a.png", "--checkpoint", "tiny", "--category", "washer", "--json")
    assert call(*question).exit_code == 2  # nobody knows a washer yet

    call("calibrate", good, "--checkpoint", "tiny", "--category", "washer", "--save")

    (item,) = json.loads(call(*question).stdout)
    assert item["limits"]["reject"] is not None


def test_inspect_exits_with_zero_when_all_was_read(call, photos):
    result = call(
        "inspect", photos / "a.png", photos / "more", "--checkpoint", "tiny", "--category", "plate", "--json"
    )

    items = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [item["category"] for item in items] == ["plate", "plate"]
    assert items[0]["category_source"] == "given"


def test_inspect_for_people_prints_a_line_each_and_complains_on_the_other_channel(call, photos):
    result = call("inspect", photos, "--checkpoint", "tiny")

    assert len(result.stdout.splitlines()) == 2
    assert "fake.png" in result.stderr
    assert "of good parts" in result.stdout


def test_inspect_files_results_under_the_names_of_the_pictures(call, photos, tmp_path):
    call("inspect", photos, photos / "a.png", "--checkpoint", "tiny", "--out", tmp_path / "out")

    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert written == {
        f"{name}.{ending}"
        for name in ("a", "a-2", "more/a")
        for ending in ("overlay.png", "map.npy", "mask.png", "json")
    }
    assert np.load(tmp_path / "out" / "more" / "a.map.npy").shape == (80, 70)
    with Image.open(tmp_path / "out" / "more" / "a.mask.png") as mask:
        assert mask.size == (70, 80)
    assert json.loads((tmp_path / "out" / "a.json").read_text())["file"] == "a.png"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nowhere.png",),
        ("a.png", "--category", "bottle"),
        ("a.png", "--checkpoint", "unheard-of"),
        ("a.png", "--device", "tpu"),
        ("a.png", "--surprise"),
        ("empty",),
    ],
    ids=["nothing", "no file", "category", "checkpoint", "device", "option", "empty folder"],
)
def test_wrong_usage_exits_with_two_and_prints_no_json(call, photos, monkeypatch, arguments):
    monkeypatch.chdir(photos)
    (photos / "empty").mkdir()

    result = call("inspect", "--json", "--checkpoint", "tiny", *arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_inspect_with_a_damaged_checkpoint_fails_without_a_traceback(call, photos, tiny_checkpoint):
    (tiny_checkpoint / "model.safetensors").write_bytes(b"")

    result = call("inspect", photos, "--checkpoint", "tiny")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: model.safetensors of 'tiny'")


def test_a_broken_setting_is_wrong_usage(call, photos, monkeypatch):
    monkeypatch.setenv("MAMBAAD_KERNEL", "fortran")

    result = call("inspect", photos, "--checkpoint", "tiny")

    assert result.exit_code == 2
    assert "MAMBAAD_KERNEL" in result.stderr


def test_doctor_reports_a_healthy_installation(call):
    result = call("doctor", "--json")

    health = json.loads(result.stdout)
    assert result.exit_code == 0
    assert health["healthy"] is True
    assert (health["device"], health["kernel"]) == ("cpu", "torch")
    assert health["packages"]["torch"]
    (checkpoint,) = health["checkpoints"]
    assert checkpoint["passed"] is True
    assert checkpoint["calibrated"] == ["plate", "tile"]
    assert health["mamba3"]["kernel"] == "torch"
    assert health["disk"]["used"]["checkpoints"] > 0
    printed = call("doctor").stdout
    assert "self-test passed" in printed
    assert "Mamba-3 kernel: torch" in printed
    assert "disk: " in printed


def test_doctor_names_what_is_wrong(call, tiny_checkpoint):
    (tiny_checkpoint / "calibration.json").unlink()

    result = call("doctor")

    assert result.exit_code == 1
    assert "checkpoint tiny: FAILED" in result.stdout
    assert "calibration.json" in result.stdout


def test_doctor_without_checkpoints_is_not_healthy(call, monkeypatch, tmp_path):
    monkeypatch.setenv("MAMBAAD_CHECKPOINTS", str(tmp_path / "none"))

    result = call("doctor")

    assert result.exit_code == 1
    assert "There are no checkpoints." in result.stdout


def test_checkpoints_list_shows_what_is_here_and_what_could_be(call, tiny_checkpoint):
    (tiny_checkpoint.parent / "manifest.toml").write_text(
        'schema_version = 1\n[[release]]\nname = "parts"\nkind = "published"\ndecoder = "mambaad"\n'
        'encoder = "resnet34"\nrepo = "owner/parts"\nrevision_prefix = "0123456"\n'
        'files = [{ path = "parts.pth" }]\nlicense = "apache-2.0"\nstatus = "Not pinned."\n'
    )

    rows = json.loads(call("checkpoints", "list", "--json").stdout)

    assert [(row["name"], row["present"], row["kind"]) for row in rows] == [
        ("tiny", True, "folder"),
        ("parts", False, "published"),
    ]
    assert "not here; published, owner/parts. Not pinned." in call("checkpoints", "list").stdout


@pytest.mark.parametrize(("names", "code"), [((), 0), (("tiny",), 0), (("tiny", "absent"), 1)])
def test_checkpoints_verify_exits_with_one_when_one_fails(call, names, code):
    result = call("checkpoints", "verify", *names, "--json")

    assert result.exit_code == code
    assert [item["passed"] for item in json.loads(result.stdout)] == [
        name != "absent" for name in names or ("tiny",)
    ]


def test_checkpoints_import_refuses_what_it_cannot_read(call, tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"nothing")

    broken = call("checkpoints", "import", tmp_path / "weights.pth")
    unknown = call("checkpoints", "import", "no-such-release")

    assert (broken.exit_code, unknown.exit_code) == (1, 2)
    assert "weights.pth" in broken.stderr
    assert "no-such-release" in unknown.stderr


def test_an_import_never_replaces_a_checkpoint(call, tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "config.json").write_text("precious")

    refused = call("checkpoints", "import", "no-such-release", "--out", target)

    assert refused.exit_code == 2
    assert "exists" in refused.stderr
    assert (target / "config.json").read_text() == "precious"


def test_compare_judges_with_every_checkpoint_and_says_what_each_costs(call, photos):
    result = call("compare", photos / "a.png", "--checkpoint", "tiny", "--checkpoint", "tiny", "--json")

    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [item["checkpoint"] for item in report["results"]] == ["tiny", "tiny"]
    assert report["unanimous"]
    assert [cost["parameters"] > 0 for cost in report["costs"]] == [True, True]


def test_compare_takes_all_that_is_here_and_prints_a_line_for_each(call, photos):
    result = call("compare", photos / "a.png", "--category", "plate")

    first, vote = result.stdout.splitlines()
    assert first.startswith("tiny (mambaad): ")
    assert "as plate, reject limit" in first
    assert "(1 " in vote


def test_compare_refuses_a_category_nobody_knows(call, photos):
    assert call("compare", photos / "a.png", "--category", "purple").exit_code == 2


def test_compare_over_a_folder_prints_reject_rates_and_differences(call, photos):
    result = call("compare", photos, "--checkpoint", "tiny", "--checkpoint", "tiny", "--category", "plate")

    counted, first, second, difference, *refused = result.stdout.splitlines()
    assert "images, limits at 0.5 % false rejects" in counted
    assert first == second
    assert first.startswith("tiny (mambaad): rejected ")
    assert "AUROC" not in first
    assert difference.startswith("tiny - tiny: rejected 0.0 % (95 %: -")
    assert result.exit_code == (3 if refused else 0)


def test_compare_over_a_labeled_zip_prints_auroc(call, photos, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for folder in ("good", "bent"):
            for number in range(2):
                file.write(photos / "a.png", f"{folder}/{number}.png")
        file.writestr("good/broken.png", b"no picture")
    result = call("compare", archive, "--json")

    report = json.loads(result.stdout)
    assert result.exit_code == 3  # one was refused
    assert report["images"] == 4
    assert report["checkpoints"][0]["auroc"]["value"] == 0.5  # all the same picture
    assert report["refused"][0]["name"] == "good/broken.png"


def test_inspect_in_tiles_without_limits_for_them_says_check(call, photos):
    result = call("inspect", photos / "a.png", "--checkpoint", "tiny", "--tiles", "2", "--json")

    (report,) = json.loads(result.stdout)
    assert report["tiles"] > 1
    assert report["verdict"] == "check"
    assert "not for 2 tiles" in report["notes"][-1]


def test_inspect_refuses_too_many_tiles(call, photos):
    result = call("inspect", photos / "a.png", "--checkpoint", "tiny", "--tiles", "99")
    assert result.exit_code == 2
    assert "1 to 16 tiles" in result.stderr
