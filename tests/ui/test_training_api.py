"""The public endpoints of fine-tuning, their handlers called as functions."""

import io
import json
import zipfile
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.storage import jobs
from mambaad_demo.ui import good_set_look
from mambaad_demo.ui.training_api import build_training_api
from tests.ui.desks import desk_in
from tests.ui.test_inspect_tab import upload
from tests.ui.trainings import Trainings, at_step, good_set, report_of
from tests.workflow.stored import part, parts
from tests.workflow.versions import Version, Versions

__all__ = ["upload"]

ADA, EVE, NOBODY = (SimpleNamespace(session_hash=name) for name in ("ada", "eve", None))


class Api:
    """The endpoints in a Blocks of their own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            build_training_api(desk)

    def call(self, api_name, *arguments, request=ADA, **how):
        (fn,) = [fn for fn in self.blocks.fns.values() if fn.api_name == api_name]
        return fn.fn(request, *arguments, **how)

    def start(self, files, request=ADA, **how):
        return self.call("finetune_start", files, request=request, **{"category": "cookie"} | how)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    api = Api(desk_in(tmp_path_factory.mktemp("built"), catalog=Versions(Version("base"))))
    api.desk.close()
    return api


@pytest.fixture
def new_api(built, tmp_path):
    """Makes the endpoints work over a desk of the test's own."""
    desks = []

    def new(**how):
        desks.append(desk_in(tmp_path, catalog=Versions(Version("base"), Version("other")), **how))
        vars(built.desk).update(vars(desks[-1]), trainings=Trainings())
        return built

    yield new
    for desk in desks:
        desk.close()


@pytest.fixture
def api(new_api):
    return new_api()


@pytest.fixture(autouse=True)
def check(monkeypatch):
    """What the check of a good set is to say."""
    says = SimpleNamespace(report=good_set())
    monkeypatch.setattr(good_set_look, "examine_good_set", lambda *arguments, **options: says.report)
    return says


@pytest.fixture
def files(upload):
    return [upload(name, content) for name, content in parts(6).items()]


def test_a_training_starts_and_answers_with_its_id_and_the_check(api, files):
    answer = api.start(files)
    (job,) = jobs.jobs(api.desk.workspace(ADA), kind="finetune")
    assert (answer["job"], answer["photos"]) == (job.id, 6)
    assert answer["preflight"]["can_train"] is True
    assert answer["notes"] == []
    assert answer["status"]["state"] == "waiting"
    (spec,) = api.desk.trainings.specs
    assert (spec.checkpoint, spec.finetune.category, spec.finetune.minutes) == ("base", "cookie", 10)
    json.dumps(answer)


def test_everything_can_be_chosen(api, files):
    api.start(
        files, checkpoint="other", steps=40, augmentations=" flip, rotate", seed=7, reject_rate=0.02,
        leave_out=["part 001.png"],
    )  # fmt: skip
    (spec,), (photos,) = api.desk.trainings.specs, api.desk.trainings.photos
    finetune = spec.finetune
    assert (spec.checkpoint, finetune.steps, finetune.minutes) == ("other", 40, None)
    assert (finetune.augmentations, finetune.seed, finetune.reject_rate) == (("flip", "rotate"), 7, 0.02)
    assert "part 001.png" not in photos


def test_what_cannot_be_read_is_reported_and_not_trained_on(api, upload, check):
    check.report = good_set(refused=(("x/bad.png", "It is damaged."),))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {**parts(5), "x/bad.png": b"no"}.items():
            archive.writestr(name, content)
    answer = api.start([upload("set.zip", buffer.getvalue())])
    assert answer["photos"] == 5
    assert answer["preflight"]["refused"] == [{"name": "x/bad.png", "reason": "It is damaged."}]
    assert "bad.png" not in api.desk.trainings.photos[0]


def test_defects_in_a_zip_are_not_learned_and_the_answer_says_how_many_there_were(api, upload):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts(6).items():
            archive.writestr(f"train/good/{name}", content)
        archive.writestr("test/bent/bad.png", part())
    answer = api.start([upload("set.zip", buffer.getvalue())])
    assert answer["photos"] == 6
    assert answer["notes"][0].startswith("1 picture in folders of defects or tests was left aside")
    assert api.desk.trainings.photos[0].keys() == parts(6).keys()


