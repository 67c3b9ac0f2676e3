"""The card for whole sets, and its handlers called as functions."""

import io
import zipfile
from itertools import islice

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.ui import compare_set_card
from mambaad_demo.ui.compare_set_card import build_set_card
from mambaad_demo.ui.comparing import Comparer
from mambaad_demo.ui.inspection import Inspector
from tests.ui.allowances import few_pictures
from tests.ui.fakes import FakeCatalog, FakePredictor
from tests.ui.test_compare_tab import blind
from tests.ui.test_inspect_tab import DEFECTIVE, DrawnShelf, upload

__all__ = ["upload"]

NAMES = ["mambaad", "other"]


class Card:
    """The card in a Blocks of its own."""

    def __init__(self, *predictors):
        self.predictors = predictors
        comparer = Comparer(Inspector(FakeCatalog(*predictors), DrawnShelf([DEFECTIVE])))
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            choice, files, forget = gr.CheckboxGroup(), gr.State([]), gr.Button("Delete my files now")
            build_set_card(comparer, checkpoints=choice, files=files, forget=forget)

    def handler(self, name):
        return next(fn for fn in self.blocks.fns.values() if fn.name == name)

    def steps(self, *arguments):
        return (named(step) for step in self.handler("compare_set").fn(*arguments))


def named(step):
    return {
        getattr(block, "elem_id", None) or getattr(block, "value", None) or type(block).__name__: value
        for block, value in step.items()
    }


@pytest.fixture
def card():
    return Card(FakePredictor(), FakePredictor(name="other", map_of=blind))


def part(*, is_bad):
    """A PNG file of a dark part, with a bright spot if it is bad."""
    pixels = np.full((64, 64, 3), 100, np.uint8)
    if is_bad:
        pixels[20:40, 20:40] = 250
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


LABELED = {
    f"{folder}/{n}.png": part(is_bad=folder == "bent") for folder in ("good", "bent") for n in range(6)
}


def last(steps):
    *_, result = steps
    return result


def test_a_labeled_zip_gives_a_table_with_intervals_and_a_dot_for_each_picture(card, upload):
    steps = list(card.steps(upload("set.zip", zipped(LABELED)), "", "", NAMES))

    for number in range(13):
        assert f"{number} of 12 pictures judged" in steps[number]["compare-set-result"]
    result = steps[-1]["compare-set-result"]
    assert "6 good and 6 defective pictures" in result
    assert "<td>100.0 %</td>" in result  # the first sees all spots, so that draws would not vary
    assert "<td>50.0 %</td>" in result  # the other is blind
    assert "100.0 % (61.0 to 100.0)" in result  # defective parts that the first rejects
    assert "no difference that could not be chance" in result  # in six parts of each kind
    figure = steps[-1]["compare-set-scores"]["value"]
    assert [len(trace.x) for trace in figure.data] == [12, 12]  # good and defective, by both checkpoints
    assert [trace.name for trace in figure.data] == ["good", "defective"]


def test_without_labels_the_share_of_rejects_is_compared(card, upload):
    files = {f"{n}.png": part(is_bad=n < 3) for n in range(6)}
    result = last(card.steps(upload("set.zip", zipped(files)), "", "bottle_cap", NAMES))["compare-set-result"]
    assert "6 pictures" in result
    assert "AUROC</th>" not in result
    assert "50.0 % (18.8 to 81.2)" in result
    assert "The set has no labels" in result


def test_the_start_button_rests_while_the_set_is_judged_and_stop_does_not(card, upload):
    steps = list(card.steps(upload("set.zip", zipped(LABELED)), "", "", NAMES))
    assert (steps[0]["Compare the set"]["interactive"], steps[0]["Stop"]["interactive"]) == (False, True)
    assert (steps[-1]["Compare the set"]["interactive"], steps[-1]["Stop"]["interactive"]) == (True, False)


def test_a_damaged_picture_is_named_and_its_name_escaped(card, upload):
    files = {**LABELED, "good/<img onerror=x>.png": b"no picture"}
    result = last(card.steps(upload("set.zip", zipped(files)), "", "", NAMES))["compare-set-result"]
    assert "1 could not be read" in result
    assert "&lt;img onerror=x&gt;.png" in result
    assert "<img onerror" not in result


