"""The public endpoints of stored work, their handlers called as functions."""

import hashlib
import io
import json
import zipfile
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import jobs, labels
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.ui import desk as desk_module
from mambaad_demo.ui.allowance import Allowances
from mambaad_demo.ui.caps import Caps
from mambaad_demo.ui.dashboard_api import build_dashboard_api
from mambaad_demo.workflow.figures.summary import FigureBook
from tests.ui.allowances import asking, few_pictures
from tests.ui.desks import desk_in, desks_for
from tests.ui.test_inspect_tab import upload
from tests.workflow.stored import HEIGHT, WIDTH, Scorer, Shelf, inspected, part, parts

__all__ = ["upload"]

ADA, EVE, NOBODY = (SimpleNamespace(session_hash=name) for name in ("ada", "eve", None))
HOSTILE = "=cmd|' /C calc'!A0<b>.png"
SHA256 = hashlib.sha256(part(0.9)).hexdigest()


class Api:
    """The endpoints in a Blocks of their own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            build_dashboard_api(desk, FigureBook())
        (self.pack,) = [
            block for block in self.blocks.blocks.values() if getattr(block, "label", "") == "result pack"
        ]

    def handler(self, api_name):
        (fn,) = [fn for fn in self.blocks.fns.values() if fn.api_name == api_name]
        return fn.fn

    def batch(self, *files, request=ADA, **how):
        """All answers of `/batch`."""
        return list(self.handler("batch")(request, list(files), **how))

    def label(self, *arguments, request=ADA, **how):
        return self.handler("label")(request, *arguments, **how)

    def labels(self, product="", request=ADA):
        return self.handler("labels")(request, product)

    def workspace(self, request=ADA):
        return self.desk.workspace(request)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The endpoints over an empty desk; building them takes longest."""
    api = Api(desk_in(tmp_path_factory.mktemp("built"), catalog=Shelf(Scorer())))
    api.desk.close()
    return api


