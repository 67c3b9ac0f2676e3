"""How much room files take, by kind."""

import shutil

from mambaad_demo.workflow.disk_use import DiskGauge, disk_use


def test_files_of_a_kind_are_added_up_and_links_are_not_followed(tmp_path):
    store, files = tmp_path / "store.db", tmp_path / "files" / "deep"
    files.mkdir(parents=True)
    store.write_bytes(bytes(10_000))
    (files / "a").write_bytes(bytes(20_000))
    (files / "outside").symlink_to("/usr")

    used = disk_use({"store": (store, tmp_path / "files"), "none": (tmp_path / "absent",)})

    assert 30_000 <= used.used["store"] < 80_000
    assert used.used["none"] == 0


def test_what_is_free_is_that_of_the_disk_of_the_first_kind_even_before_there_is_a_folder(tmp_path):
    free = disk_use({"store": (tmp_path / "not" / "yet",)}).free

    assert 0 < free <= shutil.disk_usage(tmp_path).total
    assert disk_use({}).free is None


def test_the_disk_is_measured_twice_a_minute_at_most(tmp_path):
    at = [0.0]
    gauge = DiskGauge({"store": (tmp_path,)}, clock=lambda: at[0])
    before = gauge.read()
    (tmp_path / "new").write_bytes(bytes(50_000))

    at[0] = 29.0
    assert gauge.read() == before
    at[0] = 30.0
    assert gauge.read().used["store"] >= before.used["store"] + 50_000
