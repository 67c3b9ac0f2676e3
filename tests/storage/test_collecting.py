"""Pictures to teach, and the golden set."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.storage.audit import entries
from mambaad_demo.storage.collecting import add, collections_of, members, remove
from tests.storage import parts


def test_a_picture_joins_with_what_it_is_known_to_be(workspace):
    (stored,) = parts.add(workspace, parts.judged(1, product="lid"))
    add(workspace, stored.image_id, Collection.GOLDEN, Finding.DEFECT, reviewer=" Mira  L ")
    (member,) = members(workspace, Collection.GOLDEN)
    assert (member.image_id, member.sha256, member.name) == (stored.image_id, stored.sha256, stored.name)
    assert (member.product, member.finding, member.added_by) == ("lid", Finding.DEFECT, "Mira L")
    assert members(workspace, Collection.TEACH) == []
    assert collections_of(workspace, stored.image_id) == {Collection.GOLDEN}


def test_the_last_word_on_a_member_counts_and_keeps_its_place(workspace):
    first, second = parts.add_parts(workspace, 2)
    for image_id in (first, second):
        add(workspace, image_id, Collection.GOLDEN, Finding.GOOD, reviewer="Mira")
    before = members(workspace, Collection.GOLDEN)[0].added_at
    add(workspace, first, Collection.GOLDEN, Finding.DEFECT, reviewer="Ben")
    found = members(workspace, Collection.GOLDEN)
    assert [(member.image_id, member.finding, member.added_by) for member in found] == [
        (first, Finding.DEFECT, "Ben"),
        (second, Finding.GOOD, "Mira"),
    ]
    assert found[0].added_at == before


def test_a_picture_may_be_in_both_collections_and_leave_one(workspace):
    (image_id,) = parts.add_parts(workspace, 1)
    for collection in Collection:
        add(workspace, image_id, collection, Finding.GOOD, reviewer="Mira")
    assert collections_of(workspace, image_id) == set(Collection)
    remove(workspace, image_id, Collection.TEACH, reviewer="Mira")
    remove(workspace, image_id, Collection.TEACH, reviewer="Mira")
    assert collections_of(workspace, image_id) == {Collection.GOLDEN}
    assert [entry.action for entry in entries(workspace)][-1:] == ["teach added"]


@pytest.mark.parametrize(
    ("collection", "finding"),
    [
        (Collection.TEACH, Finding.DEFECT),
        (Collection.TEACH, Finding.UNSURE),
        (Collection.GOLDEN, Finding.UNSURE),
    ],
)
def test_only_what_is_known_can_be_kept_and_only_good_parts_taught(workspace, collection, finding):
    (image_id,) = parts.add_parts(workspace, 1)
    with pytest.raises(InputError, match="Decide what this part is first"):
        add(workspace, image_id, collection, finding, reviewer="Mira")
    assert members(workspace, collection) == []


def test_members_are_found_by_product(workspace):
    lid, cap = parts.add(workspace, parts.judged(1, product="lid"), parts.judged(2, product="cap"))
    for stored in (cap, lid):
        add(workspace, stored.image_id, Collection.TEACH, Finding.GOOD, reviewer="Mira")
    assert [member.product for member in members(workspace, Collection.TEACH)] == ["cap", "lid"]
    assert [member.name for member in members(workspace, Collection.TEACH, product="lid")] == [lid.name]


def test_a_picture_that_is_not_there_cannot_join(workspace):
    with pytest.raises(InputError, match="no longer here"):
        add(workspace, 7, Collection.TEACH, Finding.GOOD, reviewer="Mira")


def test_two_reviewers_may_add_the_same_picture_at_once(workspace):
    (image_id,) = parts.add_parts(workspace, 1)
    start = threading.Barrier(4, timeout=60)

    def keep(reviewer: str) -> None:
        start.wait()
        add(workspace, image_id, Collection.GOLDEN, Finding.GOOD, reviewer=reviewer)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(keep, ("Mira", "Ben", "Ada", "Kim")))
    assert len(members(workspace, Collection.GOLDEN)) == 1
    assert len(entries(workspace)) == 4
