"""What is sent to the Hub: exactly what was planned, to where and for whom it was planned, or nothing."""

import hashlib
import logging
import time
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.utils._runtime import is_xet_available

from benchmarks.hub_server import Hub
from mambaad_demo import Predictor
from mambaad_demo.errors import InputError, PublishingError
from mambaad_demo.hub import waits
from mambaad_demo.hub.checkpoints import load_checkpoint, load_folder
from mambaad_demo.hub.layout import EMBEDDED_ROOT, FILES
from mambaad_demo.hub.loading import Checkpoint
from mambaad_demo.hub.publishing import (
    PushPlan,
    card_plan,
    checkpoint_plan,
    folder_plan,
    push,
)
from tests.hub.client import REPO, SENDS_OLD_STYLE, TOKEN, chain, contents, forget_listings

pytestmark = SENDS_OLD_STYLE
LIMIT = 10
"""Seconds within which every failure has to be told, with pauses that are not slept."""


@pytest.fixture
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    """The tiny checkpoint, with a file in its folder that is none of ours."""
    (tiny_checkpoint / "notes of mira.txt").write_text("not for the world")
    return load_folder(tiny_checkpoint, device="cpu", kernel="torch")


@pytest.fixture
def writer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The Hub for somebody with a token."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def head(hub: Hub, kind: str = "model") -> dict[str, bytes]:
    """What the newest commit holds."""
    repo = hub.repos[kind, REPO]
    return repo.commits[repo.head]


def data_plan(folder: Path, **changes: object) -> PushPlan:
    options = {"kind": "dataset", "private": True, "message": "Labels", "others": "refuse"}
    return folder_plan(folder, "# Labels\n", REPO, **(options | changes))


# Plans


