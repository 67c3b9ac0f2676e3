"""What is said of an installation and its checkpoints."""

import json
import shutil

import pytest

from mambaad_demo.errors import CheckpointCorruptError, UnknownReleaseError
from mambaad_demo.hub.layout import CARD, GOLDEN
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.ops import mamba3
from mambaad_demo.pipeline import checkpoint_health
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.health import examine

MANIFEST = """
schema_version = 1
[[release]]
name = "tiny"
kind = "embedded"
decoder = "mambaad"
encoder = "test_efficientnet"
license = "apache-2.0"
source_of_numbers = "made up for a test"
"""
RELEASE = f"""
[[release]]
name = "parts"
kind = "folder"
decoder = "mambaad"
encoder = "test_efficientnet"
categories = ["bolt"]
repo = "mira/parts"
revision = "{"ab" * 20}"
license = "apache-2.0"
"""


@pytest.fixture
def root(tiny_checkpoint):
    (tiny_checkpoint.parent / "manifest.toml").write_text(MANIFEST)
    return tiny_checkpoint.parent


@pytest.fixture
def catalog(root, tmp_path):
    shutil.copytree(root / "tiny", tmp_path / "versions" / "mine")
    return Catalog(root, versions_root=tmp_path / "versions", device="cpu", kernel="torch")


def test_a_checkpoint_says_where_its_figures_come_from_and_how_it_passed(root):
    (tiny,) = examine(root, device="cpu", kernel="torch").checkpoints

    assert (tiny.passed, tiny.loaded, tiny.own) == (True, True, False)
    assert (tiny.license, tiny.source_of_numbers) == ("apache-2.0", "made up for a test")
    assert tiny.largest_difference <= tiny.tolerance
    assert tiny.weights_mb > 0


def test_own_versions_are_examined_too(root, catalog, tmp_path):
    health = examine(root, versions_root=tmp_path / "versions", device="cpu", kernel="torch")

    assert [(one.name, one.own) for one in health.checkpoints] == [("tiny", False), ("mine", True)]
    assert health.is_healthy


def test_the_kernels_of_mamba_3_are_told_with_the_reasons_why_others_cannot_run(root):
    told = examine(root, device="cpu", kernel="torch").to_json()["mamba3"]

    assert told["kernel"] == "torch"
    assert set(told["kernels"]) | set(told["missing"]) == {"torch", "reference", "numba", "mamba_ssm"}
    assert "CUDA" in told["missing"]["mamba_ssm"]


def test_the_form_of_mamba_3_that_auto_takes_stands_first():
    assert mamba3.available_backends("cpu")[0] == mamba3.resolve_backend("auto", "cpu")
    assert mamba3.available_backends("cpu")[-1] == "reference"


def test_all_that_is_told_is_json_without_a_place_on_this_machine(root, tmp_path):
    shutil.copytree(root / "tiny", root / "broken")
    (root / "broken" / GOLDEN).unlink()

    told = json.dumps(examine(root, device="cpu", kernel="torch").to_json())

    assert "lacks golden.safetensors" in told
    assert str(tmp_path) not in told


def test_asking_a_catalog_loads_nothing(catalog):
    health = checkpoint_health.of_catalog(catalog, "tiny", None)

    assert (health.passed, health.loaded, health.weights_mb) == (None, False, None)
    assert (health.decoder, health.calibrated) == ("mambaad", ("plate", "tile"))
    assert health.sha256 == catalog.predictor("tiny").checkpoint.sha256
    assert checkpoint_health.of_catalog(catalog, "tiny", None).loaded


def test_a_checkpoint_whose_records_are_damaged_is_told_as_failed(catalog, root):
    (root / "tiny" / "config.json").write_text("{")

    health = checkpoint_health.of_catalog(catalog, "tiny", None)

    assert health.passed is False
    assert "does not follow the schema" in health.error


def test_testing_again_computes_again(catalog):
    catalog.predictor("tiny")
    detector = catalog.predictor("tiny").checkpoint.detector
    assert checkpoint_health.test_again(catalog, "tiny").passed

    for parameter in detector.decoder.parameters():
        parameter.data.mul_(3)

    assert not checkpoint_health.test_again(catalog, "tiny").passed
    assert catalog.loaded("tiny") is None  # the next question loads it anew
    assert checkpoint_health.test_again(catalog, "tiny").passed


def test_stored_inputs_that_were_changed_are_refused_when_testing_again(catalog, root):
    catalog.predictor("tiny")
    (root / "tiny" / GOLDEN).write_bytes(b"nonsense")

    with pytest.raises(CheckpointCorruptError):
        checkpoint_health.test_again(catalog, "tiny")


def test_a_model_card_is_read_without_its_front_matter(catalog, root):
    card = checkpoint_health.card_of(catalog, "tiny")
    assert card.startswith("# tiny")
    assert "license:" not in card

    (root / "tiny" / CARD).unlink()
    assert checkpoint_health.card_of(catalog, "tiny") == ""
    with pytest.raises(UnknownReleaseError):
        checkpoint_health.card_of(catalog, "../tiny")


def test_a_release_that_was_not_fetched_yet_is_told_from_the_manifest(root):
    (root / "manifest.toml").write_text(MANIFEST + RELEASE)
    catalog = Catalog(root, device="cpu", kernel="torch")
    (release,) = [one for one in read_manifest(root / "manifest.toml").releases if one.name == "parts"]

    health = checkpoint_health.of_catalog(catalog, "parts", release)

    assert (health.passed, health.loaded, health.revision) == (None, False, "ab" * 20)
    assert health.categories == ("bolt",)
    assert checkpoint_health.card_of(catalog, "parts") == ""
