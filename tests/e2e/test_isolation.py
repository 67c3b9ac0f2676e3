"""Two visitors of one server, and what the second cannot do with all that he knows of the first."""

import hashlib
import re
import uuid
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.e2e.visitors import Answer, Visitor, as_file, picture

VIEW = ("", "", "doubt", "grid")
"""What the Batch page's controls say: verdict, search, order, view."""


class Owner(Visitor):
    """A browser whose visitor inspected a picture, downloaded a result and ran a batch."""

    def __init__(self, url):
        super().__init__(url)
        self.content = picture()
        self.photo = self.upload(self.content)
        assert self.ask("inspect_photo", self.photo, "mambaad", "", None, None).is_granted
        self.download = self.ask("partial", None, None).data[0]
        _, (_, self.result) = self.ask("inspect", self.photo, "", "").data
        batch = self.ask("batch", [self.upload(self.content)], "", "", "mine", "")
        self.job, self.sha256 = batch.data[0]["batch"], hashlib.sha256(self.content).hexdigest()
        (row,) = self.ask("batch", [], "", "", "", self.job).data[0]["rows"]
        assert row["sha256"] == self.sha256
        assert self.ask("label", self.sha256, "defect", "mira", "scratch", "", "", None).is_granted
        grid = self.ask("open_page_1", self.job, "grid").text
        self.inspection = int(re.search(r'data-inspection=\\?"(\d+)', grid)[1])

    def waiting_session(self):
        """A new session whose answer nobody has read yet."""
        session = uuid.uuid4().hex
        assert self.join("draw_shelf", session=session).status_code == 200
        return session

    def waiting_event(self):
        """The id of an event whose answer nobody has read yet."""
        body = {"data": [self.photo, "", ""]}
        return self.http.post("/gradio_api/call/inspect", json=body).json()["event_id"]


@pytest.fixture(scope="module")
def own_machine(app_url):
    return app_url


@pytest.fixture(scope="module")
def owner_on(request):
    """The visitor on each of the two servers whose things the others are after."""
    owners = {}

    def on(place):
        if place not in owners:
            owners[place] = Owner(request.getfixturevalue(place))
        return owners[place]

    yield on
    for owner in owners.values():
        owner.http.close()


@pytest.fixture
def stranger_on(request):
    """A visitor who came by another browser, or a program."""

    strangers = []

    def on(place, who):
        strangers.append(Visitor(request.getfixturevalue(place), is_browser=who == "another browser"))
        return strangers[-1]

    yield on
    for stranger in strangers:
        stranger.http.close()


USES = {
    "read the stream of a session": lambda who, owner: who.read(
        f"/gradio_api/queue/data?session_hash={owner.waiting_session()}"
    ),
    "keep a session alive": lambda who, owner: who.begins_to_read(
        f"/gradio_api/heartbeat/{owner.waiting_session()}"
    ),
    "ask in a session": lambda who, owner: who.ask("draw_shelf", session=owner.waiting_session()),
    "cancel what a session waits for": lambda who, owner: who.post(
        "/gradio_api/cancel", {"session_hash": owner.waiting_session(), "fn_index": 0, "event_id": "x"}
    ),
    "cancel an event": lambda who, owner: who.post(
        "/gradio_api/cancel",
        {"session_hash": who.session, "fn_index": 0, "event_id": owner.waiting_event()},
    ),
    "read the answer to an event": lambda who, owner: who.read(
        f"/gradio_api/call/inspect/{owner.waiting_event()}"
    ),
    "read an event as if it were a session": lambda who, owner: who.read(
        f"/gradio_api/queue/data?session_hash={owner.waiting_event()}"
    ),
    "read an event by asking in its session first": lambda who, owner: who.post(
        "/gradio_api/call/inspect", {"data": [None, "", ""], "session_hash": owner.waiting_session()}
    ),
    "go around the queue in a session": lambda who, owner: who.post(
        "/gradio_api/run/offer", {"data": [], "session_hash": owner.session}
    ),
    "inspect an upload": lambda who, owner: who.ask("inspect", owner.photo, "", ""),
    "inspect an upload on the page": lambda who, owner: who.ask(
        "inspect_photo", owner.photo, "mambaad", "", None, None
    ),
    "compare an upload": lambda who, owner: who.ask("compare", owner.photo, "mambaad", ""),
    "put an upload into a batch": lambda who, owner: who.ask("batch", [owner.photo], "", "", "", ""),
    "see an upload": lambda who, owner: who.get(f"/gradio_api/file={owner.photo['path']}"),
    "see an upload by another spelling of its path": lambda who, owner: who.get(
        "/gradio_api/file={}/x/../{}".format(*owner.photo["path"].rsplit("/", 1))
    ),
    "fetch a result": lambda who, owner: who.get(f"/gradio_api/file={owner.result['path']}"),
    "fetch a download": lambda who, owner: who.get(f"/gradio_api/file={owner.download['path']}"),
    "inspect a result": lambda who, owner: who.ask("inspect", as_file(owner.result["path"]), "", ""),
    "download what a session shows": lambda who, owner: who.ask("partial", None, None, session=owner.session),
}
"""What the owner can do, and nobody else with the same names."""

