"""Pictures to teach, and the golden set, as decisions filled them."""

from mambaad_demo.pipeline.labeling import Collection, Finding, Label
from mambaad_demo.storage.collecting import collections_of, members
from mambaad_demo.storage.labels import decide
from tests.storage import parts

GOOD, DEFECT = Label(finding=Finding.GOOD), Label(finding=Finding.DEFECT)


def test_a_picture_joins_with_what_it_is_known_to_be(workspace):
    (stored,) = parts.add(workspace, parts.judged(1, product="lid"))
    decide(workspace, stored.image_id, DEFECT, reviewer=" Mira  L ", is_golden=True)
    (member,) = members(workspace, Collection.GOLDEN)
    assert (member.image_id, member.sha256, member.name) == (stored.image_id, stored.sha256, stored.name)
    assert (member.product, member.finding, member.added_by) == ("lid", Finding.DEFECT, "Mira L")
    assert members(workspace, Collection.TEACH) == []
    assert collections_of(workspace, stored.image_id) == {Collection.GOLDEN}


def test_the_last_word_on_a_member_counts_and_keeps_its_place(workspace):
    first, second = parts.add_parts(workspace, 2)
    for image_id in (first, second):
        decide(workspace, image_id, GOOD, reviewer="Mira", is_golden=True)
    before = members(workspace, Collection.GOLDEN)[0].added_at
    decide(workspace, first, DEFECT, reviewer="Ben", is_golden=True)
    found = members(workspace, Collection.GOLDEN)
    assert [(member.image_id, member.finding, member.added_by) for member in found] == [
        (first, Finding.DEFECT, "Ben"),
        (second, Finding.GOOD, "Mira"),
    ]
    assert found[0].added_at == before


def test_a_picture_may_be_in_both_collections_and_leave_one(workspace):
    (image_id,) = parts.add_parts(workspace, 1)
    decide(workspace, image_id, GOOD, reviewer="Mira", is_taught=True, is_golden=True)
    assert collections_of(workspace, image_id) == set(Collection)
    decide(workspace, image_id, DEFECT, reviewer="Mira")
    assert collections_of(workspace, image_id) == {Collection.GOLDEN}


def test_members_are_found_by_product(workspace):
    lid, cap = parts.add(workspace, parts.judged(1, product="lid"), parts.judged(2, product="cap"))
    for stored in (cap, lid):
        decide(workspace, stored.image_id, GOOD, reviewer="Mira", is_taught=True)
    assert [member.product for member in members(workspace, Collection.TEACH)] == ["cap", "lid"]
    assert [member.name for member in members(workspace, Collection.TEACH, product="lid")] == [lid.name]
