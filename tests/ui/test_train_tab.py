"""The Train page built in an empty Blocks, and its handlers called as functions."""

import io
import zipfile
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Collection, Finding, Label
from mambaad_demo.storage import collecting, jobs, labels
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.ui import good_set_look
from mambaad_demo.ui.train_page import LONG, OWN, STANDARD
from mambaad_demo.ui.train_tab import build_train_tab
from tests.ui.desks import desk_in
from tests.ui.test_inspect_tab import upload
from tests.ui.trainings import ESTIMATE, Trainings, at_step, good_set, odd, report_of
from tests.workflow.stored import image_ids, inspected, part, parts
from tests.workflow.versions import Version, Versions

__all__ = ["upload"]

ADA, EVE = SimpleNamespace(session_hash="ada"), SimpleNamespace(session_hash="eve")
PLAIN = (False, False, False)
BUTTONS = ("stop", "resume", "finish", "delete")


class Page:
    """The page in a Blocks of its own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Train") as tab:
            self.parts = build_train_tab(desk, tab=tab)
        self._names = {id(getattr(self.parts, name)): name for name in self.parts.__slots__}

    def handler(self, name):
        return next(
            fn.fn
            for fn in self.blocks.fns.values()
            if fn.name == name and fn.fn.__module__.endswith("train_tab")
        )

    def named(self, changes):
        return {
            self._names.get(id(component), getattr(component, "label", "")): value
            for component, value in (changes or {}).items()
        }

    def call(self, name, *arguments, request=ADA):
        """What a handler changes: field of the page, or label on the promotion card → new value."""
        return self.named(self.handler(name)(*arguments, request))

    def look(self, *files, product="cookie", checkpoint="base", is_taught=False, request=ADA):
        steps = self.handler("look")(list(files), product, checkpoint, is_taught, request)
        return [self.named(changes) for changes in steps]

    def start(
        self,
        *files,
        left_out=None,
        product="cookie",
        checkpoint="base",
        is_taught=False,
        budget=STANDARD,
        minutes=10,
        changes=(False, False, False),
        percent=0.5,
        request=ADA,
    ):
        good_set = (list(files), product, checkpoint, is_taught)
        return self.call("start", left_out, *good_set, budget, minutes, *changes, percent, request=request)

    def workspace(self, request=ADA):
        return self.desk.workspace(request)

    @property
    def trainings(self):
        return self.desk.trainings


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The page over an empty desk; building it takes longest."""
    page = Page(desk_in(tmp_path_factory.mktemp("built"), catalog=Versions(Version("base"))))
    page.desk.close()
    return page


@pytest.fixture
def new_page(built, tmp_path):
    """Makes the page work over a desk of the test's own."""
    desks = []

    def new(**how):
        desks.append(desk_in(tmp_path, catalog=Versions(Version("base"), Version("other")), **how))
        vars(built.desk).update(vars(desks[-1]), trainings=Trainings())
        return built

    yield new
    for desk in desks:
        desk.close()


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def examined(monkeypatch):
    """Names of the photos the check was shown; what it says can be set as `report`."""
    seen = SimpleNamespace(names=[], report=good_set(odd=odd("part 001.png")))

    def examine(predictor, pictures, *, progress):
        progress("Reading the photos", 0, len(pictures))
        seen.names += [picture.name for picture in pictures]
        return seen.report

    monkeypatch.setattr(good_set_look, "examine_good_set", examine)
    monkeypatch.setattr(good_set_look, "estimate", lambda predictor, pictures: ESTIMATE)
    return seen


def six(upload):
    return [upload(name, content) for name, content in parts(6).items()]


