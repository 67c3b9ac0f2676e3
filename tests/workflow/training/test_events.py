"""Events: lines that a reader sees as soon as they are whole."""

from itertools import pairwise

import pytest

from mambaad_demo.workflow.training.events import (
    Done,
    EventLog,
    Failed,
    Note,
    Prepare,
    Preview,
    Save,
    Step,
    Validated,
    read_events,
)

EVENTS = [
    Prepare(what="reading photos", done=1, total=9),
    Step(step=1, progress=0.1, loss=2.5, learning_rate=0.1, seconds=0.25, remaining_seconds=9),
    Validated(step=1, loss=1.5, separation=3.0, is_best=True),
    Preview(step=1, names=("<b>\n.png", "é.png")),
    Save(),
    Note(text="a line\nand another"),
    Done(),
    Failed(error="out of luck"),
]


def step(number):
    return Step(step=number, progress=0.5, loss=1, learning_rate=1, seconds=number, remaining_seconds=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "progress.jsonl"


def write(path, events):
    log = EventLog(path)
    for event in events:
        log.write(event)


def test_events_come_back_as_they_were_written(path):
    write(path, EVENTS)
    assert read_events(path, most_steps=10) == EVENTS
    assert len(path.read_bytes().splitlines()) == len(EVENTS)


def test_nothing_was_said_before_the_first_event(path):
    assert read_events(path, most_steps=10) == []


def test_a_half_written_last_line_is_left_for_later(path):
    write(path, EVENTS)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = read_events(path, most_steps=10)
        assert found == EVENTS[: len(found)]
        assert len(found) == whole[:length].count(b"\n")


def test_what_follows_a_torn_line_is_read(path):
    write(path, EVENTS[:2])
    path.write_bytes(path.read_bytes()[:-20])
    write(path, EVENTS[2:4])
    assert read_events(path, most_steps=10) == [EVENTS[0], *EVENTS[2:4]]


@pytest.mark.parametrize("line", [b"\xff\x00", b"[]", b'{"kind":"step"}', b'{"kind":"other"}', b"", b"null"])
def test_lines_that_mean_nothing_are_passed_over(path, line):
    path.write_bytes(line + b"\n")
    write(path, EVENTS[:1])
    assert read_events(path, most_steps=10) == EVENTS[:1]


def test_of_many_steps_an_even_choice_with_the_last_one_is_read(path):
    write(path, [*map(step, range(1, 1001)), Save()])
    *steps, last = read_events(path, most_steps=7)
    numbers = [event.step for event in steps]
    assert last == Save()
    assert len(numbers) <= 7
    assert numbers[-1] == 1000
    assert len({b - a for a, b in pairwise(numbers)}) == 1


def test_a_full_disk_is_told_to_who_writes():
    with pytest.raises(OSError, match="No space left"):
        write(FULL, EVENTS)


class _Full:
    """Stands in for a path on a full disk."""

    def open(self, mode):
        raise OSError(28, "No space left on device")


FULL = _Full()
