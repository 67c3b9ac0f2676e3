"""Names of versions, and how they are taken."""

import shutil
import threading

import pytest

from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.workflow.training import versions
from mambaad_demo.workflow.training.versions import reserve, slug


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("cookie", "cookie"),
        ("Metal Nut (new)", "metal-nut-new"),
        ("Getränkedose", "getrankedose"),
        ("../../etc", "etc"),
        ("齿轮", "part"),
        ("=cmd()", "cmd"),
        ("a" * 100, "a" * 48),
    ],
)
def test_a_category_gives_a_name_fit_for_a_folder(category, name):
    assert slug(category) == name


def test_a_reserved_name_is_not_given_again_until_it_is_released(tmp_path):
    root = tmp_path / "versions"
    names = [reserve(root, None, category="gear", taken=["gear-2"]) for _ in range(2)]
    assert names == ["gear-1", "gear-3"]
    versions.release(root, "gear-1")
    assert reserve(root, None, category="gear", taken=[]) == "gear-1"


def test_of_many_who_ask_at_once_no_two_get_the_same_name(tmp_path):
    names, ready = [], threading.Barrier(8)

    def ask():
        ready.wait()
        names.append(reserve(tmp_path, None, category="gear", taken=[]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == [f"gear-{number}" for number in range(1, 9)]


def test_a_released_name_keeps_the_version_that_has_it(tmp_path):
    (tmp_path / "job" / "gear-1").mkdir(parents=True)
    (tmp_path / "job" / "gear-1" / "config.json").write_text("{}")
    root = tmp_path / "versions"
    name = reserve(root, None, category="gear", taken=[])
    assert not versions.is_published(root, name)
    versions.publish(tmp_path / "job" / name, root)
    versions.release(root, name)
    assert versions.is_published(root, name)


def test_the_name_of_a_deleted_version_is_never_given_again(tiny_checkpoint, tmp_path):
    root = tmp_path / "versions"
    shutil.copytree(tiny_checkpoint, root / "gear-1")
    Catalog(tmp_path / "nowhere", versions_root=root).delete("gear-1")
    versions.release(root, "gear-1")  # as an older job does that had reserved the same name
    model_thread.run(versions.release, root, "gear-1")  # once its files are gone
    assert not versions.is_published(root, "gear-1")
    assert reserve(root, "gear-1", category="gear", taken=[]) == "gear-1-1"
    assert reserve(root, None, category="gear", taken=[]) == "gear-2"


def test_a_long_wish_is_numbered_within_what_a_name_may_hold(tmp_path):
    names = [reserve(tmp_path, "n" * 64, category="gear", taken=[]) for _ in range(2)]
    assert names == ["n" * 64, "n" * 48 + "-1"]