def zipped(contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def taught(page, name="taught.png"):
    """A part of the product cookie that a person taught as good."""
    inspected(page.workspace(), {name: part(0.6, 9)})
    labels.decide(
        page.workspace(),
        image_ids(page.workspace())[name],
        Label(finding=Finding.GOOD),
        reviewer="mira",
        is_taught=True,
    )
    (member,) = collecting.members(page.workspace(), Collection.TEACH)
    return member.product


def test_an_empty_page_says_what_to_do_and_offers_no_training(page):
    shown = page.call("open_page", None, "base")
    assert "No training yet" in shown["status"]
    assert shown["job_row"]["visible"] is False
    assert not any(shown[name]["interactive"] for name in BUTTONS)
    assert shown["timer"].active is False
    assert shown["checkpoint"]["choices"] == ["base", "other"]


def test_opening_the_page_takes_nothing_back_that_was_typed_or_chosen_meanwhile(page):
    shown = page.call("open_page", None, "other")
    assert "value" not in shown["product"]
    assert "value" not in shown["checkpoint"]


def test_a_checkpoint_that_is_gone_gives_way_to_the_first(page):
    assert page.call("open_page", None, "gone")["checkpoint"]["value"] == "base"


def test_photos_are_looked_at_with_progress_and_start_becomes_possible(page, upload, examined):
    first, progress, _, last = page.look(*six(upload))
    assert first["files"]["interactive"] is False
    assert "Reading the photos" in progress["preflight"]
    assert "part 001.png" in last["preflight"]
    assert last["preflight"].count("data:image/jpeg") == 1
    assert last["start"]["interactive"]
    assert last["files"]["interactive"]
    assert examined.names == list(parts(6))


def test_a_set_that_cannot_be_trained_on_leaves_start_shut(page, upload, examined):
    examined.report = good_set(count=3, usable=3)
    *_, last = page.look(*six(upload)[:3])
    assert "3 photos can be used" in last["preflight"]
    assert last["start"]["interactive"] is False
    measured = page.call("measure", last["can_train"], [], "cookie", "base", False, STANDARD, 10, *PLAIN)
    assert measured == {"pace": None}  # Gradio takes an empty dict for one value


def test_zips_and_parts_taught_as_good_are_looked_at_too(page, upload, examined):
    product = taught(page)
    page.look(
        upload("set.zip", zipped({"x/a.png": part(), "x/b.png": part(0.1, 1)})),
        product=product,
        is_taught=True,
    )
    assert examined.names == ["x/a.png", "x/b.png", "taught/taught.png"]


def test_defects_in_a_zip_are_neither_looked_at_nor_learned_and_the_page_says_so(page, upload, examined):
    good = {f"set/train/good/{name}": content for name, content in parts(6).items()}
    sent = upload("set.zip", zipped({**good, "set/test/bent/bad.png": part(), "set/test/good/x.png": part()}))
    *_, last = page.look(sent)
    assert examined.names == list(good)
    assert "2 pictures in folders of defects or tests were left aside" in last["preflight"]
    page.start(sent)
    assert page.trainings.photos[0].keys() == parts(6).keys()


@pytest.mark.parametrize(
    ("files", "words"), [([], "Choose photos of good parts"), ([("a.zip", b"no zip")], "no zip file")]
)
def test_what_cannot_be_looked_at_is_explained_and_the_page_is_free_again(page, upload, files, words):
    told = page.look(*[upload(*file) for file in files])[-1]
    assert words in told["notice"]
    assert 'role="alert"' in told["notice"]
    assert told["look"]["interactive"]
    assert told["start"]["interactive"] is False


def test_a_path_that_was_never_uploaded_is_refused(page, upload, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    secret.write_bytes(part())
    upload("a.png", part())
    foreign = {"path": str(secret), "orig_name": "a.png"}
    assert "no uploaded file" in page.look(foreign)[-1]["notice"]
    assert "no uploaded file" in page.start(foreign)["notice"]
    assert page.trainings.specs == []


def test_a_bug_in_the_check_frees_the_page_and_tells_no_details(page, upload, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr(good_set_look, "examine_good_set", broken)
    steps = page.handler("look")(six(upload), "cookie", "base", False, ADA)
    told = []
    with pytest.raises(gr.Error) as caught:
        told.extend(page.named(step) for step in steps)
    assert told[-1]["look"]["interactive"]
    assert "secret" not in str(caught.value)


def test_the_measured_pace_is_kept_and_follows_the_budget(page, upload, examined):
    found = page.call("measure", True, six(upload), "cookie", "base", False, STANDARD, 10, *PLAIN)
    assert "in 10 min" in found["estimate"]
    assert (
        "in 30 min" in page.named(page.handler("budget_chosen")(LONG, 10, *PLAIN, found["pace"]))["estimate"]
    )
    own = page.named(page.handler("budget_chosen")(OWN, 2, *PLAIN, found["pace"]))
    assert "in 2 min" in own["estimate"]
    assert own["minutes"]["visible"]


def test_the_estimate_counts_the_pictures_that_are_made_of_each_photo(page, upload, examined):
    plain = page.call("measure", True, six(upload), "cookie", "base", False, STANDARD, 10, *PLAIN)
    varied = page.call("measure", True, six(upload), "cookie", "base", False, STANDARD, 10, True, True, True)
    assert "after 8 s of reading" in plain["estimate"]  # 6 s + 6 photos of 0.4 s
    assert "after 21 s of reading" in varied["estimate"]  # and 4.5 of them seven times more
    chosen = page.named(page.handler("budget_chosen")(STANDARD, 10, True, True, True, plain["pace"]))
    assert chosen["estimate"] == varied["estimate"]


@pytest.mark.parametrize("box", ["flip", "rotate", "brightness"])
def test_ticking_a_variation_renews_the_estimate(page, box):
    (event,) = [fn for fn in page.blocks.fns.values() if fn.name == "budget_chosen"]
    assert (getattr(page.parts, box)._id, "input") in event.targets


def test_a_trial_run_that_fails_says_so_and_starting_stays_possible(page, upload, examined, monkeypatch):
    def failing(predictor, pictures):
        raise InputError("Not enough memory.")

    monkeypatch.setattr(good_set_look, "estimate", failing)
    told = page.call("measure", True, six(upload), "cookie", "base", False, STANDARD, 10, *PLAIN)
    assert list(told) == ["estimate"]
    assert "Not enough memory." in told["estimate"]


def test_changed_photos_need_another_look(page):
    told = page.named(page.handler("forget_look")())
    assert told["preflight"] == ""
    assert told["start"]["interactive"] is False


def test_another_product_needs_another_look_where_its_taught_parts_are_used(page):
    told = page.named(page.handler("rename")(True))
    assert (told["preflight"], told["can_train"], told["start"]["interactive"]) == ("", False, False)
    assert "start" not in page.named(page.handler("rename")(False))


def test_the_product_cannot_be_changed_while_its_photos_are_looked_at(page, upload, examined):
    first, *_, last = page.look(*six(upload))
    assert (first["product"]["interactive"], last["product"]["interactive"]) == (False, True)


def test_a_training_starts_with_what_was_chosen_and_without_what_was_left_out(page, upload):
    shown = page.start(
        *six(upload), left_out=["part 002.png"], product="  Cookie 7 ", changes=(True, False, True), percent=2
    )
    (spec,), (photos,) = page.trainings.specs, page.trainings.photos
    assert (spec.checkpoint, spec.finetune.category, spec.finetune.minutes) == ("base", "Cookie 7", 10)
    assert spec.finetune.augmentations == ("flip", "brightness")
    assert (spec.finetune.reject_rate, spec.finetune.check_rate) == (0.02, 0.05)
    assert photos.keys() == parts(6).keys() - {"part 002.png"}
    assert shown["training"]["value"] == page.trainings.trainings(page.workspace())[0].id
    assert "Cookie 7, 5 photos" in shown["status"]
    assert shown["start"]["interactive"] is False
    assert shown["timer"].active


def test_photos_of_zips_and_of_the_store_reach_the_training_under_harmless_names(page, upload):
    product = taught(page, "../../bad: one.png")
    archive = zipped({f"x/../{'ä' * 200}{n}.png": part(0.1, n) for n in range(5)})
    page.start(upload("set.zip", archive), product=product, is_taught=True)
    (photos,) = page.trainings.photos
    assert len(photos) == 6
    assert all("/" not in name and ":" not in name for name in photos)
    assert part(0.6, 9) in photos.values()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"product": " "}, "Name the product"),
        ({"product": "x" * 101}, "at most 100 characters"),
        ({"checkpoint": None}, "Choose the checkpoint"),
        ({"budget": OWN, "minutes": -1}, "minutes above 0"),
        ({"budget": OWN, "minutes": None}, "either minutes or steps"),
        ({"percent": 0}, "above 0 and below 1"),
        ({"percent": "many"}, "share of"),
    ],
    ids=["no name", "long name", "no checkpoint", "minutes", "no minutes", "rate", "no number"],
)
def test_a_training_that_cannot_be_is_refused_with_what_to_fill_in(page, upload, how, words):
    told = page.start(*six(upload), **how)
    assert list(told) == ["notice"]
    assert words in told["notice"]
    assert page.trainings.specs == []