@pytest.mark.parametrize(
    ("content", "message"), [(b"no zip", "no zip file"), (zipped({"a.txt": b"text"}), "no pictures")]
)
def test_a_zip_that_holds_no_set_is_explained(card, upload, content, message):
    step = last(card.steps(upload("set.zip", content), "", "", NAMES))
    assert message in step["compare-set-result"]
    assert step["Compare the set"]["interactive"]


def test_no_zip_at_all_is_explained(card):
    (step,) = card.steps(None, "", "", NAMES)
    assert "Upload a zip file of pictures first" in step["compare-set-result"]


def test_no_checkpoints_are_explained(card):
    (step,) = card.steps(None, "gear", "", [])
    assert "Choose one to 3 different checkpoints" in step["compare-set-result"]


def test_an_unknown_kind_of_sample_part_is_explained(card):
    (step,) = card.steps(None, "spaceship", "", NAMES)
    assert "no sample parts of the kind &#39;spaceship&#39;" in step["compare-set-result"]


def test_sample_parts_are_compared_under_the_product_that_is_suggested(card, monkeypatch):
    pictures = [
        Picture(name=name, is_anomalous=name.startswith("bent"), read=lambda content=content: content)
        for name, content in LABELED.items()
    ]
    monkeypatch.setattr(compare_set_card, "sample_set", lambda kind: pictures)
    result = last(card.steps(None, "gear", "a product of the zip file", NAMES))["compare-set-result"]
    assert "6 good and 6 defective" in result


def test_a_zip_is_remembered_for_deletion_and_chosen(card, upload):
    file = upload("set.zip", zipped(LABELED))
    handler = card.handler("keep_zip").fn
    remembered, offered = (list(step.values()) for step in handler(file, NAMES, ["before"]))
    assert remembered == [["before", file["path"]], ""]
    (product,) = offered
    assert [value for _, value in product["choices"]] == ["", "bottle_cap", "circuit_board"]


def test_a_zip_is_remembered_even_where_the_choice_of_checkpoints_is_refused(card, upload):
    file = upload("set.zip", zipped(LABELED))
    steps = card.handler("keep_zip").fn(file, [], [])
    assert next(iter(next(steps).values())) == [file["path"]]
    with pytest.raises(gr.Error, match="Choose one to 3"):
        next(steps)


def test_a_failure_of_ours_frees_the_buttons(card, upload):
    def broken(pixels):
        raise RuntimeError("out of memory")

    card.predictors[0].map_of = broken
    steps = card.steps(upload("set.zip", zipped(LABELED)), "", "", NAMES)
    assert next(steps)["Stop"]["interactive"]
    freed = next(steps)
    assert (freed["Compare the set"]["interactive"], freed["Stop"]["interactive"]) == (True, False)
    with pytest.raises(gr.Error, match="went wrong on our side"):
        next(steps)


def test_a_file_outside_the_upload_folder_is_refused(card, tmp_path):
    outside = {"path": __file__, "meta": {"_type": "gradio.FileData"}}
    (step,) = islice(card.steps(outside, "", "", NAMES), 1)
    assert "no uploaded file" in step["compare-set-result"]


def test_deleting_files_empties_the_card_and_stops_it(card):
    cleared = named(card.handler("clear_set").fn())
    assert cleared["compare-set-zip"] is None
    assert cleared["compare-set-result"] == ""
    cancelled = [card.blocks.fns[run].name for fn in card.blocks.fns.values() for run in fn.cancels]
    assert cancelled == ["compare_set", "compare_set"]  # by the stop button and by deleting


def test_single_pictures_need_not_wait_for_a_set(card):
    assert card.handler("compare_set").concurrency_id != "model"


def test_a_stranger_may_compare_so_many_pictures_each_counted_for_every_checkpoint(card, upload):
    archive = upload("set.zip", zipped(LABELED))
    count = len(LABELED) * len(NAMES)
    with few_pictures(count - 1):
        (step,) = card.steps(archive, "", "", NAMES)
    assert f"count as {count} pictures" in step["compare-set-result"]
    with few_pictures(count):
        assert "count as" not in last(card.steps(archive, "", "", NAMES))["compare-set-result"]