STORED_USES = {
    "look at a batch": lambda who, owner: who.ask("batch", [], "", "", "", owner.job),
    "look at a picture of a batch": lambda who, owner: who.ask(
        "choose", owner.job, *VIEW, event={"inspection": owner.inspection}
    ),
    "download a batch": lambda who, owner: who.ask("prepare_pack", owner.job),
    "print a batch": lambda who, owner: who.ask("prepare_report", owner.job),
    "label a picture": lambda who, owner: who.ask("label", owner.sha256, "good", "jo", "", "", "", None),
    "label a picture with a foreign session": lambda who, owner: who.ask(
        "label", owner.sha256, "good", "jo", "", "", "", None, session=owner.session
    ),
}
"""The same of stored work, which strangers share nothing of on a Space."""

LISTINGS = {
    "list batches": lambda who, owner: who.ask("open_page_1", None, "grid"),
    "open a batch by its id": lambda who, owner: who.ask("open_page_1", owner.job, "grid"),
    "follow a batch": lambda who, owner: who.ask("tick", owner.job, *VIEW, 0),
    "search a batch": lambda who, owner: who.ask("list_again", owner.job, *VIEW),
    "review parts": lambda who, owner: who.ask(
        "start_1", "jo", "each part once", "", "", "", "any", "", "", "", "doubt"
    ),
    "list labels": lambda who, owner: who.ask("labels", ""),
    "show the figures of labels": lambda who, owner: who.ask("metrics", "", ""),
    "read who did what": lambda who, owner: who.ask("read_history"),
}
"""Questions that anybody on a Space may ask, about their own work."""

BREAK_INS = {
    "guess the folder of an upload by its content": lambda who, owner: who.get(
        f"/gradio_api/file={Path(owner.photo['path']).parent.parent}"
        f"/{hashlib.sha256(owner.content).hexdigest()}/part.png"
    ),
    "climb out of the upload folder": lambda who, owner: who.get(
        f"/gradio_api/file={Path(owner.photo['path']).parent}/../../app.log"
    ),
    "climb out of it, encoded": lambda who, owner: who.get(
        f"/gradio_api/file={Path(owner.photo['path']).parent}/%2e%2e/%2e%2e/app.log"
    ),
    "name a file of the machine": lambda who, owner: who.get("/gradio_api/file=/etc/passwd"),
    "name a file of the program": lambda who, owner: who.get("/gradio_api/file=app.py"),
    "name a path that cannot be": lambda who, owner: who.get("/gradio_api/file=/etc/%00passwd"),
    "inspect a file of the machine": lambda who, owner: who.ask("inspect", as_file("/etc/passwd"), "", ""),
    "inspect a file outside the upload folder": lambda who, owner: who.ask(
        "inspect", as_file(f"{owner.photo['path']}/../../../app.log"), "", ""
    ),
    "download what another session shows": lambda who, owner: who.ask(
        "partial", {"source": owner.photo}, [owner.photo["path"]]
    ),
    "hand an upload over as what the page shows": lambda who, owner: who.ask(
        "inspect_again", "mambaad", "", {"source": {"path": owner.photo["path"]}}
    ),
    "send a body that only Gradio reads": lambda who, owner: Answer(
        who.http.post(
            "/gradio_api/queue/join",
            content=b'{"data": [], "fn_index": 0, "session_hash": "' + owner.session.encode() + b'"',
        ).is_success,
        "",
    ),
    "reach a function of a component": lambda who, owner: who.post(
        "/gradio_api/component_server",
        {"data": [], "component_id": 1, "fn_name": "x", "session_hash": owner.session},
    ),
    "end a stream": lambda who, owner: who.post(f"/gradio_api/stream/{owner.waiting_event()}/close", {}),
}
"""What nobody can do."""

