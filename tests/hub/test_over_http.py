"""The real Hub client against a Hub on this machine: what is asked, what goes wrong, and what is said of it.

One test starts a process with HF_ENDPOINT and its like; the others replace the values read from them.
"""

import hashlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants, get_session, snapshot_download

from benchmarks.hub_server import hub_server
from mambaad_demo.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointNotFoundError,
    HubUnreachableError,
)
from mambaad_demo.hub.checkpoints import Checkpoint, load_checkpoint
from mambaad_demo.hub.layout import FILES
from mambaad_demo.hub.manifest import ReleaseFile
from mambaad_demo.hub.published import import_release
from mambaad_demo.hub.remote import HubReference, fetch_folder, fetch_published, pinned, translated_errors
from mambaad_demo.hub.waits import LONGEST_ANSWER
from tests.hub.client import (
    MANIFEST,
    OTHER_REVISION,
    REFERENCE,
    REPO,
    REVISION,
    SENDS_OLD_STYLE,
    TOKEN,
    chain,
    contents,
    forget_listings,
    published,
)

TREE = "GET /api/models/mira/parts/tree/*"
WEIGHTS = "GET /mira/parts/resolve/*/model.safetensors"
HEADERS = "HEAD /mira/parts/resolve/*/model.safetensors"
LONGEST_WAIT = 60
"""Seconds of pauses a person may be kept waiting, at the most, on top of the time limits of the requests."""


def load(tmp_path: Path) -> Checkpoint:
    return load_checkpoint(
        f"{REPO}@{REVISION}", kernel="torch", checkpoints_root=tmp_path / "none", allowed_repos=(REPO,)
    )


# The server itself


@SENDS_OLD_STYLE
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_what_was_pushed_comes_back_bit_by_bit(hub, tmp_path, kind):
    sent = {"notes.txt": b"Grown on good parts.\r\n\xff", "model.safetensors": os.urandom(100_000)}
    (tmp_path / "sent" / "deep").mkdir(parents=True)
    for name, content in sent.items():
        (tmp_path / "sent" / "deep" / name).write_bytes(content)
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)

    assert api.whoami()["name"] == "mira"
    api.create_repo("mira/new", repo_type=kind, private=True)
    commit = api.upload_folder(repo_id="mira/new", repo_type=kind, folder_path=tmp_path / "sent")
    pulled = Path(snapshot_download("mira/new", repo_type=kind, revision=commit.oid, token=TOKEN))

    assert contents(pulled / "deep") == sent
    assert list(hub.large.values()) == [sent["model.safetensors"]]
    assert api.repo_info("mira/new", repo_type=kind).sha == commit.oid
    assert api.list_repo_commits("mira/new", repo_type=kind)[0].commit_id == commit.oid


@SENDS_OLD_STYLE
def test_pushing_the_same_again_sends_no_file_and_makes_no_commit(hub, tiny_checkpoint):
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)
    api.create_repo("mira/new")
    first = api.upload_folder(repo_id="mira/new", folder_path=tiny_checkpoint)
    hub.heal()

    second = api.upload_folder(repo_id="mira/new", folder_path=tiny_checkpoint)

    assert second.oid == first.oid
    assert hub.asked("PUT *") == hub.asked("POST */commit/*") == []


def test_only_the_owner_writes(hub):
    hub.add_repo("greta/parts").commit({})

    with pytest.raises(OSError, match="403"):
        HfApi(endpoint=hub.endpoint, token=TOKEN).upload_file(
            path_or_fileobj=b"mine now", path_in_repo="notes.txt", repo_id="greta/parts"
        )

    assert hub.repos["model", "greta/parts"].commits[hub.repos["model", "greta/parts"].head] == {}


def test_the_environment_leads_the_client_to_another_hub(hub, parts, tmp_path):
    code = (
        "from mambaad_demo.hub.remote import HubReference, fetch_folder; "
        f"print(fetch_folder(HubReference(repo={REPO!r}, revision={REVISION!r}), {FILES!r}))"
    )
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
    environment |= {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "cache")}

    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )

    assert contents(Path(found.stdout.strip())) == parts


# Loading


