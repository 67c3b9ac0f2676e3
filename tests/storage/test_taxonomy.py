"""Types of defect get another name, and all that was said follows."""

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import audit, labels, review
from mambaad_demo.storage.listing import Filters
from mambaad_demo.storage.taxonomy import rename_defect_type
from tests.storage.parts import PRODUCT, add, add_parts, judged


def says(workspace, image_id, defect_type, **how):
    label = Label(finding=Finding.DEFECT, defect_type=defect_type)
    return labels.decide(workspace, image_id, label, **{"reviewer": "Mira"} | how)


def types(workspace, image_id):
    return [one.defect_type for one in labels.history(workspace, image_id)]


def test_all_decisions_on_the_product_follow_and_others_do_not(workspace):
    first, second = add_parts(workspace, 2)
    (lid,) = add(workspace, judged(7, product="lid"))
    for image_id in (first, second, lid.image_id):
        says(workspace, image_id, "scrach")
    says(workspace, first, "bent")
    says(workspace, second, "scrach", reviewer="Ben", is_repeat=True)
    labels.undo(workspace, reviewer="Ben")

    assert rename_defect_type(workspace, PRODUCT, "scrach", "  deep scratch ", reviewer="Ada") == 3

    assert types(workspace, first) == ["deep scratch", "bent"]
    assert types(workspace, second) == ["deep scratch", "deep scratch"]
    assert types(workspace, lid.image_id) == ["scrach"]
    assert labels.products(workspace) == {PRODUCT: ["deep scratch", "bent"], "lid": ["scrach"]}


def test_a_name_that_is_there_already_takes_the_type_in(workspace):
    (image_id,) = add_parts(workspace, 1)
    for defect_type in ("scratch", "bent", "Scratch"):
        says(workspace, image_id, defect_type)
    rename_defect_type(workspace, PRODUCT, "Scratch", "scratch", reviewer="Ada")
    assert labels.products(workspace) == {PRODUCT: ["scratch", "bent"]}
    assert types(workspace, image_id) == ["scratch", "bent", "scratch"]


def test_a_draft_does_not_bring_the_old_name_back(workspace):
    first, second = add_parts(workspace, 2)
    says(workspace, first, "bent")
    for image_id, defect_type in ((first, "bent"), (second, "new")):
        labels.save_draft(workspace, image_id, {"defect_type": defect_type, "note": "n"}, reviewer="Mira")
    rename_defect_type(workspace, PRODUCT, "bent", "crooked", reviewer="Ada")
    kept = [labels.draft(workspace, image_id, reviewer="Mira") for image_id in (first, second)]
    assert kept == [{"defect_type": "crooked", "note": "n"}, {"defect_type": "new", "note": "n"}]


def test_saved_views_of_the_product_follow_and_others_do_not(workspace):
    (image_id,) = add_parts(workspace, 1)
    says(workspace, image_id, "bent")
    others = workspace.of("others")
    followed = Filters(product=PRODUCT, defect_type="bent", search="x")
    kept = {
        "another product": Filters(product="lid", defect_type="bent"),
        "another type": Filters(product=PRODUCT, defect_type="scratch"),
        "any product": Filters(defect_type="bent"),
    }
    for name, filters in {"bent parts": followed, **kept}.items():
        review.save_view(workspace, name, filters)
    review.save_view(others, "theirs", followed)

    rename_defect_type(workspace, PRODUCT, "bent", "crooked", reviewer="Ada")

    crooked = Filters(product=PRODUCT, defect_type="crooked", search="x")
    assert review.saved_views(workspace) == {"bent parts": crooked, **kept}
    assert review.saved_views(others) == {"theirs": followed}


def test_the_trail_tells_of_it(workspace):
    (image_id,) = add_parts(workspace, 1)
    says(workspace, image_id, "bent")
    rename_defect_type(workspace, PRODUCT, "bent", "crooked", reviewer=" Ada ")
    newest = audit.entries(workspace)[0]
    assert (newest.actor, newest.action) == ("Ada", "defect type renamed")
    assert newest.subject == f"product {PRODUCT}"
    assert newest.details == {"old": "bent", "new": "crooked", "decisions": 1}


@pytest.mark.parametrize(
    ("product", "old", "new", "words"),
    [
        (PRODUCT, "bent", " ", "no new name"),
        (PRODUCT, "unheard-of", "x", "no longer here"),
        ("unheard-of", "bent", "x", "no longer here"),
        (PRODUCT, "", "x", "no longer here"),
    ],
)
def test_what_cannot_be_renamed_stays(workspace, product, old, new, words):
    (image_id,) = add_parts(workspace, 1)
    says(workspace, image_id, "bent")
    trail = audit.entries(workspace)
    with pytest.raises(InputError, match=words):
        rename_defect_type(workspace, product, old, new, reviewer="Ada")
    assert types(workspace, image_id) == ["bent"]
    assert audit.entries(workspace) == trail


def test_the_same_name_changes_nothing(workspace):
    (image_id,) = add_parts(workspace, 1)
    says(workspace, image_id, "bent")
    trail = audit.entries(workspace)
    assert rename_defect_type(workspace, PRODUCT, "bent", " bent", reviewer="Ada") == 0
    assert audit.entries(workspace) == trail
