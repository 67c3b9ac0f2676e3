"""The Batch page built in an empty Blocks, and its handlers called as functions."""

import re
import zipfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.storage import jobs, limits, removal
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.storage.limits import Source
from mambaad_demo.ui import batch_tab, present_batch
from mambaad_demo.ui import desk as desk_module
from mambaad_demo.ui.batch_page import PICTURES, REFUSED, TABLE
from mambaad_demo.ui.batch_tab import batch_name, build_batch_tab
from mambaad_demo.workflow.batches import BatchSpec
from tests.ui.desks import desk_in, desks_for
from tests.ui.test_inspect_tab import upload
from tests.workflow.gray_line import NAME, Rack, line_predictor
from tests.workflow.report.test_pdf import program
from tests.workflow.stored import Scorer, Shelf, inspected, outcomes, part, parts

__all__ = ["upload"]

HOSTILE = "<img src=x onerror=alert(1)>.png"
ANYBODY = SimpleNamespace(session_hash="ada")


class Page:
    """The page in a Blocks of its own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Batch") as tab:
            self.parts = build_batch_tab(desk, tab=tab)
        names = {id(getattr(self.parts, name)): name for name in self.parts.__slots__}
        self._name = lambda component: names[id(component)]

    def call(self, name, *arguments, request=ANYBODY):
        """What a handler changes: field of the page → new value."""
        handler = next(fn.fn for fn in self.blocks.fns.values() if fn.name == name)
        changes = handler(*arguments, request)
        return {self._name(component): value for component, value in (changes or {}).items()}

    def start(self, *files, product="", checkpoint="scorer", category="", view=PICTURES, request=ANYBODY):
        return self.call("start", list(files), product, checkpoint, category, False, view, request=request)

    def choose(self, job_id, request=ANYBODY, *, verdict="", search="", **data):
        handler = next(fn.fn for fn in self.blocks.fns.values() if fn.name == "choose")
        event = SimpleNamespace(_data=data)
        changes = handler(job_id, verdict, search, "doubt", PICTURES, event, request)
        return {self._name(component): value for component, value in changes.items()}

    def workspace(self, request=ANYBODY):
        return self.desk.workspace(request)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The page over an empty desk; building it takes longest."""
    page = Page(desk_in(tmp_path_factory.mktemp("built"), catalog=Shelf(Scorer())))
    page.desk.close()
    return page


