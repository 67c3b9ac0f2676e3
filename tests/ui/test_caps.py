"""How much one visitor may use, and when the disk is full."""

from types import SimpleNamespace

import pytest

from mambaad_demo.ui import caps
from mambaad_demo.ui.caps import GIGABYTE, Allowance, Asker, Caps, Disk, Meter, size_of


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_visitor_may_use_so_much_at_once_and_then_has_to_wait(clock):
    meter = Meter(3, seconds=60, clock=clock)
    waits = []
    for _ in range(4):
        waits.append(meter.wait("mira"))
        meter.add("mira", 1)

    assert waits[:3] == [0, 0, 0]
    assert waits[3] > 0
    assert meter.wait("jo") == 0


@pytest.mark.parametrize("amount", [3, 4, 60])
def test_who_waits_as_long_as_told_may_go_on_and_not_much_earlier(clock, amount):
    meter = Meter(3, seconds=60, clock=clock)
    meter.add("mira", amount)
    wait = meter.wait("mira")

    clock.now += wait - 1.5
    assert meter.wait("mira") > 0
    clock.now += 1.6
    assert meter.wait("mira") == 0


def test_what_was_used_long_ago_does_not_count(clock):
    meter = Meter(3, seconds=60, clock=clock)
    for _ in range(20):
        meter.add("mira", 1)
        clock.now += 20

    assert meter.wait("mira") == 0


def test_without_a_cap_nobody_waits():
    meter = Meter(None, seconds=60)
    meter.add("mira", 1e12)

    assert meter.wait("mira") == 0
    assert Caps() == Caps(
        upload_mb_per_hour=None,
        upload_files_per_hour=None,
        written_mb_per_hour=None,
        requests_per_minute=None,
        unfinished_requests=None,
        unfinished_batches=None,
    )


def test_what_would_not_fit_is_told_how_long_to_wait_and_what_was_not_used_is_taken_back(clock):
    meter = Meter(60, seconds=60, clock=clock)
    meter.add("mira", 50)

    assert meter.wait("mira", 10) == 0
    assert meter.wait("mira", 30) == 20
    assert meter.wait("mira", 1000) == 50
    meter.add("mira", -40)
    assert meter.wait("mira", 50) == 0


def test_many_visitors_at_one_address_may_use_what_four_may():
    allowance = Allowance(3, seconds=60, clock=lambda: 0.0)
    for number in range(4):
        assert allowance.wait(Asker(f"visitor {number}", "here")) == 0
        allowance.add(Asker(f"visitor {number}", "here"), 3)

    assert allowance.wait(Asker("another", "here")) > 0
    assert allowance.wait(Asker("another", "there")) == 0


def test_the_disk_has_room_until_uploads_take_more_than_they_may(tmp_path, clock):
    disk = Disk(tmp_path / "uploads", most_gb=100 / GIGABYTE, free_gb=0, look_seconds=5, clock=clock)
    assert disk.has_room()

    (tmp_path / "uploads" / "a").mkdir()
    (tmp_path / "uploads" / "a" / "part.png").write_bytes(b"x" * 101)
    assert disk.has_room()  # as of a few seconds ago
    clock.now += 5
    assert not disk.has_room()

    (tmp_path / "uploads" / "a" / "part.png").unlink()
    clock.now += 5
    assert disk.has_room()


def test_stored_work_and_uploads_share_the_room(tmp_path, clock):
    others = [tmp_path / "files", tmp_path / "mambaad.db", tmp_path / "not there"]
    disk = Disk(tmp_path / "uploads", others=others, most_gb=100 / GIGABYTE, free_gb=0, clock=clock)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "part.png").write_bytes(b"x" * 30)
    (tmp_path / "files" / "maps").mkdir(parents=True)
    (tmp_path / "files" / "maps" / "a").write_bytes(b"x" * 30)
    (tmp_path / "mambaad.db").write_bytes(b"x" * 40)
    assert disk.has_room()

    (tmp_path / "mambaad.db").write_bytes(b"x" * 41)
    clock.now += 5
    assert not disk.has_room()


def test_what_was_written_since_the_last_look_takes_room(tmp_path, clock):
    disk = Disk(tmp_path, most_gb=100 / GIGABYTE, free_gb=0, look_seconds=5, clock=clock)
    assert [disk.has_room(60), disk.has_room(41), disk.has_room(40), disk.has_room(1)] == [
        True,
        False,
        True,
        False,
    ]

    clock.now += 5  # and none of it is there
    assert disk.has_room(100)


def test_who_takes_long_to_look_looks_less_often(tmp_path, clock, monkeypatch):
    looks = []

    def slow(*places):
        looks.append(places)
        clock.now += 3
        return 0

    monkeypatch.setattr(caps, "size_of", slow)
    disk = Disk(tmp_path, free_gb=0, look_seconds=5, clock=clock)
    for _ in range(30):
        disk.has_room()
        clock.now += 1

    assert len(looks) == 1


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "batches").mkdir()
    (tmp_path / "uploads" / "part.png").write_bytes(b"x" * 10)
    (tmp_path / "batches" / "part.png").hardlink_to(tmp_path / "uploads" / "part.png")

    assert size_of(tmp_path / "uploads", tmp_path / "batches") == 10


@pytest.mark.parametrize(("free", "has_room"), [(GIGABYTE - 1, False), (GIGABYTE, True)])
def test_a_gigabyte_of_the_disk_stays_free(tmp_path, monkeypatch, free, has_room):
    monkeypatch.setattr(caps.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))

    assert Disk(tmp_path, most_gb=1).has_room() is has_room


def test_a_link_counts_for_itself_and_not_for_what_it_leads_to(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "large").write_bytes(b"x" * 10_000)
    (tmp_path / "uploads" / "link").symlink_to(tmp_path / "large")
    (tmp_path / "uploads" / "part.png").write_bytes(b"x" * 10)

    assert 10 < size_of(tmp_path / "uploads") < 1000