def started(page, upload, **changes):
    page.start(*six(upload))
    (job,) = page.trainings.trainings(page.workspace())
    if changes:
        page.trainings.statuses[job.id] = at_step(100, **changes)
    return job.id


def test_reloading_the_page_shows_the_newest_training_and_goes_on_following_it(page, upload):
    job_id = started(page, upload, can_finish=False)
    shown = page.call("open_page", None, None)
    assert shown["training"]["value"] == job_id
    assert "step 100 of 400" in shown["status"]
    assert shown["timer"].active
    assert shown["curves"]["visible"]
    assert [name for name in BUTTONS if shown[name]["interactive"]] == ["stop"]


def test_curves_are_sent_only_when_they_changed(page, upload):
    job_id = started(page, upload, can_finish=False)
    first = page.call("tick", job_id, "")
    again = page.call("tick", job_id, first["drawn"])
    assert "curves" in first
    assert "step 100 of 400" in again["status"]
    assert "curves" not in again
    assert "training" not in again


def test_a_stopped_training_can_be_resumed_finished_or_deleted(page, upload):
    job_id = started(page, upload, can_finish=True)
    shown = page.call("stop", job_id)
    assert page.trainings.asked == ["stop"]
    assert [name for name in BUTTONS if shown[name]["interactive"]] == ["resume", "finish", "delete"]
    assert shown["timer"].active is False
    assert page.call("resume", job_id)["timer"].active
    page.call("finish", job_id)
    assert page.trainings.asked == ["stop", "resume", "finish"]
    assert "No training yet" in page.call("delete", job_id)["status"]