@pytest.fixture
def new_api(built, tmp_path, monkeypatch):
    """Makes the endpoints work over a desk of the test's own."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(built.pack, "GRADIO_CACHE", str(tmp_path / "cache"))
    with desks_for(built, tmp_path) as new:
        yield new


@pytest.fixture
def api(new_api):
    return new_api()


@pytest.fixture
def rejected(api):
    """An api whose store holds one rejected part."""
    inspected(api.workspace(), {"a.png": part(0.9)})
    return api


def test_a_batch_answers_at_once_and_again_when_it_is_done(api, upload):
    first, last = api.batch(upload("a.png", part(0.9)), upload("bad.png", b"no"), product="pinion")
    begun, no_pack = first
    assert begun["state"] in ("waiting", "running", "done")
    assert no_pack is None
    result, pack = last
    assert (result["batch"], result["state"], result["total"]) == (begun["batch"], "done", 2)
    assert (result["done"], result["refused"], result["verdicts"]) == (2, 1, {"reject": 1})
    judged, refused = result["rows"]
    assert (judged["file"], judged["verdict"], judged["product"], judged["sha256"]) == (
        "a.png", "reject", "pinion", SHA256,
    )  # fmt: skip
    assert refused.keys() == {"file", "error"}
    json.dumps(result)
    with zipfile.ZipFile(pack) as archive:
        assert {"results.csv", "results.json", "SHA256SUMS"} <= set(archive.namelist())


def test_a_batch_takes_zips_and_its_own_checkpoint_and_category(new_api, upload):
    api = new_api(Scorer(), Scorer(name="other", categories=("hex_nut",)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/a.png", part())
    _, (result, _) = api.batch(upload("set.zip", buffer.getvalue()), checkpoint="other", category="hex_nut")
    (row,) = result["rows"]
    assert (row["file"], row["checkpoint"], row["category"], row["category_source"]) == (
        "x/a.png", "other", "hex_nut", "given",
    )  # fmt: skip


def test_an_empty_checkpoint_means_the_first_one(new_api, upload):
    api = new_api(Scorer(name="default"), Scorer())
    _, (result, _) = api.batch(upload("a.png", part()))
    assert result["rows"][0]["checkpoint"] == "default"


def test_an_empty_checkpoint_means_the_one_that_was_promoted_for_the_category(new_api, upload, monkeypatch):
    api = new_api(Scorer(name="default"), Scorer(name="gear-1"))
    monkeypatch.setattr(desk_module, "active_checkpoints", lambda workspace: {"gear": "gear-1"})
    checkpoints = [
        api.batch(upload("a.png", part()), category=category)[-1][0]["rows"][0]["checkpoint"]
        for category in ("gear", "cap", "")
    ]
    assert checkpoints == ["gear-1", "default", "default"]


def test_a_training_is_no_batch(api):
    training = jobs.create_job(api.workspace(), kind="finetune", name="x", spec={}, actor="ada")
    with pytest.raises(gr.Error, match="no longer here"):
        api.batch(batch=training)


def test_a_batch_can_be_looked_at_later(api):
    job_id = inspected(api.workspace(), parts(3))
    (answer,) = api.batch(batch=job_id)
    result, pack = answer
    assert (result["batch"], result["done"]) == (job_id, 3)
    assert zipfile.is_zipfile(pack)
    assert len(jobs.jobs(api.workspace())) == 1


def test_a_pack_needs_no_upload_before_it(api, tmp_path, monkeypatch):
    monkeypatch.setattr(api.pack, "GRADIO_CACHE", str(tmp_path / "not yet there"))
    ((_, pack),) = api.batch(batch=inspected(api.workspace(), parts(1)))
    assert zipfile.is_zipfile(pack)


def test_a_stranger_may_send_so_many_pictures_in_one_batch(api, upload):
    files = [upload(f"{number}.png", part(0.1, number)) for number in range(3)]
    with few_pictures(2), pytest.raises(gr.Error, match="count as 3 pictures"):
        api.batch(*files)
    assert jobs.jobs(api.workspace()) == []
    with few_pictures(3):
        assert api.batch(*files)[-1][0]["done"] == 3


def test_a_finished_batch_has_one_pack_however_often_it_is_asked_for(api, tmp_path):
    job_id = inspected(api.workspace(), parts(2))
    with Allowances(Caps()).of(asking("ada"), "ada"):
        packs = [api.batch(batch=job_id)[-1][1] for _ in range(3)]
    with Allowances(Caps()).of(asking("eve"), "eve"):
        other = api.batch(batch=job_id)[-1][1]

    assert len(set(packs)) == 1
    assert other != packs[0]
    assert sorted(map(str, (tmp_path / "cache").rglob("*.zip"))) == sorted([packs[0], other])


def test_a_batch_that_was_judged_anew_has_a_new_pack(api):
    job_id = inspected(api.workspace(), parts(2))
    with Allowances(Caps()).of(asking("ada"), "ada"):
        before = api.batch(batch=job_id)[-1][1]
        jobs.set_state(api.workspace(), job_id, jobs.JobState.FAILED, error="The disk is full.")
        after = api.batch(batch=job_id)[-1][1]

    assert before != after


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "Choose pictures"),
        ({"checkpoint": "unheard-of"}, "unheard-of"),
        ({"category": "purple"}, "purple"),
        ({"batch": "0" * 32}, "no longer here"),
    ],
    ids=["nothing", "checkpoint", "category", "batch"],
)
def test_a_batch_that_cannot_be_is_refused_with_the_reason(api, upload, how, message):
    files = [] if how == {} else [upload("a.png", part())]
    with pytest.raises(gr.Error, match=message):
        api.batch(*files, **how)
    assert jobs.jobs(api.workspace()) == []


def test_a_batch_takes_no_file_that_was_not_uploaded(api, upload, tmp_path_factory):
    upload("a.png", part())
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(part())
    for path in (str(secret), "/etc/passwd", "../secret.png"):
        with pytest.raises(gr.Error, match="no uploaded file"):
            api.batch({"path": path, "orig_name": "a.png"})
    assert secret.exists()


def test_a_label_is_recorded_and_listed(rejected):
    answer = rejected.label(f" {SHA256.upper()} ", "Defect", "mira", " bent", "Major", "left\nedge")
    assert (answer["finding"], answer["defect_type"], answer["severity"]) == ("defect", "bent", "major")
    assert answer["mask_sha256"] is None
    assert answer["reviewer"] == "mira"
    (listed,) = rejected.labels()
    assert listed == {
        "sha256": SHA256,
        "file": "a.png",
        "product": "cap",
        "width": WIDTH,
        "height": HEIGHT,
        "finding": "defect",
        "defect_type": "bent",
        "severity": "major",
        "note": "left\nedge",
        "mask_sha256": None,
        "reviewers": {"mira": "defect"},
        "decided_at": answer["decided_at"],
    }
    json.dumps(listed)
    assert rejected.labels("cap") == [listed]
    assert rejected.labels("pinion") == []


def test_reviewers_who_differ_are_all_listed(rejected):
    rejected.label(SHA256, "good", "mira")
    rejected.label(SHA256, "defect", "jo")
    (listed,) = rejected.labels()
    assert listed["finding"] is None
    assert listed["reviewers"] == {"mira": "good", "jo": "defect"}


def test_a_mask_is_kept_to_the_byte(rejected, upload):
    mask = mask_png(np.eye(HEIGHT, WIDTH, dtype=bool))
    answer = rejected.label(SHA256, "defect", "mira", mask=upload("mask.png", mask))
    assert answer["mask_sha256"] == hashlib.sha256(mask).hexdigest()
    assert rejected.workspace().files.read(FileKind.MASK, answer["mask_sha256"]) == mask


@pytest.mark.parametrize(
    "mask",
    [b"no png", mask_png(np.ones((HEIGHT, WIDTH + 1), bool)), part(0.2), b""],
    ids=["text", "size", "colors", "empty"],
)
def test_a_mask_that_is_none_of_this_picture_is_refused(rejected, upload, mask):
    with pytest.raises(gr.Error, match="mask"):
        rejected.label(SHA256, "defect", "mira", mask=upload("mask.png", mask))
    assert rejected.labels() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0" * 64, "good", "mira"), "No picture with this hash"),
        (("' OR 1=1 --", "good", "mira"), "No picture with this hash"),
        ((SHA256, "excellent", "mira"), "none of good, defect, unsure"),
        ((SHA256, "", "mira"), "none of good, defect, unsure"),
        ((SHA256, "good", "  "), "type a name"),
        ((SHA256, "defect", "mira", "", "fatal"), "none of"),
    ],
    ids=["unknown", "injection", "finding", "no finding", "no name", "severity"],
)
def test_a_label_that_cannot_be_is_refused_with_the_reason(rejected, arguments, message):
    with pytest.raises(gr.Error, match=message):
        rejected.label(*arguments)
    assert rejected.labels() == []


def test_text_of_strangers_comes_back_as_it_was(api):
    inspected(api.workspace(), {HOSTILE: part(0.9)})
    api.label(SHA256, "defect", HOSTILE, HOSTILE, "", HOSTILE)
    (listed,) = api.labels()
    assert listed["file"] == listed["defect_type"] == listed["note"] == HOSTILE
    with pytest.raises(gr.Error) as caught:
        api.label(SHA256, "<img src=x>", "mira")
    assert "<img" not in str(caught.value)


def test_the_endpoints_say_what_they_take(api):
    public = {fn.api_name: fn for fn in api.blocks.fns.values()}
    assert public.keys() == {"batch", "label", "labels", "metrics"}
    assert {fn.api_visibility for fn in public.values()} == {"public"}
    assert all(fn.api_description for fn in public.values())
    assert [component.label for component in public["label"].inputs] == [
        "sha256", "finding", "reviewer", "defect type", "severity", "note", "mask",
    ]  # fmt: skip


class TestOnASpace:
    """Where strangers share a server."""

    @pytest.fixture
    def space(self, new_api):
        return new_api(is_private=True)

    def test_nobody_sees_or_labels_what_another_visit_brought(self, space):
        job_id = inspected(space.workspace(), {"a.png": part(0.9)})
        space.label(SHA256, "good", "mira")
        assert space.labels(request=EVE) == []
        with pytest.raises(gr.Error, match="No picture with this hash"):
            space.label(SHA256, "defect", "eve", request=EVE)
        with pytest.raises(gr.Error, match="no longer here"):
            space.batch(batch=job_id, request=EVE)
        assert labels.labeled_images(space.workspace())[0].finding is Finding.GOOD

    def test_a_request_without_a_session_is_refused(self, space, upload):
        file = upload("a.png", part())
        for call in (
            lambda: space.batch(file, request=NOBODY),
            lambda: space.label(SHA256, "good", "mira", request=NOBODY),
            lambda: space.labels(request=NOBODY),
        ):
            with pytest.raises(gr.Error, match="keeps one session"):
                call()
