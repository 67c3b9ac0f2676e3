"""The catalog: predictors by name, loaded once, shared."""

import gc
import shutil
import threading
import weakref
from pathlib import Path

import pytest
import torch

from mambaad_demo.errors import (
    CheckpointCorruptError,
    HubUnreachableError,
    StorageError,
    UnknownReleaseError,
)
from mambaad_demo.hub.layout import FILES
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import TOMBSTONE, Catalog, Loading
from mambaad_demo.pipeline.checkpoint_health import card_of, of_catalog
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.predictor_cache import memory_of
from tests.hub import client as hub_client
from tests.hub.client import REPO, REVISION, forget_listings, hub, parts, pauses

__all__ = ["hub", "parts", "pauses"]

MANIFEST = f"""{hub_client.MANIFEST}[[release]]
name = "unpinned"
kind = "folder"
decoder = "mambaad"
encoder = "test_efficientnet"
license = "apache-2.0"
repo = "{REPO}"
revision_prefix = "0123456"
[[release]]
name = "pickled"
kind = "published"
decoder = "mambaad"
encoder = "resnet34"
license = "apache-2.0"
repo = "{REPO}"
revision = "{REVISION}"
files = [{{ path = "parts.pth" }}]
"""


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
def released(tiny_checkpoint, tmp_path):
    """A catalog with the embedded checkpoint tiny and the release parts, which the Hub holds."""
    (tiny_checkpoint.parent / "manifest.toml").write_text(MANIFEST)
    return Catalog(tiny_checkpoint.parent, device="cpu", kernel="torch")


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
    assert catalog.in_memory() == ()


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


# Releases


@pytest.mark.usefixtures("released")
def test_releases_that_can_be_fetched_are_offered_between_embedded_ones_and_versions(
    tiny_checkpoint, versions
):
    catalog = Catalog(tiny_checkpoint.parent, versions_root=versions)

    assert catalog.names() == ("tiny", "parts", "cookie-1", "cookie-2")
    assert catalog.release_names() == ("parts",)
    assert catalog.own_names() == ("cookie-1", "cookie-2")


@pytest.mark.usefixtures("released")
def test_what_is_here_comes_before_a_release_of_its_name(tiny_checkpoint, versions):
    (versions / "cookie-1").rename(versions / "parts")
    catalog = Catalog(tiny_checkpoint.parent, versions_root=versions, device="cpu", kernel="torch")

    assert catalog.release_names() == ()
    assert catalog.predictor("parts").checkpoint.folder == versions / "parts"


def test_a_release_is_fetched_when_it_is_first_asked_for_and_then_shared(released, hub, parts):
    assert released.names() == ("tiny", "parts")
    assert hub.requests == []

    first, second = released.predictor("parts"), released.predictor("parts")

    assert first is second
    assert first.checkpoint.name == "parts"
    assert len(hub.asked("GET */resolve/*")) == len(FILES)
    assert released.loading() is None


@pytest.mark.parametrize("name", [f"{REPO}@{REVISION}", REPO, "unpinned", "pickled"])
def test_visitors_name_releases_and_no_repositories(released, hub, parts, name):
    with pytest.raises(UnknownReleaseError, match="Available: tiny, parts"):
        released.predictor(name)

    assert hub.requests == []


def test_a_commit_the_operator_allows_is_offered_fetched_and_told_as_one_from_the_hub(
    tiny_checkpoint, hub, parts
):
    pinned = f"{REPO}@{REVISION}"
    catalog = Catalog(
        tiny_checkpoint.parent, device="cpu", kernel="torch", allowed_repos=("mira/other", pinned)
    )

    before = of_catalog(catalog, pinned, None)
    assert catalog.names() == ("tiny", pinned)
    assert (before.passed, before.revision, hub.requests) == (None, REVISION, [])

    assert catalog.predictor(pinned) is catalog.predictor(pinned)
    after = of_catalog(catalog, pinned, None)
    assert (after.passed, after.revision) == (True, REVISION)
    assert card_of(catalog, pinned).startswith("# tiny")


def test_a_download_can_be_watched_until_it_ends(released, hub, parts, monkeypatch):
    told = []
    receive = hub.receive

    def watched(request):
        told.append(released.loading())
        return receive(request)

    monkeypatch.setattr(hub, "receive", watched)
    released.predictor("parts")

    assert told[0] == Loading(name="parts", done=0, total=0)
    assert {step.name for step in told} == {"parts"}
    assert released.loading() is None


