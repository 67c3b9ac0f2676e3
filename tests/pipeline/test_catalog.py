"""The catalog: predictors by name, loaded once, shared."""

import shutil
import threading
from pathlib import Path

import pytest

from mambaad_demo.errors import CheckpointCorruptError, StorageError, UnknownReleaseError
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import TOMBSTONE, Catalog
from mambaad_demo.pipeline.predictor import Predictor


@pytest.fixture
def versions(tiny_checkpoint, tmp_path):
    """A folder with the versions cookie-1 and cookie-2."""
    root = tmp_path / "versions"
    for name in ("cookie-1", "cookie-2"):
        shutil.copytree(tiny_checkpoint, root / name)
    return root


@pytest.fixture
def catalog(versions, tmp_path):
    return Catalog(tmp_path / "nowhere", versions_root=versions, device="cpu", kernel="torch")


@pytest.fixture
def busy():
    """The model thread, at work on something else until the test ends."""
    done = threading.Event()
    model_thread.submit(done.wait, 60)
    yield
    done.set()


def test_a_predictor_is_loaded_once_even_when_asked_for_twice_at_once(tiny_checkpoint):
    catalog = Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch")
    found = []
    threads = [threading.Thread(target=lambda: found.append(catalog.predictor("tiny"))) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert catalog.names() == ("tiny",)
    assert found[0] is found[1] is found[2]


@pytest.mark.parametrize("name", ["other", "../tiny", "tiny/", "", "."])
def test_only_names_of_the_catalog_open_anything(tiny_checkpoint, name):
    with pytest.raises(UnknownReleaseError, match="Available: tiny"):
        Catalog(tiny_checkpoint.parent).predictor(name)


def test_a_damaged_checkpoint_is_refused_and_may_be_repaired(tiny_checkpoint):
    catalog = Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch")
    content = (tiny_checkpoint / "model.safetensors").read_bytes()
    (tiny_checkpoint / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(CheckpointCorruptError):
        catalog.predictor("tiny")

    (tiny_checkpoint / "model.safetensors").write_bytes(content)

    assert catalog.predictor("tiny").categories == ("plate", "tile")


def test_an_empty_folder_is_an_empty_catalog(tmp_path):
    assert Catalog(tmp_path / "nowhere").names() == ()


def test_checkpoints_are_loaded_on_the_model_thread(tiny_checkpoint, monkeypatch):
    threads = []
    load = Predictor.from_checkpoint

    def watched(*arguments, **options):
        threads.append(threading.current_thread())
        return load(*arguments, **options)

    monkeypatch.setattr(Predictor, "from_checkpoint", watched)
    Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch").predictor("tiny")

    assert threads == [model_thread.run(threading.current_thread)]


def test_a_deleted_version_is_gone_and_its_name_stays_taken(catalog, versions):
    catalog.predictor("cookie-1")
    catalog.delete("cookie-1")
    assert catalog.names() == catalog.own_names() == ("cookie-2",)
    with pytest.raises(UnknownReleaseError, match="Available: cookie-2"):
        catalog.predictor("cookie-1")
    model_thread.run(lambda: None)
    assert [path.name for path in (versions / "cookie-1").iterdir()] == [TOMBSTONE]
    assert catalog._predictors == {}


@pytest.mark.usefixtures("busy")
def test_deleting_does_not_wait_for_the_model_thread(catalog, versions):
    catalog.delete("cookie-1")
    assert catalog.names() == ("cookie-2",)
    assert (versions / "cookie-1" / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["cookie-3", "../versions/cookie-1", "", ".", "tiny"])
def test_only_versions_that_were_made_here_are_deleted(tiny_checkpoint, versions, name):
    catalog = Catalog(tiny_checkpoint.parent, versions_root=versions)
    with pytest.raises(UnknownReleaseError, match="There is no version"):
        catalog.delete(name)
    assert catalog.names() == ("tiny", "cookie-1", "cookie-2")


def test_a_version_is_deleted_once(catalog):
    catalog.delete("cookie-1")
    with pytest.raises(UnknownReleaseError, match="There is no version 'cookie-1'"):
        catalog.delete("cookie-1")


def test_a_version_whose_folder_cannot_be_changed_stays(catalog, monkeypatch):
    def refuse(path, target):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match=r"^The folder of cookie-1 cannot be changed\."):
        catalog.delete("cookie-1")
    assert catalog.names() == ("cookie-1", "cookie-2")


def test_what_is_left_of_a_deletion_harms_no_later_one(catalog, versions):
    (versions / "cookie-1" / "kept").mkdir()  # as if a file could not be deleted
    catalog.delete("cookie-1")
    catalog.delete("cookie-2")
    model_thread.run(lambda: None)
    assert catalog.names() == ()
    assert (versions / "cookie-1" / "kept").is_dir()
    assert [path.name for path in (versions / "cookie-2").iterdir()] == [TOMBSTONE]


def test_what_a_deleted_version_could_rehearse_goes_with_the_last_that_has_its_weights(versions, tmp_path):
    weights = file_sha256(versions / "cookie-1" / "model.safetensors")
    kept = tmp_path / "replay" / weights / "cookie"
    kept.mkdir(parents=True)
    catalog = Catalog(tmp_path / "nowhere", versions_root=versions, replay_root=tmp_path / "replay")
    catalog.delete("cookie-1")
    model_thread.run(lambda: None)
    assert kept.is_dir()
    catalog.delete("cookie-2")
    model_thread.run(lambda: None)
    assert not kept.exists()
