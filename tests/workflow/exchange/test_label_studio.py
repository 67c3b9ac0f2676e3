"""Label Studio's tasks: ours, and what its users make of them.

The export was read once by label-studio-sdk 2.1.2: its `LabelInterface` takes the configuration and validates
every annotation, and its converter writes the same masks as PNG.
"""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Severity
from mambaad_demo.workflow.exchange.brush_masks import brush_bytes, mask_of_brush
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import HEIGHT, PARTS, WIDTH, picture, random_mask, told, write_files


@pytest.fixture
def out(full, tmp_path):
    """The folder of an export."""
    export(full, tmp_path / "out", ExportKind.LABEL_STUDIO)
    return tmp_path / "out"


def tasks_of(folder):
    return json.loads((folder / "tasks.json").read_text(encoding="utf-8"))


def answer(kind, name, size=(WIDTH, HEIGHT), **value):
    return {
        "type": kind,
        "from_name": name,
        "to_name": "image",
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": value,
    }


def chosen(name, word):
    return answer("choices", name, choices=[word])


def painted(mask, *kinds, **more):
    return (
        answer("brushlabels", "mask", format="rle", rle=list(brush_bytes(mask)), brushlabels=list(kinds))
        | more
    )


def task(*results, image="/data/upload/3/0a1b2c3d-a.png", **more):
    return {"id": 5, "data": {"image": image}, "annotations": [{"result": list(results), "id": 9}], **more}


def read(workspace, tmp_path, *tasks):
    """Import tasks on one picture; returns the facts."""
    write_files(tmp_path / "set", {"export.json": json.dumps(tasks), "a.png": picture()})
    return import_labels(workspace, tmp_path / "set", ImportKind.LABEL_STUDIO, product="plate")


def test_every_answer_belongs_to_a_question_of_the_configuration(out):
    view = ElementTree.fromstring((out / "labeling_config.xml").read_bytes())
    questions = {control.get("name"): control for control in view}
    for one in tasks_of(out):
        for annotation in one["annotations"]:
            for result in annotation["result"]:
                control = questions[result["from_name"]]
                assert control.tag.lower() == result["type"]
                assert control.get("toName") == result["to_name"] == "image"
                allowed = {child.get("value") for child in control}
                assert allowed.issuperset(result["value"].get(result["type"], []))


def test_pictures_are_where_the_tasks_say(out):
    tasks = tasks_of(out)
    names = [one["data"]["image"].removeprefix("/data/local-files/?d=") for one in tasks]
    assert sorted(names) == sorted(f"images/{file.name}" for file in (out / "images").iterdir())
    assert len(names) == len(PARTS)


def test_where_reviewers_are_divided_the_task_is_open(out):
    assert [one["data"]["name"] for one in tasks_of(out) if not one["annotations"]] == ["divided.png"]


def test_painted_masks_have_the_size_of_the_upright_picture(out):
    masks = [
        mask_of_brush(bytes(result["value"]["rle"]), result["original_height"], result["original_width"])
        for one in tasks_of(out)
        for annotation in one["annotations"]
        for result in annotation["result"]
        if result["type"] == "brushlabels"
    ]
    assert {mask.shape for mask in masks} == {(HEIGHT, WIDTH)}
    assert len(masks) == 6


def test_a_task_answered_in_label_studio_is_read(empty, tmp_path):
    masks = [random_mask(seed=seed) for seed in range(2)]
    facts = read(
        empty,
        tmp_path,
        task(
            *(painted(mask, "dent") for mask in masks),
            chosen("severity", "major"),
            answer("textarea", "note", text=["one", "two"]),
            {"type": "relation", "from_id": "a", "to_id": "b"},
        ),
    )
    told_there = told(empty)["plate", "a.png"]
    assert facts.left_out == ()
    assert (told_there.finding, told_there.defect_type) == (Finding.DEFECT, "dent")
    assert (told_there.severity, told_there.note) == (Severity.MAJOR, "one\ntwo")
    assert told_there.mask == ((HEIGHT, WIDTH), (masks[0] | masks[1]).tobytes())


def test_of_several_answers_the_newest_that_was_not_given_up_counts(empty, tmp_path):
    answers = [
        {"result": [chosen("finding", "good")]},
        {"result": [chosen("finding", "unsure")], "was_cancelled": False},
        {"result": [], "was_cancelled": True},
    ]
    read(empty, tmp_path, task() | {"annotations": answers})
    assert told(empty)["plate", "a.png"].finding is Finding.UNSURE


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (task() | {"annotations": []}, "Nobody has answered"),
        (task(chosen("severity", "minor")), "finding: Field required"),
        (task(chosen("finding", "broken")), "finding: Input should be"),
        (task(chosen("finding", "good"), painted(np.ones((HEIGHT, WIDTH), bool), "dent")), "and yet a place"),
        (task(answer("rectanglelabels", "box", x=1)), "rectanglelabels"),
        (task(painted(np.ones((5, 5), bool), "dent")), "another size"),
        (task(painted(np.ones((HEIGHT, WIDTH), bool), "dent", image_rotation=90)), "turned"),
        (task(answer("brushlabels", "mask", format="rle", rle=[999])), "damaged"),
        (task(answer("brushlabels", "mask", format="png", rle=[1])), "not read"),
        (task(chosen("finding", "good"), image="other.png"), "other.png is not there"),
        (task(chosen("finding", "good"), image="http://[x/a.png"), "address of its picture"),
        ({"data": {}}, "data.image: Field required"),
        (7, "valid"),
    ],
)
def test_a_wrong_task_is_told_and_the_others_are_read(empty, tmp_path, wrong, words):
    facts = read(empty, tmp_path, wrong, task(chosen("finding", "good")))
    assert facts.decided == 1
    [left] = facts.left_out
    assert left.name == "export.json task 1"
    assert words in left.reason


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/upload/3/0a1b2c3d-0a1b2c3d-a%20b.png", "0a1b2c3d-a b.png"),
        ("/data/local-files/?d=set/images/0a1b2c3d-a.png", "0a1b2c3d-a.png"),
        ("https://parts.example/x/a.png?size=1", "a.png"),
        ("a.png", "a.png"),
    ],
)
def test_pictures_are_found_by_the_names_they_had_before(empty, tmp_path, url, name):
    answered = task(chosen("finding", "good"), image=url)
    write_files(tmp_path / "set", {"export.json": json.dumps([answered]), name: picture()})
    facts = import_labels(empty, tmp_path / "set", ImportKind.LABEL_STUDIO, product="plate")
    assert facts.left_out == ()
    assert facts.pictures == 1


def test_pictures_that_are_here_are_known_by_their_hash(full, empty, out, tmp_path):
    import_labels(empty, out, ImportKind.LABEL_STUDIO)
    before = told(empty)
    facts = import_labels(empty, out / "tasks.json", ImportKind.LABEL_STUDIO)
    assert facts.unchanged == 10
    assert facts.decided == 0
    assert told(empty) == before


def test_what_is_no_list_of_tasks_is_told(empty, tmp_path):
    write_files(tmp_path / "set", {"export.json": '{"a": 1}'})
    facts = import_labels(empty, tmp_path / "set", ImportKind.LABEL_STUDIO)
    assert [left.name for left in facts.left_out] == ["export.json"]


def test_a_folder_without_json_is_refused(empty, tmp_path):
    write_files(tmp_path / "set", {"a.png": picture()})
    with pytest.raises(InputError, match="no JSON file"):
        import_labels(empty, tmp_path / "set", ImportKind.LABEL_STUDIO)
