"""Whose sessions, events and files are, and who counts as whom."""

import threading
from types import SimpleNamespace

import pytest

from mambaad_demo.ui import visits
from mambaad_demo.ui.visits import (
    COOKIE,
    Visits,
    browser_behind,
    browser_of,
    new_cookie,
    set_cookie,
    visitor_behind,
)

MIRA, JO, NOBODY = "mira", "jo", None


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def asked(cookie=None, session=None):
    """A Gradio request."""
    cookies = {} if cookie is None else {COOKIE: cookie}
    return SimpleNamespace(request=SimpleNamespace(cookies=cookies), session_hash=session)


@pytest.mark.parametrize("first", [MIRA, NOBODY])
def test_a_session_belongs_to_who_used_it_first(first):
    visits = Visits()
    others = {MIRA, JO, NOBODY} - {first}

    assert visits.is_own_name("session", first)
    assert not any(visits.is_own_name("session", other) for other in others)
    assert visits.is_own_name("session", first)


def test_a_file_of_a_browser_is_closed_to_all_others():
    visits = Visits()

    assert visits.claim_file("/uploads/a/part.png", MIRA)

    for other in (JO, NOBODY):
        assert not visits.claim_file("/uploads/a/part.png", other)
        assert not visits.may_open("/uploads/a/part.png", other)
    assert visits.may_open("/uploads/a/part.png", MIRA)


def test_the_files_of_a_browser_are_known_from_all_of_its_tabs_and_no_others():
    visits = Visits()
    visits.claim_file("/uploads/a/part.png", MIRA)
    visits.claim_file("/uploads/b/result.json", MIRA)
    visits.claim_file("/uploads/c/part.png", JO)
    visits.claim_file("/uploads/d/part.png", NOBODY)
    visits.claim_file("/uploads/c/part.png", MIRA)  # in vain

    assert visits.files_of(MIRA) == {"/uploads/a/part.png", "/uploads/b/result.json"}


def test_a_file_of_a_program_is_open_to_who_knows_its_name_and_nobody_takes_it_over():
    visits = Visits()
    visits.claim_file("/uploads/a/part.png", NOBODY)

    assert visits.claim_file("/uploads/a/part.png", JO)

    assert visits.may_open("/uploads/a/part.png", MIRA)
    assert visits.may_open("/uploads/a/part.png", NOBODY)


def test_looking_at_a_file_makes_it_nobodys():
    visits = Visits()
    assert visits.may_open("/uploads/a/part.png", JO)

    assert visits.claim_file("/uploads/a/part.png", MIRA)
    assert not visits.may_open("/uploads/a/part.png", JO)


@pytest.mark.parametrize("spelling", ["uploads/../uploads/part.png", "./uploads//part.png", "link/part.png"])
def test_no_spelling_of_a_path_gets_around_its_owner(spelling, tmp_path):
    visits = Visits()
    (tmp_path / "uploads").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "uploads")
    visits.claim_file(str(tmp_path / "uploads" / "part.png"), MIRA)

    assert not visits.may_open(f"{tmp_path}/{spelling}", JO)
    assert not visits.claim_file(f"{tmp_path}/{spelling}", JO)


def test_a_path_that_cannot_exist_is_no_error():
    assert Visits().may_open("/uploads/\0.png", JO)


def test_what_is_in_use_is_remembered_and_what_is_not_is_forgotten():
    clock = Clock()
    visits = Visits(clock=clock)
    visits.is_own_name("open", MIRA)
    visits.is_own_name("closed", MIRA)
    for _ in range(10):
        clock.now += 24 * 3600
        assert visits.is_own_name("open", MIRA)

    assert not visits.is_own_name("open", JO)
    assert visits.is_own_name("closed", JO)


def test_files_are_remembered_for_longer_than_they_are_kept():
    clock = Clock()
    visits = Visits(keep_minutes=60 * 24 * 365, clock=clock)
    visits.claim_file("/uploads/a", MIRA)
    clock.now += 365 * 24 * 3600

    assert not visits.may_open("/uploads/a", JO)


def test_only_so_much_is_remembered_and_the_longest_unused_goes_first():
    visits = Visits(most=2)
    for name in ("one", "two", "one", "three"):
        visits.is_own_name(name, MIRA)

    assert not visits.is_own_name("one", JO)
    assert visits.is_own_name("two", JO)


def test_who_brings_many_names_makes_own_ones_forgotten_and_not_those_of_others():
    visits = Visits(most=100)
    visits.is_own_name("a session", MIRA, "10.0.0.1")
    for number in range(1000):
        visits.is_own_name(f"flood {number}", f"browser {number}", "10.0.0.2")

    assert not visits.is_own_name("a session", JO, "10.0.0.2")
    assert visits.is_own_name("a session", MIRA, "10.0.0.3"), "also from elsewhere"
    assert visits.is_own_name("flood 0", JO, "10.0.0.2")
    assert not visits.is_own_name("flood 999", JO, "10.0.0.2")


def test_of_many_who_come_at_once_one_owns_a_session():
    visits, start = Visits(), threading.Barrier(8)
    owns = []

    def come(browser):
        start.wait()
        owns.append(visits.is_own_name("session", browser))

    threads = [threading.Thread(target=come, args=(f"browser {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(owns) == 1


def test_a_cookie_is_new_each_time_and_long():
    assert len({new_cookie() for _ in range(100)}) == 100
    assert all(browser_of({COOKIE: new_cookie()}) for _ in range(100))


@pytest.mark.parametrize(
    "value", ["", "short", "a" * 42, "a" * 44, "a" * 42 + "/", "ä" * 43, f"{'a' * 43}\n"]
)
def test_what_we_did_not_make_is_no_cookie(value):
    assert browser_of({COOKIE: value}) is None


def test_a_cookie_that_another_key_signed_is_none(monkeypatch):
    cookie = new_cookie()
    value, signature = cookie.split(".")
    assert browser_of({COOKIE: f"{value}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}"}) is None
    assert browser_of({COOKIE: f"{'a' * 43}.{signature}"}) is None
    assert browser_of({COOKIE: value}) is None

    monkeypatch.setattr(visits, "_KEY", b"of the next process")
    assert browser_of({COOKIE: cookie}) is None


def test_no_script_reads_the_cookie_and_no_other_site_sends_it():
    assert set_cookie("x", on_space=False) == "visit=x; Path=/; HttpOnly; SameSite=Lax"


def test_the_hub_can_frame_a_space_and_its_cookie_stays_in_that_frame():
    assert set_cookie("x", on_space=True) == "visit=x; Path=/; HttpOnly; SameSite=None; Secure; Partitioned"


def test_a_visitor_is_the_same_in_every_session_of_a_browser():
    cookie = new_cookie()
    names = {visitor_behind(asked(cookie, session)) for session in ("one", "two", None)}

    assert len(names) == 1
    assert cookie not in str(names)


def test_a_session_hash_without_the_cookie_is_another_visitor():
    mira = asked(new_cookie(), "session")

    assert visitor_behind(asked(new_cookie(), "session")) != visitor_behind(mira)
    assert visitor_behind(asked(None, "session")) != visitor_behind(mira)


def test_without_a_cookie_the_session_says_who_it_is():
    assert visitor_behind(asked(None, "one")) == visitor_behind(asked(None, "one"))
    assert visitor_behind(asked(None, "one")) != visitor_behind(asked(None, "two"))
    assert visitor_behind(asked()) is None
    assert browser_behind(asked(None, "one")) is None