def test_a_finished_version_is_reported_and_chosen_for_promotion(page, upload):
    job_id = started(page, upload, version="cookie-1", report=report_of())
    jobs.set_state(page.workspace(), job_id, JobState.DONE)
    shown = page.call("tick", job_id, "")
    assert "<dd>cookie-1</dd>" in shown["result"]
    assert shown["Version"]["value"] == "cookie-1"
    assert shown["Product it judges"]["value"] == "cookie"
    assert page.call("choose", job_id)["Version"]["value"] == "cookie-1"


def test_preview_maps_are_shown_with_the_names_of_their_photos(page, upload, tmp_path):
    (tmp_path / "0.jpg").write_bytes(b"jpeg")
    previews = {"previews": [tmp_path / "0.jpg", tmp_path / "1.jpg"], "preview_names": ["a<b>.png", "b.png"]}
    shown = page.call("tick", started(page, upload, **previews), "")
    assert shown["previews"].count("data:image/jpeg") == 1  # the other one is just being replaced
    assert "a&lt;b&gt;.png" in shown["previews"]


def test_the_log_is_read_when_it_is_opened(page, upload):
    job_id = started(page, upload)
    page.trainings.log = "Epoch <1>"
    assert "Epoch &lt;1&gt;" in page.call("read_log", job_id)["log"]
    assert "Nothing written" in page.call("read_log", None)["log"]


@pytest.mark.parametrize("name", BUTTONS)
def test_without_a_training_every_button_says_so(page, name):
    assert "Choose a training first" in page.call(name, None)["notice"]


def test_the_timer_rests_where_there_is_no_training(page):
    assert page.call("tick", None, "")["timer"].active is False


def test_a_training_that_was_deleted_in_another_tab_gives_way_to_what_there_is(page, upload):
    job_id = started(page, upload, can_finish=False)
    left = page.call("tick", "0" * 32, "")
    assert left["training"]["value"] == job_id
    assert left["timer"].active
    page.trainings.discard(page.workspace(), job_id, actor="somebody")
    shown = page.call("tick", job_id, "")
    assert shown["timer"].active is False
    assert shown["job_row"]["visible"] is False
    assert "No training yet" in shown["status"]