def test_a_cold_load_lists_the_commit_and_fetches_each_file_once(hub, parts, tmp_path):
    loaded = load(tmp_path)

    assert loaded.self_test.passed
    assert hub.asked("* /api/*") == [f"GET /api/models/{REPO}/tree/{REVISION}"]
    for method in ("HEAD", "GET"):
        wanted = {f"{method} /{REPO}/resolve/{REVISION}/{file}" for file in FILES}
        assert sorted(hub.asked(f"{method} /{REPO}/*")) == sorted(wanted)
    assert not any(request.token for request in hub.requests)


def test_a_file_the_checkpoint_does_not_need_is_not_fetched(hub, parts, tmp_path):
    hub.add_repo(REPO, {REVISION: parts | {"training/log.bin": b"0" * 1000, "run_me.py": b"boom()"}})

    load(tmp_path)

    assert hub.asked("*log.bin") == hub.asked("*run_me.py") == []


def test_a_warm_load_asks_the_hub_nothing(hub, parts, tmp_path, monkeypatch):
    cold = load(tmp_path)
    hub.heal()
    forget_listings(monkeypatch)

    warm = load(tmp_path)

    assert warm.sha256 == cold.sha256
    assert hub.requests == []


def test_a_download_reports_its_bytes_until_all_are_there(hub, parts, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    told = []

    fetch_folder(REFERENCE, FILES, report=lambda done, total: told.append((done, total)))

    size = sum(len(content) for content in parts.values())
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len({done for done, _ in told}) > size // 4096


def test_a_warm_load_reports_nothing(hub, parts):
    told = []
    fetch_folder(REFERENCE, FILES)

    fetch_folder(REFERENCE, FILES, report=lambda done, total: told.append((done, total)))

    assert told == []


def test_an_offline_load_comes_from_the_cache(hub, parts, tmp_path, monkeypatch):
    cold = load(tmp_path)
    hub.heal()
    forget_listings(monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    offline = load(tmp_path)

    assert offline.self_test.passed
    assert offline.sha256 == cold.sha256
    assert hub.requests == []


def test_an_offline_load_with_a_cold_cache_says_what_to_do(hub, parts, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(HubUnreachableError, match=r"not cached here.*Connect once.*embedded checkpoint"):
        load(tmp_path)

    assert hub.requests == []


def test_a_checkpoint_fetched_before_a_hub_died_still_loads(hub, parts, tmp_path, monkeypatch):
    cold = load(tmp_path)
    hub.fault("*", status=503)
    forget_listings(monkeypatch)

    assert load(tmp_path).sha256 == cold.sha256


def test_a_repository_without_one_of_the_files_is_named_as_incomplete(hub, parts, tmp_path):
    hub.add_repo(REPO, {REVISION: {name: parts[name] for name in parts if name != "golden.safetensors"}})

    with pytest.raises(CheckpointNotFoundError, match=r"lacks golden\.safetensors"):
        load(tmp_path)


# Faults: what is said, how long it takes, and what is left behind

STATUSES = [
    ({"status": 401, "code": "RepoNotFound"}, CheckpointNotFoundError, "missing on the Hub, is private"),
    ({"status": 401}, HubUnreachableError, "refused mira/parts .*401.*HF_TOKEN"),
    ({"status": 403}, HubUnreachableError, "refused mira/parts .*403.*HF_TOKEN"),
    ({"status": 404, "code": "RepoNotFound"}, CheckpointNotFoundError, "missing on the Hub"),
    ({"status": 404, "code": "RevisionNotFound"}, CheckpointNotFoundError, "lacks the revision"),
    ({"status": 404, "code": "EntryNotFound"}, CheckpointNotFoundError, "lacks the revision or file"),
    ({"status": 429}, HubUnreachableError, "limits .*429.*few minutes"),
    ({"status": 500}, HubUnreachableError, "500.*Try again later"),
    ({"status": 503}, HubUnreachableError, "503.*Try again later"),
]
SPOILED_HEADERS = [({"status": 200}, HubUnreachableError, "no answer of a Hub")]
SPOILED_LISTINGS = [
    ({"content": b"<html>Welcome to our hotel</html>"}, HubUnreachableError, "no answer of a Hub"),
    ({"cut_at": 20}, HubUnreachableError, "Try again later"),
]
SPOILED_BODIES = [
    ({"cut_at": 20}, HubUnreachableError, "Try again later"),
    ({"content": b"short"}, HubUnreachableError, "Try again later"),
    ({"content": b"longer than it should be" * 100_000}, HubUnreachableError, "Try again later"),
]


def words(what: object) -> str:
    return " ".join(str(value)[:20] for value in what.values()) if isinstance(what, dict) else ""


def expect_refusal_and_recovery(hub, parts, monkeypatch, pauses, error, said):
    """Fetch in vain, find nothing usable in the cache, and fetch again once the Hub is well."""
    started = time.monotonic()
    with pytest.raises(error, match=said) as caught:
        fetch_folder(REFERENCE, FILES)
    assert time.monotonic() - started < 10
    assert pauses.longest < LONGEST_WAIT
    assert caught.value.__cause__ is not None or error is CheckpointCorruptError
    assert str(constants.HF_HUB_CACHE) not in str(caught.value)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachableError, match="not cached here"):
        fetch_folder(REFERENCE, FILES)
    assert list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete")) == []

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.heal()
    assert contents(fetch_folder(REFERENCE, FILES)) == parts


@pytest.mark.parametrize(("fault", "error", "said"), STATUSES + SPOILED_LISTINGS, ids=words)
def test_a_listing_that_fails_leaves_no_checkpoint_and_a_later_try_succeeds(
    hub, parts, monkeypatch, pauses, fault, error, said
):
    hub.fault(TREE, **fault)

    expect_refusal_and_recovery(hub, parts, monkeypatch, pauses, error, said)


@pytest.mark.parametrize(("fault", "error", "said"), STATUSES + SPOILED_HEADERS, ids=words)
def test_the_headers_of_a_file_that_fail_leave_no_checkpoint_and_a_later_try_succeeds(
    hub, parts, monkeypatch, pauses, fault, error, said
):
    hub.fault(HEADERS, **fault)

    expect_refusal_and_recovery(hub, parts, monkeypatch, pauses, error, said)


@pytest.mark.parametrize(("fault", "error", "said"), STATUSES + SPOILED_BODIES, ids=words)
def test_a_file_that_fails_leaves_no_checkpoint_and_a_later_try_succeeds(
    hub, parts, monkeypatch, pauses, fault, error, said
):
    hub.fault(WEIGHTS, **fault)

    expect_refusal_and_recovery(hub, parts, monkeypatch, pauses, error, said)


@pytest.mark.parametrize("request_line", [TREE, HEADERS, WEIGHTS], ids=["listing", "headers", "body"])
def test_a_hub_that_says_nothing_is_given_up_in_bounded_time(
    hub, parts, monkeypatch, pauses, impatient, request_line
):
    hub.fault(request_line, stalls=True)

    started = time.monotonic()
    with pytest.raises(HubUnreachableError, match=r"Try again later|Connect once"):
        fetch_folder(REFERENCE, FILES)

    assert time.monotonic() - started < 10
    assert pauses.longest < LONGEST_WAIT
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachableError, match="not cached here"):
        fetch_folder(REFERENCE, FILES)


def test_what_is_sent_gets_more_time_than_what_is_read(hub, impatient):
    with translated_errors(REPO):
        session = get_session()
    read, sent = (session.build_request(method, hub.endpoint) for method in ("GET", "POST"))

    for hook in session.event_hooks["request"]:
        hook(read)
        hook(sent)

    assert set(read.extensions["timeout"].values()) == {0.1}
    assert set(sent.extensions["timeout"].values()) == {LONGEST_ANSWER}


def test_a_hub_that_is_gone_is_unreachable(hub, parts, monkeypatch, tmp_path):
    with hub_server() as closed:
        pass
    monkeypatch.setattr(constants, "ENDPOINT", closed.endpoint)

    with pytest.raises(HubUnreachableError, match="not cached here and the Hub did not answer"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(429, {"Retry-After": "3600"}), (503, {"Retry-After": "3600"}), (429, {"RateLimit": '"api";r=0;t=300'})],
    ids=["429 an hour", "503 an hour", "429 five minutes"],
)
@pytest.mark.parametrize("request_line", [TREE, HEADERS, WEIGHTS], ids=["listing", "headers", "body"])
def test_a_hub_that_asks_for_a_long_wait_is_not_waited_for(hub, parts, pauses, status, headers, request_line):
    hub.fault(request_line, status=status, headers=headers)

    with pytest.raises(HubUnreachableError, match=str(status)):
        fetch_folder(REFERENCE, FILES)

    assert pauses.longest < LONGEST_WAIT


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("request_line", [TREE, HEADERS], ids=["listing", "headers"])
def test_a_hiccup_is_got_over_in_silence(hub, parts, pauses, status, request_line):
    hub.fault(request_line, times=2, status=status)

    assert contents(fetch_folder(REFERENCE, FILES)) == parts
    assert pauses.longest < 5


