"""Names that every file system takes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mambaad_demo.workflow.exchange.names import Names, safe_name, stem_of


@given(st.lists(st.text(max_size=30)))
def test_whatever_is_wanted_names_are_plain_and_differ_in_more_than_case(wanted):
    names = Names("good")
    claimed = [names.claim(text, otherwise="part") for text in wanted]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) for name in claimed)
    assert len({name.casefold() for name in claimed} | {"good"}) == len(wanted) + 1


def test_names_stay_readable():
    assert safe_name("Größe, links oben") == "Groe_links_oben"
    assert safe_name("../../etc/passwd") == "etc_passwd"
    assert safe_name("🚀") == ""


def test_devices_of_windows_are_no_names():
    assert [safe_name(name) for name in ("con", "LPT1", "console")] == ["con_", "LPT1_", "console"]


def test_long_names_are_cut():
    assert len(safe_name("x" * 5000)) == 60


def test_stems_are_found_whichever_way_slashes_lean():
    assert [stem_of(name) for name in ("a/b.c.png", "a\\b.png", "b")] == ["b.c", "b", "b"]