def test_a_plan_needs_no_network_and_says_what_would_be_sent(checkpoint, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    plan = checkpoint_plan(checkpoint, REPO)

    assert hub.requests == []
    assert (plan.repo, plan.kind, plan.private) == (REPO, "model", True)
    assert {file.path for file in plan.files} == set(FILES)
    for file in plan.files:
        sent = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        assert (file.size, file.sha256) == (len(sent), hashlib.sha256(sent).hexdigest())
    assert plan.size == sum(file.size for file in plan.files)


def test_the_card_tells_licence_limits_data_and_what_was_not_tested(checkpoint):
    card = checkpoint_plan(checkpoint, REPO).card

    assert card.startswith("---\nlicense: apache-2.0\n")
    for told in ("## Limits", "| plate |", "## Training", "## Not tested", checkpoint.sha256):
        assert told in card


@pytest.mark.parametrize("repo", ["parts", "a/b/c", "", "mira/parts ", "mira/..", "https://x/y", "mira/a--b"])
def test_what_names_no_repository_of_an_owner_is_refused_before_anything_is_read(repo):
    with pytest.raises(InputError, match="owner/name"):
        PushPlan(repo=repo, private=True, files=(), message="Parts")


def test_an_empty_message_is_refused(checkpoint):
    with pytest.raises(InputError, match="message"):
        checkpoint_plan(checkpoint, REPO, message=" ")


# Round trips


def test_an_embedded_checkpoint_comes_back_from_the_hub_byte_by_byte_and_computes_the_same(
    writer, monkeypatch
):
    folder = EMBEDDED_ROOT / "mambaad"
    here = load_folder(folder, device="cpu", kernel="torch")

    published = push(checkpoint_plan(here, REPO))
    there = load_checkpoint(published.reference, device="cpu", kernel="torch", allowed_repos=(REPO,))

    sent, back = contents(folder), contents(there.folder)
    assert sent.keys() == back.keys()
    assert {name for name in sent if sent[name] != back[name]} <= {"README.md"}
    photo = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    maps = [Predictor(one).predict(photo, category="gear").anomaly_map for one in (here, there)]
    assert np.array_equal(*maps)


def test_all_goes_in_one_commit_and_nothing_else_of_the_folder_goes(writer, checkpoint):
    published = push(checkpoint_plan(checkpoint, REPO, message="First parts"))

    repo = writer.repos["model", REPO]
    assert published.reference == f"{REPO}@{repo.head}"
    assert repo.private
    assert published.private
    assert head(writer).keys() == set(FILES)
    assert len(writer.asked("POST */commit/main")) == 1
    assert {request.token for request in writer.requests if "/api/" in request.path} == {TOKEN}
    assert not any(b"not for the world" in request.body for request in writer.requests)


def test_large_files_go_by_http_also_where_xet_is_installed(writer, checkpoint, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    assert is_xet_available()

    push(checkpoint_plan(checkpoint, REPO))

    assert len(writer.asked("PUT /lfs/*")) == 2
    assert writer.asked("*xet*") == []


def test_pushing_the_same_again_makes_no_commit(writer, checkpoint):
    first = push(checkpoint_plan(checkpoint, REPO))
    writer.heal()

    assert push(checkpoint_plan(checkpoint, REPO)) == first
    assert writer.asked("PUT *") == writer.asked("POST */commit/*") == []


def test_a_folder_becomes_a_data_set_with_all_its_folders(writer, tmp_path):
    (tmp_path / "out" / "test" / "good").mkdir(parents=True)
    (tmp_path / "out" / "test" / "good" / "000.png").write_bytes(b"a picture")

    published = push(data_plan(tmp_path / "out"))

    assert writer.repos["dataset", REPO].private
    assert head(writer, "dataset") == {"test/good/000.png": b"a picture", "README.md": b"# Labels\n"}
    assert published.commit == writer.repos["dataset", REPO].head


# Who may see it


def test_a_public_repository_is_made_only_when_asked_for(writer, checkpoint):
    published = push(checkpoint_plan(checkpoint, REPO, private=False))

    assert not writer.repos["model", REPO].private
    assert not published.private


def test_what_shall_be_private_is_not_sent_to_a_public_repository(writer, checkpoint):
    writer.add_repo(REPO).commit({})

    with pytest.raises(PublishingError, match=r"public.*Nothing was sent"):
        push(checkpoint_plan(checkpoint, REPO))

    assert head(writer) == {}
    assert writer.asked("PUT *") == writer.asked("POST */preupload/*") == []


def test_a_private_repository_is_not_opened_by_a_public_push(writer, checkpoint):
    writer.add_repo(REPO, private=True).commit({})

    assert push(checkpoint_plan(checkpoint, REPO, private=False)).private


# The card alone


def test_renewing_the_card_changes_the_card_alone(writer, checkpoint):
    push(checkpoint_plan(checkpoint, REPO))
    repo = writer.repos["model", REPO]
    before = repo.commits[repo.commit(head(writer) | {"README.md": b"old", "more.txt": b"kept"})]
    writer.heal()

    push(card_plan(checkpoint, REPO))

    after = head(writer)
    assert after.pop("README.md") == card_plan(checkpoint, REPO).card.encode()
    assert after == {name: content for name, content in before.items() if name != "README.md"}
    assert writer.asked("PUT *") == []


@pytest.mark.parametrize("name", ["model.safetensors", "calibration.json", "golden.safetensors"])
@pytest.mark.parametrize("other", [None, b"of another checkpoint"], ids=["absent", "other"])
def test_a_card_is_not_put_beside_files_it_does_not_describe(writer, checkpoint, name, other):
    push(checkpoint_plan(checkpoint, REPO))
    repo = writer.repos["model", REPO]
    changed = {file: content for file, content in head(writer).items() if file != name}
    before = repo.commit(changed if other is None else changed | {name: other})

    with pytest.raises(PublishingError, match=f"does not hold this {name}"):
        push(card_plan(checkpoint, REPO))

    assert repo.head == before


def test_renewing_a_card_makes_no_repository(writer, checkpoint):
    with pytest.raises(PublishingError, match="no such repository"):
        push(card_plan(checkpoint, REPO))

    assert writer.repos == {}


# What lies there already


def test_an_export_is_not_mixed_with_other_files(writer, tmp_path):
    held = {"labels.csv": b"old", ".gitattributes": b"", "test/good/7.png": b"of an older export"}
    writer.add_repo(REPO, kind="dataset", private=True).commit(held)
    (tmp_path / "labels.csv").write_bytes(b"new")

    with pytest.raises(PublishingError, match=r"1 other files \(first: test/good/7\.png\)"):
        push(data_plan(tmp_path))
    assert head(writer, "dataset") == held

    push(data_plan(tmp_path, others="delete"))
    assert head(writer, "dataset") == {
        "labels.csv": b"new",
        ".gitattributes": b"",
        "README.md": b"# Labels\n",
    }


def test_a_file_that_changed_since_it_was_planned_is_not_sent(writer, tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"seen")
    changed, gone = data_plan(tmp_path), data_plan(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"else")

    with pytest.raises(PublishingError, match=r"labels\.csv has changed"):
        push(changed)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(PublishingError, match=r"labels\.csv cannot be read"):
        push(gone)

    assert writer.requests == []


# Refusals

CREATE, MODES, BATCH = "POST /api/repos/create", "POST */preupload/*", "POST */objects/batch"
UPLOAD, COMMIT = "PUT *", "POST */commit/*"
STEPS = {"create": CREATE, "modes": MODES, "batch": BATCH, "upload": UPLOAD, "commit": COMMIT}
ANSWERS = [
    ({"status": 401}, r"let you write to mira/parts \(status 401\).*HF_TOKEN.*right to write"),
    ({"status": 403}, r"let you write to mira/parts \(status 403\).*right to write"),
    ({"status": 402}, "paid"),
    ({"status": 412}, "at the same time"),
    ({"status": 413}, "too large"),
    ({"status": 429}, "few minutes"),
    ({"status": 429, "headers": {"Retry-After": "3600"}}, "few minutes"),
    ({"status": 500}, r"status 500.*later"),
    ({"status": 503}, r"status 503.*later"),
    ({"status": 400}, "refused what was sent"),
]


def refused(plan: PushPlan, said: str, pauses, **options: str) -> PublishingError:
    """The error of a push, told in time."""
    started = time.monotonic()
    with pytest.raises(PublishingError, match=said) as caught:
        push(plan, **options)
    assert time.monotonic() - started < LIMIT
    assert pauses.longest < 60
    assert caught.value.__cause__ is not None
    return caught.value


@pytest.mark.parametrize(
    ("step", "fault", "said"),
    [(step, *answer) for step in STEPS for answer in (ANSWERS if step == "commit" else ANSWERS[1::7])],
    ids=lambda value: str(value)[:22],
)
def test_a_refusal_is_told_and_nothing_is_committed(writer, checkpoint, pauses, step, fault, said):
    writer.add_repo(REPO, private=True).commit({})
    writer.fault(STEPS[step], **fault)
    if step == "create":
        writer.fault("GET /api/models/*", **fault)  # the library looks whether it may be there all the same

    refused(checkpoint_plan(checkpoint, REPO), said, pauses)

    assert head(writer) == {}
    writer.heal()
    assert push(checkpoint_plan(checkpoint, REPO)).commit == writer.repos["model", REPO].head


@pytest.mark.parametrize("step", STEPS)
def test_a_hub_that_takes_nothing_and_says_nothing_is_given_up(writer, checkpoint, pauses, monkeypatch, step):
    monkeypatch.setattr(waits, "LONGEST_ANSWER", 0.1)
    writer.add_repo(REPO, private=True).commit({})
    writer.fault(STEPS[step], stalls=True)

    refused(checkpoint_plan(checkpoint, REPO), "did not answer", pauses)

    assert head(writer) == {}


def test_a_repository_that_cannot_be_made_now_is_not_asked_for_without_end(writer, checkpoint, pauses):
    told = b'{"error": "Cannot create repo: another conflicting operation is in progress"}'
    writer.fault(CREATE, times=1000, status=409, content=told)

    refused(checkpoint_plan(checkpoint, REPO), "at the same time", pauses)

    assert len(writer.asked(CREATE)) == 1


def test_an_answer_that_is_lost_behind_the_commit_sends_people_to_the_history(writer, checkpoint, pauses):
    writer.fault(COMMIT, cut_at=0)

    refused(checkpoint_plan(checkpoint, REPO), "Look at its history", pauses)

    assert head(writer).keys() == set(FILES)
    writer.heal()
    assert push(checkpoint_plan(checkpoint, REPO)).commit == writer.repos["model", REPO].head
    assert writer.asked(COMMIT) == []


@pytest.mark.parametrize("step", ["modes", "batch", "commit"])
def test_an_answer_that_is_none_of_a_hub_is_told(writer, checkpoint, pauses, step):
    writer.fault(STEPS[step], content=b"<html>Welcome to our hotel</html>")

    refused(checkpoint_plan(checkpoint, REPO), "no answer of a Hub", pauses)


def test_a_full_storage_is_told(writer, checkpoint, pauses):
    told = b'{"objects": [{"oid": "a", "size": 1, "error": {"code": 422, "message": "full"}}]}'
    writer.fault(BATCH, content=told)

    refused(checkpoint_plan(checkpoint, REPO), "storage may be full", pauses)


def test_offline_is_told(writer, checkpoint, pauses, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    refused(checkpoint_plan(checkpoint, REPO), "HF_HUB_OFFLINE", pauses)


def test_a_stranger_writes_nothing(hub, checkpoint, pauses):
    refused(checkpoint_plan(checkpoint, REPO), "right to write", pauses)

    assert hub.repos == {}


def test_nobody_writes_below_another_name(writer, checkpoint, pauses):
    refused(checkpoint_plan(checkpoint, "greta/parts"), "let you write to greta/parts", pauses)

    assert writer.repos == {}


# Tokens


def test_a_token_that_is_given_comes_before_that_of_the_environment(hub, checkpoint, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_SomebodyElse")

    push(checkpoint_plan(checkpoint, REPO), token=TOKEN)

    assert {request.token for request in hub.requests if "/api/" in request.path} == {TOKEN}


@pytest.mark.parametrize("step", [None, *STEPS])
def test_the_token_stands_in_no_message_and_in_no_log(
    hub, checkpoint, pauses, monkeypatch, caplog, capfd, step
):
    monkeypatch.setattr(constants, "HF_DEBUG", True)  # the client then logs each request as a curl command
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="huggingface_hub")
    logging.getLogger("huggingface_hub").addHandler(caplog.handler)  # its records do not reach the root
    plan, texts = checkpoint_plan(checkpoint, REPO), []

    try:
        if step is None:
            texts.append(repr(push(plan, token=TOKEN)))
        else:
            hub.fault(STEPS[step], status=403)
            error = refused(plan, "403", pauses, token=TOKEN)
            texts += [f"{one!s} {one!r}" for one in chain(error)]
    finally:
        logging.getLogger("huggingface_hub").removeHandler(caplog.handler)

    assert "authorization" in caplog.text
    printed = capfd.readouterr()
    assert not any(TOKEN in text for text in [*texts, repr(plan), caplog.text, printed.out, printed.err])


def test_what_was_pushed_privately_is_pulled_with_the_token_alone(hub, checkpoint, monkeypatch):
    published = push(checkpoint_plan(checkpoint, REPO), token=TOKEN)
    forget_listings(monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    loaded = load_checkpoint(published.reference, device="cpu", kernel="torch", allowed_repos=(REPO,))

    assert loaded.sha256 == checkpoint.sha256
    assert HfApi().repo_info(REPO).private