def test_below_five_photos_a_training_is_refused_with_the_reason(api, files, check):
    check.report = good_set(count=3, usable=3)
    with pytest.raises(gr.Error, match="3 photos can be used"):
        api.start(files[:3])
    assert api.desk.trainings.specs == []


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"category": ""}, "Name the product"),
        ({"checkpoint": "unheard-of"}, "unheard-of"),
        ({"minutes": 1, "steps": 5}, "either minutes or steps"),
        ({"steps": 1.5}, "whole number of steps"),
        ({"seed": -1}, "as the seed"),
        ({"augmentations": "melt"}, "flip, rotate and brightness"),
        ({"leave_out": "a.png"}, "as a list of names"),
        ({"leave_out": [1]}, "as a list of names"),
    ],
)
def test_a_training_that_cannot_be_is_refused_with_the_reason(api, files, how, words):
    with pytest.raises(gr.Error, match=words):
        api.start(files, **how)
    assert api.desk.trainings.specs == []


def test_no_file_that_was_not_uploaded_is_taken(api, upload, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(part())
    upload("a.png", part())
    with pytest.raises(gr.Error, match="no uploaded file"):
        api.start([{"path": str(secret), "orig_name": "a.png"}])


def test_the_status_holds_curves_and_report_and_no_file_of_the_server(api, files, tmp_path):
    job_id = api.start(files)["job"]
    api.desk.trainings.statuses[job_id] = at_step(
        60, version="cookie-1", report=report_of(), previews=[tmp_path / "0.jpg"], preview_names=["a.png"]
    )
    answer = api.call("finetune_status", job=f" {job_id} ")
    assert (answer["version"], answer["progress"], len(answer["steps"])) == ("cookie-1", 0.15, 60)
    assert [point["is_best"] for point in answer["validations"]] == [True, True, False]
    assert answer["report"]["best_step"] == 40
    assert str(tmp_path) not in json.dumps(answer)


def test_a_stopped_training_says_so(api, files):
    job_id = api.start(files)["job"]
    assert api.call("finetune_stop", job=job_id)["state"] == "stopped"
    assert api.desk.trainings.asked == ["stop"]


def test_an_unknown_job_is_refused(api):
    for name in ("finetune_status", "finetune_stop"):
        with pytest.raises(gr.Error, match="no longer here"):
            api.call(name, job="0" * 32)


def test_the_endpoints_say_what_they_take(api):
    public = {fn.api_name: fn for fn in api.blocks.fns.values()}
    assert public.keys() == {"finetune_start", "finetune_status", "finetune_stop"}
    assert {fn.api_visibility for fn in public.values()} == {"public"}
    assert all(fn.api_description for fn in public.values())


def test_where_a_gpu_is_lent_call_by_call_nothing_is_started(new_api, files):
    space = new_api(on_zero_gpu=True)
    with pytest.raises(gr.Error, match="borrows a GPU"):
        space.start(files)
    assert space.desk.trainings.specs == []


class TestOnASpace:
    """Where strangers share a server."""

    @pytest.fixture
    def space(self, new_api):
        return new_api(is_private=True)

    def test_nothing_is_started_there_and_the_reason_comes_with_the_way_out(self, space, files):
        with pytest.raises(gr.Error, match="make demo"):
            space.start(files)
        assert space.desk.trainings.specs == []

    def test_nobody_asks_about_or_stops_the_training_of_another_visit(self, space):
        spec = {"finetune": {"category": "cookie"}}
        job_id = jobs.create_job(space.desk.workspace(ADA), kind="finetune", name="x", spec=spec, actor="ada")
        for name in ("finetune_status", "finetune_stop"):
            with pytest.raises(gr.Error, match="no longer here"):
                space.call(name, job=job_id, request=EVE)
            with pytest.raises(gr.Error, match="keeps one session"):
                space.call(name, job=job_id, request=NOBODY)