everywhere = pytest.mark.parametrize("place", ["own_machine", "space"])
by_whom = pytest.mark.parametrize("who", ["another browser", "a program"])


def reveals(answer, owner):
    """Whether an answer holds what only the owner's things can say."""
    told = (owner.photo["path"], owner.result["path"], owner.job, owner.sha256, "scratch", "root:")
    return any(secret in answer.text for secret in told)


@everywhere
@by_whom
@pytest.mark.parametrize("use", USES)
def test_a_stranger_who_knows_all_names_cannot(place, who, use, owner_on, stranger_on):
    owner, stranger = owner_on(place), stranger_on(place, who)

    answer = USES[use](stranger, owner)

    assert not answer.is_granted
    assert not reveals(answer, owner)
    if who == "a program":  # once is enough
        assert USES[use](owner, owner).is_granted


@by_whom
@pytest.mark.parametrize("use", STORED_USES)
def test_a_stranger_on_a_space_cannot(who, use, owner_on, stranger_on):
    owner, stranger = owner_on("space"), stranger_on("space", who)

    answer = STORED_USES[use](stranger, owner)

    assert not answer.is_granted
    assert not reveals(answer, owner)
    if who == "a program":
        assert STORED_USES[use](owner, owner).is_granted


@by_whom
@pytest.mark.parametrize("question", LISTINGS)
def test_of_others_a_stranger_on_a_space_learns_nothing_when_asking_to(who, question, owner_on, stranger_on):
    owner, stranger = owner_on("space"), stranger_on("space", who)

    answer = LISTINGS[question](stranger, owner)

    assert not reveals(answer, owner)
    assert LISTINGS[question](owner, owner).is_granted


@everywhere
@by_whom
@pytest.mark.parametrize("way", BREAK_INS)
def test_nobody_can(place, who, way, owner_on, stranger_on):
    owner = owner_on(place)

    answer = BREAK_INS[way](stranger_on(place, who), owner)

    assert not answer.is_granted
    assert not reveals(answer, owner)


@everywhere
def test_a_link_among_the_uploads_leads_nowhere_else(place, owner_on, stranger_on, tmp_path):
    owner = owner_on(place)
    stranger = stranger_on(place, "another browser")
    (tmp_path / "secret.png").write_bytes(picture())
    mine = Path(stranger.upload(picture(1))["path"]).parent
    for name, target in (("out.png", tmp_path / "secret.png"), ("in.png", owner.photo["path"])):
        (mine / name).symlink_to(target)

        assert not stranger.get(f"/gradio_api/file={mine / name}").is_granted
        assert not stranger.ask("inspect", as_file(str(mine / name)), "", "").is_granted


@everywhere
def test_colleagues_share_batches_and_strangers_do_not(place, owner_on, stranger_on):
    owner = owner_on(place)

    answer = stranger_on(place, "another browser").ask("batch", [], "", "", "", owner.job)

    assert answer.is_granted is (place == "own_machine")


