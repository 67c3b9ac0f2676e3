"""Rows that come into being when first needed."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from mambaad_demo.storage.insertion import add_if_missing, id_of
from mambaad_demo.storage.tables import Image, Product, Reviewer
from tests.storage.parts import add, judged

MIRA = {"workspace": "w", "name": "Mira"}


def test_the_first_to_ask_adds_the_row_and_the_next_find_it(workspace):
    with workspace.database.writing() as session:
        first = id_of(session, Product, MIRA, defect_types=["scratch"])
        again = id_of(session, Product, MIRA, defect_types=["dent"])
        other = id_of(session, Product, MIRA | {"workspace": "other"}, defect_types=[])
        assert first == again != other
        assert session.get_one(Product, first).defect_types == ["scratch"]


def test_adding_says_whether_it_was_needed(workspace):
    with workspace.database.writing() as session:
        assert add_if_missing(session, Reviewer, MIRA)
        assert not add_if_missing(session, Reviewer, MIRA)


def test_many_at_once_get_the_same_row(workspace):
    start = threading.Barrier(6, timeout=60)

    def ask(_: int) -> int:
        start.wait()
        with workspace.database.writing() as session:
            return id_of(session, Reviewer, MIRA)

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(ask, range(6)))) == 1


def test_two_who_add_the_same_picture_at_once_share_one_row(workspace):
    start = threading.Barrier(2, timeout=60)

    def add_same(number: int) -> int:
        start.wait()
        return add(workspace, judged(7, name=f"upload {number}.png"))[0].image_id

    with ThreadPoolExecutor(2) as threads:
        ids = set(threads.map(add_same, range(2)))
    with workspace.database.reading() as session:
        assert session.scalar(select(func.count(Image.id))) == len(ids) == 1
