"""Texts from strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambaad_demo.storage import text

ANYTHING = st.text(st.characters(), max_size=400)
"""Any code points, half surrogate pairs and zero bytes included."""


@given(ANYTHING)
def test_a_name_is_printable_short_and_stays_as_it_is(given):
    name = text.name(given)
    assert name.isprintable()
    assert len(name) <= 200
    assert text.name(name) == name == name.strip()


@given(ANYTHING)
def test_a_note_is_lines_of_printable_text_and_stays_as_it_is(given):
    note = text.note(given * 12)
    assert all(line.isprintable() for line in note.split("\n"))
    assert len(note) <= 4000
    assert text.note(note) == note == note.strip()


@given(st.text(st.characters(categories=("L", "N", "P", "S")), max_size=200))
def test_what_is_printable_already_is_kept(given):
    assert text.name(given) == text.note(given) == given


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("  Mira \t Lindqvist ", "Mira Lindqvist"),
        ("=cmd|'/C calc'!A0", "=cmd|'/C calc'!A0"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("a\x00b\ud800c\u202ed", "a b c d"),
        ("🙂 ${x}", "🙂 ${x}"),
        ("a" * 199 + " b", "a" * 199),
        ("\u3000\n\x1f", ""),
    ],
)
def test_names_lose_only_what_cannot_be_shown(given, name):
    assert text.name(given) == name


def test_the_lines_of_a_note_are_kept():
    assert text.note(" scratch \r\n\r\n  near the edge\x07 \n") == "scratch\n\n  near the edge"
