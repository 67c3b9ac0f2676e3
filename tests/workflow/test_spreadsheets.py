"""Cells that a spreadsheet must show and not run."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mambaad_demo.workflow.spreadsheets import guarded, unguarded

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+cmd()", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_would_start_a_formula_starts_with_a_quote(text):
    assert guarded(text) == f"'{text}"


@given(st.text())
@example("'=1+1")
@example("''")
def test_any_text_comes_back_as_it_was_and_never_starts_a_formula(text):
    cell = guarded(text)
    assert isinstance(cell, str)
    assert not cell.startswith(DANGEROUS)
    assert unguarded(cell) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_a_guarded_cell_survives_a_csv_file(text):
    file = io.StringIO(newline="")
    csv.writer(file).writerow([guarded(text), "next"])
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert [unguarded(row[0]), row[1]] == [text, "next"]


@pytest.mark.parametrize("value", [-1.5, 0, 0.25, True, -3])
def test_numbers_stay_numbers(value):
    assert guarded(value) is value


def test_nothing_is_an_empty_cell():
    assert guarded(None) == ""


@pytest.mark.parametrize("text", ["part 1.png", "a=b", "", "é'", " =1"])
def test_harmless_text_stays_as_it_is(text):
    assert guarded(text) == text