def test_a_download_cut_in_the_middle_resumes_and_ends_bit_equal(hub, parts, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.fault(WEIGHTS, times=2, cut_at=2048)

    folder = fetch_folder(REFERENCE, FILES)

    ranges = [request.range for request in hub.requests if request.line in hub.asked(WEIGHTS)]
    assert ranges == [None, "bytes=2048-", "bytes=4096-"]
    assert contents(folder) == parts


def test_a_download_cut_before_its_first_chunk_restarts_and_ends_bit_equal(hub, parts):
    hub.fault(WEIGHTS, times=2, cut_at=2048)

    folder = fetch_folder(REFERENCE, FILES)

    assert [request.range for request in hub.requests if request.line in hub.asked(WEIGHTS)] == [None] * 3
    assert contents(folder) == parts


def test_weights_that_are_not_what_the_hub_announced_are_discarded(hub, parts, tmp_path):
    damaged = bytearray(parts["model.safetensors"])
    damaged[-3] ^= 1
    hub.fault(WEIGHTS, times=1, content=bytes(damaged))

    with pytest.raises(CheckpointCorruptError, match=r"model\.safetensors of mira/parts.*discarded.*again"):
        load(tmp_path)

    assert load(tmp_path).self_test.passed


def test_weights_that_the_config_does_not_vouch_for_are_refused(hub, parts, tmp_path):
    damaged = parts["model.safetensors"][:-3] + b"\0\0\0"
    hub.add_repo(REPO, {REVISION: parts | {"model.safetensors": damaged}})

    with pytest.raises(CheckpointCorruptError, match=r"config\.json expects"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["config.json", "calibration.json"])
def test_a_small_file_that_is_not_what_the_hub_announced_is_discarded(hub, parts, tmp_path, file):
    damaged = parts[file].replace(b'"sha256"', b'"sha255"').replace(b'"check"', b'"chec_"')
    hub.fault(f"GET *{file}", times=1, content=damaged)

    with pytest.raises(CheckpointCorruptError, match=f"{file} of {REPO}.*discarded.*again") as caught:
        load(tmp_path)
    hub.heal()

    assert len(damaged) == len(parts[file])
    assert damaged != parts[file]
    assert isinstance(caught.value.__cause__, CheckpointCorruptError)
    assert load(tmp_path).self_test.passed
    assert hub.asked("GET *") == [f"GET /{REPO}/resolve/{REVISION}/{file}"]


def test_a_configuration_damaged_into_another_network_is_discarded(hub, parts, tmp_path):
    damaged = parts["config.json"].replace(b'"state_dim": 2', b'"state_dim": 4')
    hub.fault("GET *config.json", times=1, content=damaged)

    with pytest.raises(CheckpointCorruptError, match=r"config\.json of .*discarded"):
        load(tmp_path)

    assert damaged != parts["config.json"]
    assert load(tmp_path).self_test.passed


def test_what_is_refused_although_it_is_what_the_hub_holds_stays_in_the_cache(hub, parts, tmp_path):
    wrong = parts["config.json"].replace(b'"sha256"', b'"sha255"')
    hub.add_repo(REPO, {REVISION: parts | {"config.json": wrong}})
    with pytest.raises(CheckpointCorruptError, match="schema"):
        load(tmp_path)
    hub.heal()

    with pytest.raises(CheckpointCorruptError, match="schema"):
        load(tmp_path)

    assert hub.requests == []


def snapshots(repo: str = REPO) -> dict[str, set[str]]:
    """Names of cached files by commit."""
    root = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots"
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    names: dict[str, set[str]] = {}
    for path in found:
        names.setdefault(path.parts[0], set()).add(path.name)
    return names


def blobs() -> int:
    return len(list(Path(constants.HF_HUB_CACHE).rglob("blobs/*")))


@pytest.mark.parametrize(
    ("files", "kept"),
    [("HEAD *", set()), (HEADERS, set(FILES) - {"model.safetensors"})],
    ids=["all files", "one file"],
)
def test_a_hub_that_answers_with_another_commit_is_named_and_what_came_is_discarded(
    hub, parts, tmp_path, files, kept
):
    hub.fault(files, headers={"X-Repo-Commit": OTHER_REVISION})

    with pytest.raises(
        CheckpointCorruptError, match=r"commit fedcba9 of mira/parts where 0123456 was asked.*Try again later"
    ):
        load(tmp_path)

    assert snapshots() == ({REVISION: kept} if kept else {})
    assert blobs() == len(kept)
    hub.heal()
    assert load(tmp_path).self_test.passed


def test_a_release_pinned_to_the_commit_that_came_instead_is_kept(hub, parts, tmp_path):
    hub.add_repo(REPO, {OTHER_REVISION: parts, REVISION: parts})
    other = fetch_folder(HubReference(repo=REPO, revision=OTHER_REVISION), FILES)
    hub.fault(f"HEAD *{REVISION}*", headers={"X-Repo-Commit": OTHER_REVISION})

    with pytest.raises(CheckpointCorruptError, match="commit fedcba9"):
        load(tmp_path)

    assert contents(other) == parts


def manifest_with(folder: Path, *pins: str) -> Path:
    """A folder whose manifest names mira/parts as a release with these lines of files."""
    (folder / "manifest.toml").write_text(f"{MANIFEST}files = [{', '.join(pins)}]\n")
    return folder


def test_a_release_whose_content_is_not_what_the_manifest_pins_is_refused_and_discarded(hub, parts, tmp_path):
    pin = '{path = "model.safetensors", sha256 = "' + "ab" * 32 + '"}'
    root = manifest_with(tmp_path, pin)

    with pytest.raises(
        CheckpointCorruptError,
        match=r"model\.safetensors of mira/parts at 0123456 .*manifest expects abababababab.*was discarded",
    ):
        load_checkpoint("parts", kernel="torch", checkpoints_root=root)

    assert snapshots() == {REVISION: set(FILES) - {"model.safetensors"}}


def test_a_release_with_the_content_that_the_manifest_pins_loads(hub, parts, tmp_path):
    digest = hashlib.sha256(parts["model.safetensors"]).hexdigest()
    root = manifest_with(tmp_path, f'{{path = "model.safetensors", sha256 = "{digest}"}}')

    assert load_checkpoint("parts", kernel="torch", checkpoints_root=root).self_test.passed


# Published weights


def test_a_published_file_is_fetched_once_and_then_comes_from_the_cache(hub, monkeypatch):
    hub.add_repo(REPO, {REVISION: {"weights/parts.pth": b"weights"}})

    first = fetch_published(published()).read_bytes()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    second = fetch_published(published()).read_bytes()

    assert first == second == b"weights"
    assert [request.method for request in hub.requests] == ["HEAD", "GET"]


def test_a_published_file_of_another_commit_is_refused(hub):
    hub.add_repo(REPO, {REVISION: {"weights/parts.pth": b"weights"}})
    hub.fault("HEAD *", times=1, headers={"X-Repo-Commit": OTHER_REVISION})

    with pytest.raises(CheckpointCorruptError, match=f"commit fedcba9 of {REPO} where 0123456 was asked"):
        fetch_published(published())
    assert (snapshots(), blobs()) == ({}, 0)

    assert fetch_published(published()).read_bytes() == b"weights"


def test_a_damaged_published_file_is_discarded_and_fetched_again(hub):
    hub.add_repo(REPO, {REVISION: {"weights/parts.pth": b"weights"}})
    hub.fault("GET *.pth", times=1, content=b"WEIGHTS")

    with pytest.raises(CheckpointCorruptError, match=r"parts\.pth of mira/parts.*again"):
        fetch_published(published())

    assert fetch_published(published()).read_bytes() == b"weights"


def test_a_published_file_the_manifest_does_not_vouch_for_is_not_imported(hub, tmp_path):
    hub.add_repo(REPO, {REVISION: {"weights/parts.pth": b"weights"}})
    files = (ReleaseFile(path="weights/parts.pth", sha256="ab" * 32),)

    with pytest.raises(CheckpointCorruptError, match="the manifest expects abababababab"):
        import_release(published(files=files), tmp_path / "imported")

    assert not (tmp_path / "imported").exists()
    assert (snapshots(), blobs()) == ({}, 0)


@pytest.mark.parametrize("request_line", ["HEAD *.pth", "GET *.pth"], ids=["headers", "body"])
def test_a_published_file_of_a_hub_that_says_nothing_is_given_up(hub, pauses, impatient, request_line):
    hub.add_repo(REPO, {REVISION: {"weights/parts.pth": b"weights"}})
    hub.fault(request_line, stalls=True)

    started = time.monotonic()
    with pytest.raises(HubUnreachableError):
        fetch_published(published())

    assert time.monotonic() - started < 10
    assert pauses.longest < LONGEST_WAIT


def test_a_short_commit_is_pinned_by_the_history_the_hub_lists(hub):
    hub.add_repo(REPO, {OTHER_REVISION: {}, REVISION: {}})

    assert pinned(published(revision=None, revision_prefix="0123456")).revision == REVISION


def test_a_short_commit_the_history_does_not_hold_is_refused(hub):
    hub.add_repo(REPO, {OTHER_REVISION: {}})

    with pytest.raises(CheckpointNotFoundError, match="0 commits that begin with 0123456"):
        pinned(published(revision=None, revision_prefix="0123456"))


def test_a_history_that_never_comes_is_given_up_in_bounded_time(hub, pauses, impatient):
    hub.add_repo(REPO, {REVISION: {}})
    hub.fault("GET */commits/*", stalls=True)

    started = time.monotonic()
    with pytest.raises(HubUnreachableError):
        pinned(published(revision=None, revision_prefix="0123456"))

    assert time.monotonic() - started < 10
    assert pauses.longest < LONGEST_WAIT


# Private repositories and the token


def test_a_private_checkpoint_is_not_there_for_a_stranger(hub, parts, tmp_path):
    hub.add_repo(REPO, {REVISION: parts}, private=True)

    with pytest.raises(CheckpointNotFoundError, match="is private"):
        load(tmp_path)


def test_a_private_checkpoint_loads_with_the_token(hub, parts, tmp_path, monkeypatch):
    hub.add_repo(REPO, {REVISION: parts}, private=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    assert load(tmp_path).self_test.passed
    assert {request.token for request in hub.requests} == {TOKEN}


def test_a_token_nobody_knows_is_named_as_the_reason(hub, parts, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_AnotherToken")

    with pytest.raises(HubUnreachableError, match="HF_TOKEN") as caught:
        load(tmp_path)

    assert "hf_AnotherToken" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401},
        {"status": 403},
        {"status": 429},
        {"status": 500},
        {"cut_at": 5},
        {"content": b"<html>"},
    ],
    ids=words,
)
@pytest.mark.parametrize("request_line", [TREE, WEIGHTS], ids=["listing", "body"])
def test_the_token_stands_in_no_message_and_in_no_log(
    hub, parts, monkeypatch, caplog, capfd, request_line, fault
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_DEBUG", True)  # the client then logs each request as a curl command
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="huggingface_hub")
    logging.getLogger("huggingface_hub").addHandler(caplog.handler)  # its records do not reach the root
    hub.fault(request_line, **fault)

    try:
        with pytest.raises(CheckpointError) as caught:
            fetch_folder(REFERENCE, FILES)
    finally:
        logging.getLogger("huggingface_hub").removeHandler(caplog.handler)

    assert any(request.token == TOKEN for request in hub.requests)
    assert "authorization" in caplog.text
    printed = capfd.readouterr()
    texts = [caplog.text, printed.out, printed.err]
    for error in chain(caught.value):
        texts += [str(error), repr(error), *getattr(error, "__notes__", [])]
    assert not any(TOKEN in text for text in texts)
