"""The card that publishes, against a Hub on this machine; its handlers are called as functions."""

import time
from types import SimpleNamespace

import gradio as gr
import gradio.oauth
import pytest

from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.ui.publish_card import build_publish_card
from mambaad_demo.ui.sign_in import SERVER, SignIn
from tests.hub.client import REPO, SENDS_OLD_STYLE, TOKEN, hub, pauses
from tests.storage.parts import PRODUCT
from tests.ui.allowances import few_pictures
from tests.workflow.studies.conftest import line

__all__ = ["hub", "line", "pauses"]

pytestmark = SENDS_OLD_STYLE
OPEN_SPACE = SignIn(on_space=True, is_shared=False, is_offered=True)
OF_THE_SPACE = "hf_TheTokenOfTheSpace"
OF_SERVER = SimpleNamespace(session_hash="one", request=None)


def visitor(token=TOKEN, *, expires_at=None):
    """A request of somebody who signed in on a Space."""
    granted = {"access_token": token, "expires_at": expires_at or time.time() + 60}
    scope = {"session": {"oauth_info": granted} if token else {}}
    return SimpleNamespace(session_hash="one", request=SimpleNamespace(scope=scope))


class Card:
    """The card in a Blocks of its own."""

    def __init__(self, workspace, folder, sign_in):
        self.folder = folder
        desk = SimpleNamespace(
            workspace=lambda request: workspace,
            catalog=Catalog(folder, device="cpu", kernel="torch"),
        )
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Health") as tab:
            self.parts = build_publish_card(desk, tab=tab, sign_in=sign_in)

    def call(self, name, *arguments):
        return next(fn for fn in self.blocks.fns.values() if fn.name == name).fn(*arguments)

    def show(self, *, what="checkpoint", product="", repo=REPO, public=False, request=OF_SERVER):
        return self.call("show_plan", what, "tiny", product, repo, public, request)

    def send(self, agreed, *, what="checkpoint", repo=REPO, public=False, request=OF_SERVER):
        return self.call("send_plan", what, "tiny", "", repo, public, agreed, request)

    def words(self, updates):
        return updates[self.parts.result]


@pytest.fixture
def new_card(line, tiny_checkpoint):
    def new(sign_in=SERVER):
        return Card(line.workspace, tiny_checkpoint.parent, sign_in)

    return new


def sent(hub):
    """What the Hub holds, by kind and repository."""
    return {key: set(repo.commits[repo.head]) for key, repo in hub.repos.items() if repo.head in repo.commits}


def test_what_would_be_sent_is_shown_and_nothing_leaves(new_card, hub):
    card = new_card()

    updates = card.show()

    assert "model.safetensors" in card.words(updates)
    assert "which only its owner sees" in card.words(updates)
    assert "two of its good photos" in card.words(updates)
    assert updates[card.parts.send]["interactive"]
    assert hub.requests == []


