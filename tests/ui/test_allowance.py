"""What one visitor may use, known to whatever a request runs."""

from types import SimpleNamespace

import pytest

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.ui.allowance import Allowances, counted, room_of_asker, take_pictures, take_room, visitor
from mambaad_demo.ui.caps import FOR_STRANGERS, Caps
from tests.ui.allowances import asking


def told(total):
    """Steps of long work, of which the first says how much there is, and a result."""
    judged = []

    def steps():
        yield SimpleNamespace(done=0, total=total)
        judged.append("all")
        yield "result"

    return steps(), judged


def test_outside_of_a_request_nothing_is_bounded():
    take_pictures(10**9)
    take_room(10**12)
    assert visitor() is None


def test_on_an_own_machine_any_number_of_pictures_is_judged():
    with Allowances(Caps()).of(asking("mira"), "mira"):
        for _ in range(3):
            take_pictures(20_000)


def test_strangers_have_a_few_hundred_pictures_judged_at_once_and_in_an_hour():
    assert 100 <= FOR_STRANGERS.pictures_at_once <= FOR_STRANGERS.pictures_per_hour < 1000

    allowances = Allowances(FOR_STRANGERS)
    with allowances.of(asking("mira"), "mira"):
        take_pictures(300)
        take_pictures(300)
        with pytest.raises(InputError, match=r"as many pictures as it may .* Try again in \d+ seconds"):
            take_pictures(1)
    with allowances.of(asking("jo"), "jo"):
        take_pictures(300)


def test_too_many_at_once_are_refused_and_do_not_count():
    with Allowances(Caps(pictures_at_once=10, pictures_per_hour=10)).of(asking("mira"), "mira"):
        with pytest.raises(InputError, match="count as 11 pictures"):
            take_pictures(11)
        take_pictures(10)


@pytest.mark.parametrize(
    ("total", "times", "is_judged"), [(3, 3, True), (10, 1, True), (11, 1, False), (3, 4, False)]
)
def test_long_work_counts_before_anything_is_judged(total, times, is_judged):
    steps, judged = told(total)
    with Allowances(Caps(pictures_at_once=10)).of(asking("mira"), "mira"):
        if is_judged:
            assert list(counted(steps, times=times))[-1] == "result"
        else:
            with pytest.raises(InputError, match="at most 10 at once"):
                list(counted(steps, times=times))

    assert bool(judged) is is_judged


def test_work_after_the_request_still_counts_for_who_asked():
    allowances = Allowances(Caps(written_mb_per_hour=1))
    with allowances.of(asking("mira"), "mira"):
        write = room_of_asker()
    write(2**20)

    with pytest.raises(StorageError, match="Try again in"):
        write(1)
    with allowances.of(asking("mira"), "mira"), pytest.raises(StorageError, match="Try again in"):
        take_room(1)


def test_after_a_request_nobody_asks():
    with Allowances(Caps()).of(asking("mira"), "a visitor"):
        assert visitor() == "a visitor"
    assert visitor() is None
