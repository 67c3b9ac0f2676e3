"""The catalog: predictors by name, loaded once, shared."""

import threading

import pytest

from mambaad_demo.errors import CheckpointCorruptError, UnknownReleaseError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.predictor import Predictor


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