@everywhere
def test_deleting_ones_files_leaves_the_same_picture_of_another_visitor(place, owner_on, stranger_on):
    owner, stranger = owner_on(place), stranger_on(place, "another browser")
    theirs = stranger.upload(owner.content)
    assert stranger.ask("inspect_photo", theirs, "mambaad", "", None, None).is_granted
    (download, _) = stranger.ask("partial", None, None).data

    assert stranger.ask("delete_files", [owner.photo["path"]]).is_granted

    assert not stranger.get(f"/gradio_api/file={theirs['path']}").is_granted
    assert not stranger.get(f"/gradio_api/file={download['path']}").is_granted
    assert owner.get(f"/gradio_api/file={owner.photo['path']}").is_granted
    assert owner.get(f"/gradio_api/file={owner.download['path']}").is_granted


def test_a_reloaded_page_on_a_space_still_has_its_batches(owner_on):
    owner = owner_on("space")

    assert owner.job in owner.ask("open_page_1", None, "grid", session="reloaded" * 4).text


def test_a_stranger_cannot_delete_a_batch_and_its_owner_can(space, stranger_on, request):
    owner = Owner(space)
    request.addfinalizer(owner.http.close)
    for who in ("another browser", "a program"):
        for session in (None, owner.session):
            answer = stranger_on("space", who).ask("delete", owner.job, "grid", session=session)
            assert not answer.is_granted
            assert not stranger_on("space", who).ask("stop", owner.job, session=session).is_granted
    assert owner.ask("batch", [], "", "", "", owner.job).is_granted

    assert owner.ask("delete", owner.job, "grid").is_granted

    assert not owner.ask("batch", [], "", "", "", owner.job).is_granted


def test_forgetting_a_visit_leaves_what_others_stored(space, owner_on, stranger_on):
    for who in ("another browser", "a program"):
        assert stranger_on("space", who).ask("forget_stored").is_granted
    owner = owner_on("space")

    assert owner.ask("batch", [], "", "", "", owner.job).is_granted


@everywhere
def test_deleting_my_files_deletes_those_of_all_tabs_of_this_browser_and_no_others(
    place, owner_on, stranger_on
):
    owner, program = owner_on(place), stranger_on(place, "a program")
    visitor, tab = stranger_on(place, "another browser"), uuid.uuid4().hex
    photo, unused, of_program = (one.upload(picture(4)) for one in (visitor, visitor, program))
    assert visitor.ask("inspect_photo", photo, "mambaad", "", None, None, session=tab).is_granted
    result = visitor.ask("partial", None, None, session=tab).data[0]

    assert visitor.ask("delete_files", None).is_granted

    def is_there(who, file):
        return who.get(f"/gradio_api/file={file['path']}").is_granted

    assert [is_there(visitor, file) for file in (photo, unused, result)] == [False] * 3
    assert [is_there(program, of_program), is_there(owner, owner.photo)] == [True, True]


@everywhere
def test_a_browser_that_keeps_no_cookie_can_inspect_and_download(place, stranger_on):
    visitor = stranger_on(place, "a program")
    assert visitor.ask("inspect_photo", visitor.upload(picture(2)), "mambaad", "", None, None).is_granted
    (download, _) = visitor.ask("partial", None, None).data

    assert visitor.get(f"/gradio_api/file={download['path']}").is_granted


def test_gradio_client_works_on_a_space(space, tmp_path):
    path = tmp_path / "part.png"
    path.write_bytes(picture(3))
    client = Client(space, verbose=False, analytics_enabled=False, download_files=tmp_path / "answers")
    _, pictures = client.predict(handle_file(str(path)), "", "", api_name="/inspect")
    batch, _ = client.predict([handle_file(str(path))], "", "", "", "", api_name="/batch")
    again, pack = client.predict([], "", "", "", batch["batch"], api_name="/batch")
    client.close()

    assert [Path(one).name for one in pictures] == ["preview.jpg", "heat.png"]
    assert again["batch"] == batch["batch"]
    assert Path(pack).stat().st_size > 0