def test_what_was_shown_is_sent_with_the_token_of_the_server(new_card, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    card = new_card()

    updates = card.send(card.show()[card.parts.agreed])

    assert "<strong>Sent.</strong>" in card.words(updates)
    assert {"config.json", "model.safetensors", "README.md"} <= sent(hub)["model", REPO]
    assert TOKEN not in card.words(updates)
    assert not updates[card.parts.send]["interactive"]


@pytest.mark.parametrize("change", [{"repo": "mira/others"}, {"public": True}])
def test_what_differs_from_what_was_shown_is_shown_again_and_not_sent(new_card, hub, change):
    card = new_card()
    agreed = card.show()[card.parts.agreed]

    updates = card.send(agreed, **change)

    assert "This has changed" in card.words(updates)
    assert updates[card.parts.agreed] not in ("", agreed)
    assert hub.requests == []


def test_a_visitor_of_a_space_sends_with_their_own_token_alone(new_card, hub, monkeypatch):
    for name, value in {"SYSTEM": "spaces", "SPACE_ID": "mira/inspector", "HF_TOKEN": OF_THE_SPACE}.items():
        monkeypatch.setenv(name, value)
    for name in ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL"):
        monkeypatch.setattr(gradio.oauth, name, "given by the Space")
    card = new_card(OPEN_SPACE)
    agreed = card.show()[card.parts.agreed]

    nobody = card.send(agreed, request=visitor(""))
    late = card.send(agreed, request=visitor(expires_at=time.time() - 1))
    assert "Sign in" in card.words(nobody)
    assert "Sign in" in card.words(late)
    assert hub.requests == []

    card.send(agreed, request=visitor())
    assert ("model", REPO) in sent(hub)
    assert OF_THE_SPACE not in str(hub.requests)


def test_a_space_without_sign_in_offers_nothing(new_card):
    card = new_card(SignIn(on_space=True, is_shared=False, is_offered=False))

    assert not card.parts.show.interactive
    assert not card.parts.send.interactive


@pytest.mark.parametrize("is_offered", [False, True])  # Gradio plays a sign-in with the token of the server
def test_strangers_on_a_machine_of_ones_own_send_nothing_in_the_name_of_its_operator(
    new_card, hub, monkeypatch, is_offered
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    of_operator = new_card()
    agreed = of_operator.show()[of_operator.parts.agreed]
    card = new_card(SignIn(on_space=False, is_shared=False, is_offered=is_offered))

    for updates in (card.show(), card.send(agreed), card.send(agreed, request=visitor())):
        assert "Publishing is off here" in card.words(updates)
        assert not updates[card.parts.send]["interactive"]
    assert hub.requests == []


def test_a_page_of_strangers_says_that_publishing_is_off(new_card):
    card = new_card(SignIn(on_space=False, is_shared=False, is_offered=True))

    words = " ".join(str(block.value) for block in card.blocks.blocks.values() if isinstance(block, gr.HTML))
    assert "Publishing is off here" in words
    assert "HF_TOKEN" not in words
    assert not any(isinstance(block, gr.LoginButton) for block in card.blocks.blocks.values())
    assert not card.parts.show.interactive


def test_the_button_to_sign_in_shows_no_file_that_the_server_gives_to_nobody(new_card, monkeypatch):
    icons = []
    monkeypatch.setattr(gr, "LoginButton", lambda *_, icon="the file of Gradio", **__: icons.append(icon))
    new_card(SignIn(on_space=True, is_shared=False, is_offered=True))

    assert icons == [None]


def test_elsewhere_nobody_is_asked_to_sign_in(new_card):
    card = new_card()

    assert not any(isinstance(block, gr.LoginButton) for block in card.blocks.blocks.values())
    assert card.parts.show.interactive


def test_labels_go_as_a_data_set_without_the_names_of_people(new_card, hub, line, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    line.add("good.png", Finding.GOOD, score=0.2)
    line.add("bad.png", Finding.DEFECT, score=0.9)
    card = new_card()

    shown = card.show(what="labels", product=PRODUCT)
    updates = card.send(card.show(what="labels")[card.parts.agreed], what="labels")

    assert "dataset repository" in card.words(shown)
    assert "<strong>Sent.</strong>" in card.words(updates)
    assert any(path.endswith(".png") for path in sent(hub)["dataset", REPO])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"repo": " "}, "Name the repository"),
        ({"repo": "<b>x"}, "owner/name"),
        ({"what": "labels"}, "Nothing is labeled yet"),
    ],
)
def test_what_cannot_be_sent_is_told_on_the_card(new_card, asked, words):
    card = new_card()

    updates = card.show(**asked)

    assert words in card.words(updates)
    assert "<b>x" not in card.words(updates)
    assert updates[card.parts.agreed] == ""


def test_another_kind_takes_back_what_was_agreed(new_card):
    card = new_card()

    updates = card.call("fields_of", "labels")

    assert updates[card.parts.product]["visible"]
    assert not updates[card.parts.checkpoint]["visible"]
    assert updates[card.parts.agreed] == ""


def test_opening_the_page_lists_products_and_checkpoints(new_card, line):
    line.add("good.png", Finding.GOOD, score=0.2)
    card = new_card()

    listed = card.call("list_choices", "gone", "", OF_SERVER)

    assert listed[card.parts.checkpoint]["value"] == "tiny"
    assert ("bottle cap", PRODUCT) in listed[card.parts.product]["choices"]


def test_a_stranger_who_had_many_pictures_judged_has_no_checkpoint_tested(new_card):
    card = new_card()
    with few_pictures(1):
        assert "count as 2 pictures" in card.words(card.show())
    with few_pictures(2):
        assert "model.safetensors" in card.words(card.show())