@pytest.fixture
def new_page(built, tmp_path, monkeypatch):
    """Makes the page work over a desk of the test's own."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(built.parts.delivery, "GRADIO_CACHE", str(tmp_path / "cache"))
    with desks_for(built, tmp_path) as new:
        yield new


@pytest.fixture
def page(new_page):
    return new_page()


def started(page, *files, **how):
    """Start a batch and wait until it is done; returns its id and the page at its end."""
    job_id = page.start(*files, **how)["batch"]["value"]
    page.desk.runner.wait(job_id)
    return job_id, page.call("tick", job_id, "", "", "doubt", how.get("view", PICTURES), 0)


def test_an_empty_page_says_what_to_do_and_offers_nothing_to_press(page):
    shown = page.call("open_page", None, PICTURES)
    assert "No batch yet" in shown["progress"]
    assert "No pictures here" in shown["grid"]
    assert shown["batch"]["value"] is None
    assert not any(
        shown[name]["interactive"] for name in ("stop", "resume", "review", "pack", "report", "delete")
    )
    assert shown["timer"].active is False


def test_pictures_are_judged_and_listed(page, upload):
    files = [upload("good.png", part(0.1)), upload("bad.png", part(0.9, 1)), upload("text.png", b"no")]
    first = page.start(*files, product="cap 7")
    assert first["files"] is None
    assert first["notice"].strip() == ""
    job_id = first["batch"]["value"]
    assert first["batch"]["choices"][0][0].startswith("cap 7, 3 files · ")
    page.desk.runner.wait(job_id)

    shown = page.call("tick", job_id, "", "", "doubt", PICTURES, 0)

    assert "3 of 3 pictures" in shown["progress"]
    assert "could not be read 1" in shown["progress"]
    assert re.findall(r'title="([^"]+)"', shown["grid"]) == ["good.png", "bad.png"]
    assert "1 to 2 of 2" in shown["grid"]
    assert shown["timer"].active is False
    enabled = [
        name
        for name in ("stop", "resume", "review", "pack", "report", "delete")
        if shown[name]["interactive"]
    ]
    assert enabled == ["review", "pack", "report", "delete"]


def test_nothing_chosen_and_a_broken_zip_are_explained_and_the_page_stays(page, upload):
    assert "Choose pictures" in page.start()["notice"]
    told = page.start(upload("a.zip", b"no zip"))
    assert list(told) == ["notice"]
    assert "zip" in told["notice"]
    told = page.start(upload("a.png", part()), category="purple")
    assert "purple" in told["notice"]
    assert jobs.jobs(page.workspace()) == []


def test_a_path_that_was_never_uploaded_is_refused(page, upload, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(part())
    upload("a.png", part())
    told = page.start({"path": str(secret), "orig_name": "a.png"})
    assert "no uploaded file" in told["notice"]
    assert secret.exists()


def test_hostile_names_are_shown_as_text_everywhere(page, upload):
    job_id, shown = started(
        page, upload(HOSTILE, part(0.9)), upload("b<b>.png", b"no"), product="<script>x</script>"
    )
    table = page.call("list_again", job_id, "", "", "doubt", TABLE)["grid"]
    refused = page.call("list_again", job_id, REFUSED, "", "doubt", PICTURES)["grid"]
    inspection = re.search(r'data-inspection="(\d+)"', shown["grid"])[1]
    detail = page.choose(job_id, inspection=inspection)["detail"]
    for markup in (shown["grid"], table, refused, detail, shown["progress"]):
        assert "<img src=x" not in markup
        assert "<script" not in markup
        assert "<b>" not in markup
    assert "&lt;img src=x" in shown["grid"]
    assert "b&lt;b&gt;.png" in refused


def test_the_table_can_be_filtered_searched_and_ordered(page, upload):
    scores = {"a_1.png": 0.9, "a_2.png": 0.45, "b%.png": 0.1, "c.png": 0.6}
    files = [upload(name, part(score, number)) for number, (name, score) in enumerate(scores.items())]
    job_id, _ = started(page, *files)

    def listed(verdict="", search="", order="name"):
        shown = page.call("list_again", job_id, verdict, search, order, TABLE)
        assert shown["offset"] == 0
        return re.findall(r'data-inspection="\d+">([^<]+)<', shown["grid"])

    assert listed() == ["a_1.png", "a_2.png", "b%.png", "c.png"]
    assert listed(order="score") == ["a_1.png", "c.png", "a_2.png", "b%.png"]
    assert listed(verdict="reject") == ["a_1.png", "c.png"]
    assert listed(search=" A_ ") == ["a_1.png", "a_2.png"]
    assert listed(search="%") == ["b%.png"]
    assert listed(search="zzz") == []


def test_pictures_that_could_not_be_read_are_paged_and_searched_too(page, monkeypatch):
    monkeypatch.setattr(present_batch, "PAGE", 4)
    contents = {f"bad_{number}.png": b"no" for number in range(6)} | parts(2) | {"other.png": b"no"}
    job_id = inspected(page.workspace(), contents)

    def listed(search="", offset=0):
        grid = page.choose(job_id, verdict=REFUSED, search=search, offset=offset)["grid"]
        return re.findall(r"<td>(\w+)\.png</td>", grid), re.search(r"\d+ to \d+ of \d+", grid)[0]

    assert listed() == ([f"bad_{number}" for number in range(4)], "1 to 4 of 7")
    assert listed(offset=4) == (["bad_4", "bad_5", "other"], "5 to 7 of 7")
    assert listed(search="_5") == (["bad_5"], "1 to 1 of 1")
    assert "No picture here" in page.choose(job_id, verdict=REFUSED, search="zzz", offset=0)["grid"]


def test_pages_follow_each_other(page, monkeypatch):
    monkeypatch.setattr(present_batch, "PAGE", 4)
    job_id = inspected(page.workspace(), parts(10))
    first = page.call("list_again", job_id, "", "", "name", PICTURES)["grid"]
    assert "1 to 4 of 10" in first
    assert re.findall(r'data-offset="(\d+)"', first) == ["4"]
    last = page.choose(job_id, offset="8")
    assert last["offset"] == 8
    assert "9 to 10 of 10" in last["grid"]
    assert re.findall(r'data-offset="(\d+)"', last["grid"]) == ["4"]
    assert page.choose(job_id, offset=-3)["offset"] == 0


def test_a_picture_is_shown_in_detail(page):
    job_id = inspected(
        page.workspace(), {"a.png": part(0.9)}, spec=BatchSpec(checkpoint="scorer", category="gear")
    )
    grid = page.call("list_again", job_id, "", "", "name", PICTURES)["grid"]
    detail = page.choose(job_id, inspection=int(re.search(r'data-inspection="(\d+)"', grid)[1]))["detail"]
    assert "Reject" in detail
    assert "gear (given)" in detail
    assert "32 × 24 px" in detail
    assert detail.count("data:image/") == 2


@pytest.mark.parametrize(
    "data", [{}, {"inspection": "x"}, {"inspection": 999}, {"inspection": 2**70}, {"offset": None}]
)
def test_what_the_page_never_sends_ends_in_a_message(page, data):
    with pytest.raises(gr.Error):
        page.choose(inspected(page.workspace(), parts(1)), **data)


def test_a_stopped_batch_can_be_resumed(page, upload, monkeypatch):
    job_id, _ = started(page, upload("a.png", part()))
    jobs.set_state(page.workspace(), job_id, JobState.STOPPED)
    shown = page.call("open_page", job_id, PICTURES)
    assert shown["resume"]["interactive"]
    assert "stopped" in shown["progress"]
    with pytest.raises(gr.Error, match="no longer here"):  # its files went when it was done
        page.call("resume", job_id, PICTURES)


def test_a_failed_batch_says_why(page):
    job_id = inspected(page.workspace(), parts(1))
    jobs.set_state(page.workspace(), job_id, JobState.FAILED, error="The disk <b>is</b> full.")
    shown = page.call("tick", job_id, "", "", "doubt", PICTURES, 0)
    assert "The disk &lt;b&gt;is&lt;/b&gt; full." in shown["progress"]
    assert shown["resume"]["interactive"]


def test_a_deleted_batch_is_gone_and_the_newest_one_is_shown(page, monkeypatch):
    told = []
    monkeypatch.setattr(gr, "Info", told.append)
    older = inspected(page.workspace(), {"a.png": part(0.2, 1)}, name="older")
    newer = inspected(page.workspace(), {"b.png": part(0.2, 2)}, name="newer")
    shown = page.call("delete", newer, PICTURES)
    assert shown["batch"]["value"] == older
    assert "a.png" in shown["grid"]
    assert told == ["The batch is deleted, and 1 pictures with it."]
    assert [job.id for job in jobs.jobs(page.workspace())] == [older]
    assert list(page.workspace().files.names(FileKind.MAP)) != []


def test_the_result_pack_is_written_where_gradio_may_send_it_from(page, upload):
    job_id, _ = started(page, upload("a.png", part()), product="../../cap")
    path = page.call("prepare_pack", job_id)["delivery"]
    assert path.startswith(page.parts.delivery.GRADIO_CACHE)
    assert ".." not in path
    with zipfile.ZipFile(path) as archive:
        assert "results.csv" in archive.namelist()


def test_a_result_pack_needs_no_upload_before_it(page, tmp_path, monkeypatch):
    monkeypatch.setattr(page.parts.delivery, "GRADIO_CACHE", str(tmp_path / "not yet there"))
    job_id = inspected(page.workspace(), parts(1))
    assert page.call("prepare_pack", job_id)["delivery"].endswith(".zip")


@pytest.mark.parametrize("name", ["stop", "resume", "delete", "prepare_pack", "prepare_report"])
def test_without_a_batch_every_button_says_so(page, name):
    arguments = [None, PICTURES] if name in ("resume", "delete") else [None]
    with pytest.raises(gr.Error, match="Choose a batch"):
        page.call(name, *arguments)


def test_categories_follow_the_checkpoint(new_page):
    page = new_page(Scorer(), Scorer(name="other", categories=("hex_nut",)))
    shown = page.call("choices_for", "other", "cap")
    assert shown["category"]["choices"][1:] == [("hex nut", "hex_nut")]
    assert shown["category"]["value"] == ""


def test_opening_the_page_keeps_the_category_that_was_chosen(page):
    shown = page.call("choices_for", "scorer", "gear")
    assert list(shown) == ["category"]
    assert shown["category"]["value"] == "gear"


def test_a_checkpoint_that_was_deleted_gives_way_to_the_default_one(page):
    shown = page.call("choices_for", "gone", "gear")
    assert shown["checkpoint"] == "scorer"
    assert shown["category"]["value"] == "gear"


def test_a_batch_that_was_deleted_in_another_tab_gives_way_to_what_there_is(page):
    job_id = inspected(page.workspace(), parts(1))
    shown = page.call("tick", "0" * 32, "", "", "doubt", PICTURES, 0)
    assert shown["batch"]["value"] == job_id
    removal.delete_job(page.workspace(), job_id, actor="somebody")
    shown = page.call("tick", job_id, "", "", "doubt", PICTURES, 0)
    assert "No batch yet" in shown["progress"]
    assert shown["timer"].active is False
    (event,) = [fn for fn in page.blocks.fns.values() if fn.name == "tick"]
    changed = event.fn(job_id, "", "", "doubt", PICTURES, 0, ANYBODY)
    assert {id(one) for one in changed} <= {id(one) for one in event.outputs}


def test_a_training_is_no_batch(page):
    training = jobs.create_job(page.workspace(), kind="finetune", name="x", spec={}, actor="ada")
    for name in ("stop", "prepare_pack", "prepare_report"):
        with pytest.raises(gr.Error, match="no longer here"):
            page.call(name, training)
    for name in ("resume", "delete"):
        with pytest.raises(gr.Error, match="no longer here"):
            page.call(name, training, PICTURES)
    assert jobs.job(page.workspace(), training).kind == "finetune"


@pytest.fixture
def reported(page, monkeypatch):
    """Limits that each report was told of, and (name, tiles) of what can be loaded."""
    told = []

    def report(workspace, job_id, *, known_limits):
        told.append({one.category: (one.check, one.good_parts) for one in known_limits})
        raise InputError("seen")

    monkeypatch.setattr(batch_tab, "batch_report", report)

    def ask(job_id):
        with pytest.raises(gr.Error, match="seen"):
            page.call("prepare_report", job_id)
        return told[-1]

    return ask


def test_a_report_knows_the_limits_of_as_many_tiles_as_its_batch_had(page, reported):
    predictor = line_predictor()
    page.desk.catalog = Rack(predictor)
    plain = inspected(page.workspace(), parts(1), spec=BatchSpec(checkpoint=NAME))
    closer = inspected(page.workspace(), parts(1), spec=BatchSpec(checkpoint=NAME, tiles=2))
    assert reported(plain).keys() == {"gray", "brown"}
    assert reported(closer) == {}
    known = predictor.calibration_of("gray").model_copy(update={"check": 0.25, "reject": 0.5})
    tiled = predictor.tiled(2)
    limits.save(page.workspace(), tiled, "gray", known, source=Source.PHOTOS, actor="Mira")
    assert reported(closer) == {"gray": (0.25, known.images)}


def test_a_batch_is_reported_after_its_checkpoint_was_deleted(page, reported):
    job_id = inspected(page.workspace(), parts(1), spec=BatchSpec(checkpoint="gone"))
    assert reported(job_id) == {}


def test_the_timer_rests_where_there_is_no_batch(page):
    assert page.call("tick", None, "", "", "doubt", PICTURES, 0)["timer"].active is False


def test_every_event_is_private(page):
    assert {fn.api_visibility for fn in page.blocks.fns.values()} == {"private"}


def test_a_batch_is_called_by_its_file_or_their_number(tmp_path):
    one, two = tmp_path / "shift.zip", tmp_path / "a.png"
    assert batch_name([one], BatchSpec(checkpoint="m")) == "shift.zip"
    assert batch_name([one, two], BatchSpec(checkpoint="m")) == "2 files"
    assert batch_name([one], BatchSpec(checkpoint="m", product="cap")) == "cap, shift.zip"


class TestOnASpace:
    """Where strangers share a server."""

    @pytest.fixture
    def space(self, new_page):
        return new_page(is_private=True)

    def test_each_visit_has_its_own_workspace(self, space, upload):
        ada, eve = SimpleNamespace(session_hash="ada"), SimpleNamespace(session_hash="eve")
        job_id = space.start(upload("a.png", part()), request=ada)["batch"]["value"]
        space.desk.runner.wait(job_id)
        assert outcomes(space.workspace(ada), job_id) == {"a.png": "accept"}
        seen = space.call("open_page", job_id, PICTURES, request=eve)
        assert seen["batch"]["choices"] == []
        assert "No batch yet" in seen["progress"]
        ticked = space.call("tick", job_id, "", "", "doubt", PICTURES, 0, request=eve)
        assert "No batch yet" in ticked["progress"]
        for name, arguments in (
            ("stop", (job_id,)),
            ("resume", (job_id, PICTURES)),
            ("delete", (job_id, PICTURES)),
            ("prepare_pack", (job_id,)),
            ("prepare_report", (job_id,)),
        ):
            with pytest.raises(gr.Error, match="no longer here"):
                space.call(name, *arguments, request=eve)
        grid = space.call("list_again", job_id, "", "", "doubt", PICTURES, request=ada)["grid"]
        inspection = int(re.search(r'data-inspection="(\d+)"', grid)[1])
        with pytest.raises(gr.Error):
            space.choose(job_id, inspection=inspection, request=eve)
        assert (
            "No pictures here"
            in space.call("list_again", job_id, "", "", "doubt", PICTURES, request=eve)["grid"]
        )
        with pytest.raises(gr.Error):
            space.call("list_again", job_id, REFUSED, "", "doubt", PICTURES, request=eve)

    @pytest.mark.parametrize("session", [None, ""])
    def test_a_request_that_belongs_to_no_visit_is_refused(self, space, session):
        request = SimpleNamespace(session_hash=session)
        with pytest.raises(InputError, match="Open the page first"):
            space.desk.workspace(request)
        with pytest.raises(gr.Error, match="Open the page first"):
            space.call("open_page", None, PICTURES, request=request)

    def test_at_home_everybody_shares_one_workspace_that_is_kept(self, page, upload, monkeypatch):
        started(page, upload("a.png", part()))
        stranger = SimpleNamespace(session_hash=None)
        assert page.call("open_page", None, PICTURES, request=stranger)["batch"]["value"] is not None
        later = desk_module.now() + timedelta(days=400)
        monkeypatch.setattr(desk_module, "now", lambda: later)
        page.desk.expire()
        assert len(jobs.jobs(page.workspace())) == 1

    def test_what_strangers_left_goes_after_the_promised_time(self, space, upload, monkeypatch, tmp_path):
        job_id = space.start(upload("a.png", part()))["batch"]["value"]
        space.desk.runner.wait(job_id)
        space.desk.expire()
        assert len(jobs.jobs(space.workspace())) == 1
        later = desk_module.now() + timedelta(minutes=61)
        monkeypatch.setattr(desk_module, "now", lambda: later)
        space.desk.expire()
        assert jobs.jobs(space.workspace()) == []
        assert list(space.workspace().files.names(FileKind.PICTURE)) == []

    def test_uploads_of_a_stopped_batch_go_with_it(self, space, upload, monkeypatch, tmp_path):
        job_id = space.start(upload("a.png", part()))["batch"]["value"]
        space.desk.runner.wait(job_id)
        waiting = tmp_path / "batches" / job_id / "00000"
        waiting.mkdir(parents=True)  # as after a stop
        (waiting / "secret.png").write_bytes(part())
        jobs.set_state(space.workspace(), job_id, JobState.STOPPED)
        later = desk_module.now() + timedelta(minutes=61)
        monkeypatch.setattr(desk_module, "now", lambda: later)
        space.desk.expire()
        assert not (tmp_path / "batches" / job_id).exists()


@pytest.mark.parametrize("script", [None, "exit 1"], ids=["no Chromium", "a Chromium that does not start"])
def test_without_a_chromium_that_prints_the_report_comes_as_html(page, tmp_path, monkeypatch, script):
    told = []
    monkeypatch.setattr(gr, "Info", told.append)
    if script is not None:
        program(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    job_id = inspected(page.workspace(), parts(1), spec=BatchSpec(checkpoint="gone"))

    path = Path(page.call("prepare_report", job_id)["delivery"])

    assert path.name.endswith("report.html")
    assert b"<html" in path.read_bytes()
    assert told == ([] if script is None else ["Chromium made no PDF here, so this is the report as HTML."])
