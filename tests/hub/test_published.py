"""Published weights: read without running code, translated, checked, saved as a checkpoint that predicts."""

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mambaad_demo import Predictor
from mambaad_demo.errors import CheckpointCorruptError, CheckpointMismatchError, InputError
from mambaad_demo.hub.manifest import Release, ReleaseFile
from mambaad_demo.hub.published import (
    PublishedOptions,
    decoder_options,
    import_published,
    import_release,
    read_published,
)
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.models.state_dicts import from_published
from mambaad_demo.pipeline.prediction import Verdict
from tests.hub.official import official_state

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def official() -> dict[str, torch.Tensor]:
    """Random numbers under every key of a released full-size checkpoint."""
    return official_state()


@pytest.fixture(scope="module")
def weights(official, tmp_path_factory) -> Path:
    """The full-size state in a file, wrapped and prefixed as some releases are."""
    path = tmp_path_factory.mktemp("published") / "weights.pth"
    torch.save({"net": {f"module.{name}": value for name, value in official.items()}}, path)
    return path


@pytest.fixture(scope="module")
def asked() -> dict[str, str]:
    """What the import asked the Hub for."""
    return {}


@pytest.fixture(scope="module")
def imported(weights, asked) -> Path:
    """That file, imported as a release of the manifest."""

    def download(**arguments: str) -> str:
        asked.update(arguments)
        return str(weights)

    folder = weights.parent / "mambaad_parts"
    result = import_release(release(), folder, download=download, commits=lambda repo: [REVISION])
    asked["sha256"] = str(result.files[0].sha256)
    return folder


def test_a_full_size_published_file_becomes_a_checkpoint_that_predicts(imported):
    predictor = Predictor.from_checkpoint(imported, device="cpu", kernel="torch")

    prediction = predictor.predict(np.full((90, 120, 3), 130, np.uint8), category="cable")

    assert predictor.checkpoint.config.resize == "square"
    assert prediction.anomaly_map.shape == (90, 120)
    assert np.isfinite(prediction.anomaly_map).all()
    assert (prediction.verdict, prediction.category, prediction.percentile) == (Verdict.CHECK, "cable", None)
    assert predictor.predict(np.full((90, 120, 3), 130, np.uint8)).category == "unknown"


def test_the_network_is_read_off_the_shapes(official):
    options = decoder_options(from_published("mambaad", official, part="detector"))

    assert options == {
        "dims": (512, 256, 128, 64),
        "depths": (3, 4, 6, 3),
        "directions": 8,
        "state_dim": 16,
    }


def test_the_card_says_where_the_weights_come_from(imported):
    card = (imported / "README.md").read_text()

    assert "imported_from" in card
    assert "None yet" in card


def save(tmp_path, content) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    return path


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "write",
    [
        torch.save,
        partial(torch.save, _use_new_zipfile_serialization=False),
        lambda content, path: path.write_bytes(pickle.dumps(content)),
        lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2)),
    ],
    ids=["zip", "legacy", "pickle", "pickle of protocol 2"],
)
def test_a_file_that_wants_to_run_code_is_refused_and_does_not(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    state = {"net_t.bn1.weight": torch.ones(64), "net_t.conv1.weight": Bomb()}
    write({"net": state}, tmp_path / "weights.pth")

    with pytest.raises(CheckpointCorruptError, match="refused"):
        import_published(tmp_path / "weights.pth", tmp_path / "out", PublishedOptions(name="out"))

    assert {path.name for path in tmp_path.iterdir()} == {"weights.pth"}
    pickle.loads(pickle.dumps(Bomb()))  # noqa: S301 - our own
    assert (tmp_path / "exploded").exists(), "the file above was harmless"


@pytest.mark.parametrize(
    "content",
    [b"", b"not a pickle", pickle.dumps([1, 2], protocol=2), b"PK\x03\x04 broken"],
    ids=["empty", "text", "list", "zip"],
)
def test_a_file_that_is_no_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)

    with pytest.raises(CheckpointCorruptError, match=r"weights\.pth"):
        read_published(path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.zeros(1)], {"net": {"a": "text"}}])
def test_a_pickle_without_weights_is_refused(tmp_path, content):
    with pytest.raises(CheckpointCorruptError, match="no state dict"):
        read_published(save(tmp_path, content))


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(CheckpointMismatchError, match="no published mambaad"):
        import_published(
            save(tmp_path, {"layer1.weight": torch.zeros(3)}), tmp_path / "out", PublishedOptions(name="out")
        )


def test_another_encoder_than_the_published_one_is_refused_and_nothing_is_written(tmp_path, weights):
    options = PublishedOptions(name="out", encoder="resnet18")

    with pytest.raises(CheckpointMismatchError, match="resnet18") as caught:
        import_published(weights, tmp_path / "out", options)

    assert "encoder.backbone.layer1.2.conv1.weight" in caught.value.unexpected
    assert not (tmp_path / "out").exists()


def release(**changes) -> Release:
    values = {
        "name": "mambaad_parts",
        "kind": "published",
        "decoder": "mambaad",
        "encoder": "resnet34.bt_in1k",
        "input_side": 64,  # widths and keys are those of 256, the maps cost a sixteenth
        "repo": "owner/parts",
        "revision_prefix": "0123456",
        "files": (ReleaseFile(path="weights.pth"),),
        "categories": ("bottle", "cable"),
        "license": "apache-2.0",
    }
    return Release.model_validate(values | changes)


def test_importing_a_release_tells_what_to_pin(imported, asked, weights):
    assert asked == {
        "repo_id": "owner/parts",
        "revision": REVISION,
        "filename": "weights.pth",
        "sha256": file_sha256(weights),
    }
    training = json.loads((imported / "config.json").read_text())["training"]
    assert training["imported_from"] == f"owner/parts@{REVISION}"


def test_a_release_that_is_not_the_pinned_file_is_refused(tmp_path):
    path = save(tmp_path, {"a": torch.zeros(1)})
    pinned = release(revision=REVISION, files=({"path": "weights.pth", "sha256": "0" * 64},))

    with pytest.raises(CheckpointCorruptError, match="manifest expects 000000000000"):
        import_release(pinned, tmp_path / "out", download=lambda **_: path)


def test_a_file_that_lacks_part_of_a_block_is_refused(official, tmp_path):
    lacking = next(name for name in official if name.endswith("x_proj_weight"))
    path = tmp_path / "cut.pth"
    torch.save({name: value for name, value in official.items() if name != lacking}, path)

    with pytest.raises(CheckpointMismatchError):
        import_published(path, tmp_path / "cut", PublishedOptions(name="cut"))


def test_a_name_no_checkpoint_can_have_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="my model"):
        import_published(tmp_path / "nothing.pth", tmp_path / "my model", PublishedOptions(name="my model"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04"]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_weights_are_refused(tmp_path, content, head):
    path = tmp_path / "noise.pth"
    path.write_bytes(head + content)

    with pytest.raises(CheckpointCorruptError):
        read_published(path)
