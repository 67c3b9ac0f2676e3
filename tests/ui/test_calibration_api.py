"""The endpoint `/calibration`, its handler called as a function."""

import io
import json
import zipfile
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import limits
from mambaad_demo.ui.calibration_api import build_calibration_api
from tests.ui.allowances import few_pictures
from tests.ui.desks import desk_in
from tests.ui.test_inspect_tab import upload
from tests.workflow.gray_line import NAME, Rack, good_parts, inspect, line_predictor, part, say

__all__ = ["upload"]

ADA, EVE = (SimpleNamespace(session_hash=name) for name in ("ada", "eve"))


class Api:
    """The endpoint in a Blocks of its own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as blocks:
            build_calibration_api(desk)
        (self.fn,) = [fn for fn in blocks.fns.values() if fn.api_name == "calibration"]

    def __call__(self, *files, request=ADA, category="gray", **how):
        result = self.fn.fn(request, list(files), category=category, **how)
        return json.loads(json.dumps(result, allow_nan=False))


@pytest.fixture(scope="module")
def predictor():
    return line_predictor()


@pytest.fixture
def api(tmp_path, predictor):
    built = Api(desk_in(tmp_path, catalog=Rack(predictor)))
    yield built
    built.desk.close()


@pytest.fixture
def files(upload):
    return [upload(name, content) for name, content in good_parts().items()]


def test_without_files_it_tells_what_is_in_force(api, predictor):
    told = api(checkpoint=NAME)
    assert told["limits"] == {
        "check": predictor.limits("gray").check,
        "reject": predictor.limits("gray").reject,
    }
    assert (told["source"], told["in_force"], told["saved"], told["images"]) == ("checkpoint", True, None, 20)
    assert told["counts"]["photos"]["reject"]["count"] == 0
    assert told["promise"]["photos_needed"]["more"] > 100
    assert api()["checkpoint"] == NAME


def test_photos_are_measured_and_not_kept_unless_asked(api, files, upload, predictor):
    told = api(*files, upload("no.png", b"no"), category="washer", reject_rate=0.02, check_rate=0.1)
    assert (told["source"], told["in_force"], told["images"]) == ("photos", False, 20)
    assert told["rates"] == {"check": 0.1, "reject": 0.02}
    assert [one["file"] for one in told["refused"]] == ["no.png"]
    assert told["history"] == []
    assert limits.in_force(api.desk.workspace(ADA), predictor) is predictor


def test_defects_in_a_zip_are_not_measured_and_the_answer_says_how_many_there_were(api, files, upload):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in good_parts().items():
            archive.writestr(f"good/{name}", content)
        archive.writestr("bent/bad.png", part(0.4, 99))
    told = api(upload("set.zip", buffer.getvalue()))
    assert told["limits"] == api(*files)["limits"]
    assert told["notes"][0].startswith("1 picture in folders of defects or tests was left aside")
    assert api(*files)["notes"] == []


def test_saved_limits_are_in_force_and_judge_what_is_stored(api, files, predictor, upload):
    workspace = api.desk.workspace(ADA)
    inspect(workspace, predictor, {"bad.png": part(0.4, 99)})
    say(workspace, ["bad.png"], Finding.DEFECT)
    told = api(*files, upload("no.png", b"no"), save=True)
    assert told["saved"] == told["history"][0]["id"]
    assert told["in_force"]
    assert [one["file"] for one in told["refused"]] == ["no.png"]
    assert told["limits"] == told["limits_in_force"]
    assert told["counts"]["stored_before"] == told["counts"]["stored_after"]
    assert told["counts"]["labeled_defects"]["reject"]["count"] == 1


def test_rates_alone_place_limits_over_the_same_parts(api):
    told = api(reject_rate=0.1, check_rate=0.2)
    assert told["rates"] == {"reject": 0.1, "check": 0.2}
    assert (told["source"], told["in_force"]) == ("checkpoint", False)


def test_a_rate_that_is_not_given_is_the_one_in_force(api):
    api(reject_rate=0.03, check_rate=0.3, save=True)
    assert api(reject_rate=0.1)["rates"] == {"reject": 0.1, "check": 0.3}
    assert api(check_rate=0.2)["rates"] == {"reject": 0.03, "check": 0.2}
    with pytest.raises(gr.Error, match=r"check rate 0\.01 does not fit the reject rate in force, 0\.03"):
        api(check_rate=0.01)
    with pytest.raises(gr.Error, match=r"reject rate 0\.4 does not fit the check rate in force, 0\.3"):
        api(reject_rate=0.4)


def test_for_photos_a_rate_that_is_not_given_is_the_usual_one_or_follows_the_other(api, files):
    api(reject_rate=0.03, check_rate=0.3, save=True)
    assert api(*files, reject_rate=0.02)["rates"] == {"reject": 0.02, "check": 0.05}
    assert api(*files, reject_rate=0.1)["rates"] == {"reject": 0.1, "check": 0.1}
    assert api(*files, check_rate=0.001)["rates"] == {"reject": 0.001, "check": 0.001}


def test_tiles_have_limits_of_their_own(api, files):
    assert api(tiles=2)["limits"]["reject"] is None
    assert api(*files, tiles=2, save=True)["tiles"] == 2
    assert api()["history"] == []
    assert len(api(tiles=2)["history"]) == 1


def test_an_empty_checkpoint_means_the_one_that_was_promoted_for_the_category(api, monkeypatch):
    asked = []
    monkeypatch.setattr(api.desk, "default_for", lambda category: asked.append(category) or NAME)
    assert api()["checkpoint"] == NAME
    api(checkpoint=NAME)
    assert asked == ["gray"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"category": ""}, "name"),
        ({"reject_rate": 2.0}, "percent"),
        ({"reject_rate": 0.2, "check_rate": 0.1}, "percent"),
        ({"category": "washer", "reject_rate": 0.1}, "no limits yet"),
        ({"save": True}, "nothing to save"),
        ({"tiles": 99}, "1 to 16"),
    ],
)
def test_nonsense_is_refused_in_words(api, how, words):
    with pytest.raises(gr.Error, match=words):
        api(**how)


def test_strangers_do_not_see_each_others_limits(tmp_path, predictor, files):
    api = Api(desk_in(tmp_path, catalog=Rack(predictor), is_private=True))
    api(*files, save=True)
    assert api(request=EVE)["history"] == []
    with pytest.raises(gr.Error, match="session"):
        api(request=SimpleNamespace(session_hash=None))
    api.desk.close()


def test_a_stranger_may_send_so_many_photos_each_tile_counted(api, files):
    with (
        few_pictures(4 * len(files) - 1),
        pytest.raises(gr.Error, match=f"count as {4 * len(files)} pictures"),
    ):
        api(*files, checkpoint=NAME, tiles=2)
    with few_pictures(4 * len(files)):
        assert api(*files, checkpoint=NAME, tiles=2)["images"] > 0
