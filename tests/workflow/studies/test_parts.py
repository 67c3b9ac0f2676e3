"""Which parts a study is run on."""

import pytest

from mambaad_demo.errors import TooFewImagesError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.workflow.studies.parts import chosen_parts, known_findings, part_and_shot
from mambaad_demo.workflow.studies.study import Choice, ShotKind, Source
from tests.storage.parts import PRODUCT
from tests.workflow.studies.line import spec


def names(parts):
    return [part.name for part in parts]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("part07_2.jpg", ("part07", 2)),
        ("good/part07_02.tiff", ("good/part07", 2)),
        ("line\\part_a_3.png", ("line/part_a", 3)),
        ("part__1.png", ("part", 1)),
        ("part07.jpg", None),
        ("_2.jpg", None),
        ("part_x.jpg", None),
        ("part_12345678.jpg", None),
        ("..._1.png", ("...", 1)),
        ("=cmd()_1.png\n", ("=cmd()", 1)),
    ],
)
def test_a_file_name_tells_part_and_shot(name, told):
    assert part_and_shot(name) == told


def test_only_parts_of_the_product_that_are_known_to_be_something_are_taken(line):
    line.add("good.png", Finding.GOOD)
    line.add("bad.png", Finding.DEFECT)
    line.add("unsure.png", Finding.UNSURE)
    line.add("unknown.png")
    divided = line.add("divided.png", Finding.GOOD)
    line.decide(divided, Finding.DEFECT, reviewer="jo")
    assert names(chosen_parts(line.workspace, spec())) == ["good.png", "bad.png"]
    assert known_findings(line.workspace, "another product") == {}


def test_the_golden_set_outweighs_reviewers(line):
    part = line.add("part.png", Finding.GOOD)
    line.make_golden(part, Finding.DEFECT)
    reference = known_findings(line.workspace, PRODUCT)[part.image_id]
    assert (reference.finding, reference.source) == (Finding.DEFECT, Source.GOLDEN)


def test_the_golden_set_is_enough_where_nobody_reviewed(line):
    line.make_golden(line.add("part.png"), Finding.GOOD)
    assert names(chosen_parts(line.workspace, spec())) == ["part.png"]


def test_the_nearest_to_a_limit_of_each_kind_come_first(line):
    for name, finding, score in (
        ("far good", Finding.GOOD, 0.2),
        ("near good", Finding.GOOD, 0.39),
        ("far bad", Finding.DEFECT, 0.9),
        ("near bad", Finding.DEFECT, 0.52),
        ("between", Finding.DEFECT, 0.45),
    ):
        line.add(name, finding, score=score)
    parts = chosen_parts(line.workspace, spec(parts=2))
    assert names(parts) == ["near good", "far good", "near bad", "between"]


def test_a_random_choice_is_the_same_for_the_same_seed(line):
    for number in range(12):
        line.add(f"part {number}.png", Finding.GOOD)
    choices = {
        seed: names(chosen_parts(line.workspace, spec(parts=4, choice=Choice.RANDOM, seed=seed)))
        for seed in (0, 1)
    }
    assert choices[0] == names(chosen_parts(line.workspace, spec(parts=4, choice=Choice.RANDOM, seed=0)))
    assert choices[0] != choices[1]
    assert len(set(choices[0])) == 4


def test_stored_pictures_of_one_part_are_its_shots_in_their_order(line):
    for number in (10, 2, 1, 3):
        line.add(f"a_{number}.png", Finding.GOOD if number == 2 else None)
    line.add("alone_1.png", Finding.GOOD)
    line.add("unknown_1.png")
    line.add("unknown_2.png")
    (part,) = chosen_parts(line.workspace, spec(kind=ShotKind.STORED, shots=3))
    assert part.name == "a"
    assert names(part.pictures) == ["a_1.png", "a_2.png", "a_3.png"]
    assert (part.reference.finding, part.reference.by) == (Finding.GOOD, ("mira",))


def test_a_part_whose_shots_are_known_to_be_different_things_is_left_out(line):
    line.add("a_1.png", Finding.GOOD)
    line.add("a_2.png", Finding.DEFECT)
    line.add("b_1.png", Finding.DEFECT)
    golden = line.add("b_2.png", Finding.DEFECT, reviewer="jo")
    line.make_golden(golden, Finding.DEFECT)
    (part,) = chosen_parts(line.workspace, spec(kind=ShotKind.STORED))
    assert part.name == "b"
    assert (part.reference.source, part.reference.by) == (Source.GOLDEN, ("gold keeper",))


@pytest.mark.parametrize(
    ("kind", "next_step"),
    [(ShotKind.GENERATED, "add them to the golden set"), (ShotKind.STORED, "named as part07_1.jpg")],
)
def test_without_parts_the_error_says_how_to_get_some(line, kind, next_step):
    line.add("part.png")
    with pytest.raises(TooFewImagesError, match=next_step):
        chosen_parts(line.workspace, spec(kind=kind))