@pytest.mark.parametrize("name", ["look", "rename", "tick"])
def test_every_component_that_changes_is_an_output_of_its_event(page, upload, examined, name):
    (event,) = [fn for fn in page.blocks.fns.values() if fn.name == name]
    files = [six(upload), "cookie", "base", False]
    steps = {
        "look": lambda: event.fn(*files, ADA),
        "rename": lambda: [event.fn(True)],
        "tick": lambda: [event.fn("0" * 32, "", ADA)],
    }[name]()
    changed = {id(component) for step in steps for component in step}
    assert changed <= {id(component) for component in event.outputs}


def test_every_event_is_private(page):
    assert {fn.api_visibility for fn in page.blocks.fns.values()} == {"private"}


class TestOnASpace:
    """Where strangers share a server."""

    @pytest.fixture
    def space(self, new_page):
        return new_page(is_private=True)

    def test_nothing_is_looked_at_measured_or_started_there(self, space, upload):
        files = six(upload)
        assert "switched off here" in space.look(*files)[-1]["notice"]
        assert "switched off here" in space.start(*files)["notice"]
        measured = space.call("measure", True, files, "cookie", "base", False, STANDARD, 10, *PLAIN)
        assert "switched off here" in measured["estimate"]
        assert space.trainings.specs == []

    def test_nobody_sees_or_touches_the_training_of_another_visit(self, space, upload):
        spec = {"finetune": {"category": "cookie"}}
        job_id = jobs.create_job(space.workspace(ADA), kind="finetune", name="x", spec=spec, actor="ada")
        assert "No training yet" in space.call("open_page", job_id, None, request=EVE)["status"]
        for name in BUTTONS:
            assert "no longer here" in space.call(name, job_id, request=EVE)["notice"]
        assert "No training yet" in space.call("tick", job_id, "", request=EVE)["status"]
        for name, arguments in (("choose", (job_id,)), ("read_log", (job_id,))):
            with pytest.raises(gr.Error, match="no longer here"):
                space.call(name, *arguments, request=EVE)
        assert jobs.job(space.workspace(ADA), job_id).state is JobState.WAITING

    def test_the_page_says_so_in_place_of_the_form(self, tmp_path):
        desk = desk_in(tmp_path, catalog=Versions(Version("base")), is_private=True)
        page = Page(desk)
        desk.close()
        assert any(
            "switched off here" in str(getattr(block, "value", "")) for block in page.blocks.blocks.values()
        )
        assert page.parts.start.parent.visible is False


class TestOnZeroGpu:
    """Where a GPU is lent call by call, and all who come are of one team."""

    @pytest.fixture
    def space(self, new_page):
        return new_page(on_zero_gpu=True)

    def test_nothing_is_looked_at_measured_or_started_there(self, space, upload):
        files = six(upload)
        assert "borrows a GPU" in space.look(*files)[-1]["notice"]
        assert "borrows a GPU" in space.start(*files)["notice"]
        measured = space.call("measure", True, files, "cookie", "base", False, STANDARD, 10, *PLAIN)
        assert "borrows a GPU" in measured["estimate"]
        assert space.trainings.specs == []

    @pytest.mark.parametrize("button", ["resume", "finish"])
    def test_a_training_from_before_does_not_go_on_there(self, space, button):
        spec = {"finetune": {"category": "cookie"}}
        job_id = jobs.create_job(space.workspace(), kind="finetune", name="x", spec=spec, actor="ada")
        jobs.set_state(space.workspace(), job_id, JobState.INTERRUPTED)
        assert "borrows a GPU" in space.call(button, job_id)["notice"]
        assert space.trainings.asked == []

    def test_the_page_says_so_in_place_of_the_form(self, tmp_path):
        desk = desk_in(tmp_path, catalog=Versions(Version("base")), on_zero_gpu=True)
        page = Page(desk)
        desk.close()
        shown = [str(getattr(block, "value", "")) for block in page.blocks.blocks.values()]
        assert any("borrows a GPU" in text for text in shown)
        assert page.parts.start.parent.visible is False