def test_a_download_is_told_step_by_step_until_the_release_is_here(released, hub, parts, monkeypatch):
    go_on = threading.Event()
    receive = hub.receive

    def held(request):
        go_on.wait(60)
        return receive(request)

    monkeypatch.setattr(hub, "receive", held)
    steps = released.fetching("parts")

    assert next(steps).name == "parts"
    go_on.set()
    assert {step.name for step in steps} <= {"parts"}
    hub.requests.clear()
    assert released.predictor("parts").checkpoint.self_test.passed
    assert not hub.asked("GET */resolve/*")


@pytest.mark.parametrize("name", ["tiny", "nobody", REPO])
def test_what_is_here_or_unknown_is_not_fetched(released, hub, parts, name):
    assert list(released.fetching(name)) == []
    assert hub.requests == []


def test_a_download_that_fails_is_told(released, hub, parts):
    hub.fault("*", status=503)

    with pytest.raises(HubUnreachableError, match="503"):
        list(released.fetching("parts"))


def test_a_download_leaves_the_model_thread_to_others(released, hub, parts, monkeypatch):
    waiting, go_on = threading.Event(), threading.Event()
    receive = hub.receive

    def held(request):
        waiting.set()
        go_on.wait(60)
        return receive(request)

    monkeypatch.setattr(hub, "receive", held)
    found = []
    asking = threading.Thread(target=lambda: found.append(released.predictor("parts")))
    asking.start()
    waiting.wait(60)

    assert released.predictor("tiny").categories == ("plate", "tile")
    go_on.set()
    asking.join()
    assert found[0].checkpoint.name == "parts"


@pytest.mark.usefixtures("parts")
def test_a_release_that_cannot_be_fetched_may_be_asked_for_again(released, hub, monkeypatch):
    hub.fault("*", status=503)
    with pytest.raises(HubUnreachableError, match="503"):
        released.predictor("parts")
    assert released.loading() is None
    hub.heal()
    forget_listings(monkeypatch)

    assert released.predictor("parts").checkpoint.self_test.passed


def test_a_manifest_that_cannot_be_read_ends_the_start(tiny_checkpoint):
    (tiny_checkpoint.parent / "manifest.toml").write_text("schema_version = 2")

    with pytest.raises(CheckpointCorruptError, match="manifest"):
        Catalog(tiny_checkpoint.parent)


# Memory


@pytest.fixture
def size(tiny_checkpoint):
    """Bytes of one predictor."""
    return memory_of(Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch"))


def test_memory_is_that_of_weights_buffers_and_calibration(tiny_checkpoint):
    predictor = Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch")
    before = memory_of(predictor)

    predictor.checkpoint.detector.register_parameter("more", torch.nn.Parameter(torch.zeros(1000)))
    predictor.checkpoint.detector.register_buffer("table", torch.zeros(10, dtype=torch.int64))

    assert memory_of(predictor) == before + 4000 + 80
    weights = sum(one.nbytes for one in predictor.checkpoint.detector.state_dict().values())
    assert memory_of(predictor) > weights


@pytest.mark.parametrize(
    ("room", "held"),
    [
        (1, ("cookie-3",)),
        (2, ("tiny", "cookie-3")),
        (3, ("tiny", "cookie-1", "cookie-3")),
        (4, ("tiny", "cookie-2", "cookie-1", "cookie-3")),
    ],
)
def test_the_one_not_asked_for_the_longest_is_let_go_first_and_the_default_last(
    tiny_checkpoint, versions, size, room, held
):
    shutil.copytree(versions / "cookie-1", versions / "cookie-3")
    catalog = Catalog(
        tiny_checkpoint.parent,
        versions_root=versions,
        device="cpu",
        kernel="torch",
        memory_budget=room * size,
    )

    for name in ("tiny", "cookie-1", "cookie-2", "cookie-1", "cookie-3"):
        catalog.predictor(name)

    assert catalog.in_memory() == held


def test_the_one_asked_for_stays_however_small_the_budget(tiny_checkpoint, versions):
    catalog = Catalog(
        tiny_checkpoint.parent, versions_root=versions, device="cpu", kernel="torch", memory_budget=0
    )

    catalog.predictor("tiny")
    catalog.predictor("cookie-1")

    assert catalog.in_memory() == ("cookie-1",)
    assert catalog.predictor("cookie-1") is catalog.predictor("cookie-1")


def test_one_that_was_let_go_works_for_its_users_and_is_gone_with_them(versions, tmp_path, make_image):
    catalog = Catalog(
        tmp_path / "nowhere", versions_root=versions, device="cpu", kernel="torch", memory_budget=0
    )
    used = catalog.predictor("cookie-1")
    watched = weakref.ref(used)
    catalog.predictor("cookie-2")

    assert used.predict(make_image()).image_score >= 0
    del used
    gc.collect()
    assert watched() is None
    assert catalog.predictor("cookie-1").categories == ("plate", "tile")
