"""Files from the Hub: what is allowed, and how the Hub's errors become ours."""

from functools import partial

import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mambaad_demo.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    HubUnreachableError,
    UnknownReleaseError,
)
from mambaad_demo.hub.answers import HTTP_ERROR
from mambaad_demo.hub.checkpoints import load_checkpoint
from mambaad_demo.hub.remote import HubReference, fetch_folder, fetch_published, pinned, require_allowed
from tests.hub.client import OTHER_REVISION, REFERENCE, REPO, REVISION, published


@pytest.mark.parametrize("revision", ["main", "0123456", REVISION[:-1], REVISION.upper(), REVISION + "0"])
def test_a_revision_that_is_no_full_commit_is_refused(revision):
    with pytest.raises(UnknownReleaseError, match="full commit"):
        HubReference.parse(f"owner/parts@{revision}")


@pytest.mark.parametrize("text", ["mambaad", "owner/parts", "../parts", f"a/b/c@{REVISION}", ""])
def test_other_names_are_no_hub_reference(text):
    assert HubReference.parse(text) is None


def test_a_repository_nobody_allowed_is_never_asked_for(tmp_path):
    def download(**_):
        raise AssertionError("nothing may be downloaded")

    with pytest.raises(
        UnknownReleaseError, match=r"command line in MAMBAAD_ALLOWED_REPOS, in Python .* allowed_repos"
    ):
        load_checkpoint(f"{REPO}@{REVISION}", checkpoints_root=tmp_path, download=download)


def test_an_allowed_commit_allows_no_other_commit_of_its_repository():
    require_allowed(REFERENCE, {f"{REPO}@{REVISION}"})

    with pytest.raises(UnknownReleaseError, match="allow-list"):
        require_allowed(HubReference(repo=REPO, revision=OTHER_REVISION), {f"{REPO}@{REVISION}"})


def test_an_allowed_repository_at_a_commit_is_fetched_and_loaded(tmp_path, tiny_checkpoint, little_hub):
    little_hub.folder = tiny_checkpoint
    download = partial(
        snapshot_download, endpoint=little_hub.endpoint, cache_dir=tmp_path / "cache", token=False
    )

    def load(fetch):
        return load_checkpoint(
            f"{REPO}@{REVISION}",
            kernel="torch",
            checkpoints_root=tmp_path / "none",
            allowed_repos=(REPO,),
            download=fetch,
        )

    fetched = load(download)
    little_hub.status = 500
    from_cache = load(partial(download, local_files_only=True))

    assert fetched.self_test.passed
    assert fetched.name == f"{REPO}@{REVISION}"
    assert from_cache.sha256 == fetched.sha256


@pytest.mark.parametrize(
    ("status", "code", "ours", "cause"),
    [
        (404, "RepoNotFound", CheckpointNotFoundError, RepositoryNotFoundError),
        (404, "RevisionNotFound", CheckpointNotFoundError, RevisionNotFoundError),
        (404, "EntryNotFound", CheckpointNotFoundError, RemoteEntryNotFoundError),
        (401, "GatedRepo", CheckpointNotFoundError, RepositoryNotFoundError),
        (403, None, HubUnreachableError, (HfHubHTTPError, LocalEntryNotFoundError)),
        (418, None, HubUnreachableError, (HfHubHTTPError, LocalEntryNotFoundError)),
    ],
)
def test_an_answer_of_the_hub_becomes_our_error_and_keeps_its_cause(
    status, code, ours, cause, tmp_path, little_hub
):
    little_hub.status, little_hub.error_code = status, code
    download = partial(hf_hub_download, endpoint=little_hub.endpoint, cache_dir=tmp_path, token=False)

    with pytest.raises(ours) as caught:
        fetch_published(published(), download=download)

    assert isinstance(caught.value.__cause__, cause)
    assert REPO in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_offline_without_a_cache_is_unreachable(tmp_path):
    download = partial(snapshot_download, cache_dir=tmp_path, local_files_only=True)

    with pytest.raises(HubUnreachableError, match="not cached here") as caught:
        fetch_folder(REFERENCE, ["config.json"], download=download)

    assert isinstance(caught.value.__cause__, LocalEntryNotFoundError)


@pytest.mark.parametrize("error", [HTTP_ERROR("no route"), TimeoutError("slow"), OSError("reset")])
def test_a_broken_connection_becomes_our_error(error):
    def download(**_):
        raise error

    with pytest.raises(HubUnreachableError) as caught:
        fetch_folder(REFERENCE, ["config.json"], download=download)

    assert caught.value.__cause__ is error


def test_a_mistake_in_our_own_code_is_not_dressed_up_as_a_hub_error():
    def download(**_):
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        fetch_folder(REFERENCE, ["config.json"], download=download)


def test_a_short_commit_is_pinned_by_the_history_of_the_repository():
    release = pinned(
        published(revision=None, revision_prefix=REVISION[:7]), commits=lambda repo: ["f" * 40, REVISION]
    )

    assert release.revision == REVISION


@pytest.mark.parametrize("commits", [[], ["f" * 40], [REVISION, "0123456" + "0" * 33]])
def test_a_short_commit_must_match_exactly_one(commits):
    with pytest.raises(CheckpointNotFoundError, match="exactly one"):
        pinned(published(revision=None, revision_prefix=REVISION[:7]), commits=lambda repo: commits)


def test_all_our_hub_errors_are_checkpoint_errors():
    assert issubclass(HubUnreachableError, CheckpointError)
    assert issubclass(CheckpointNotFoundError, CheckpointError)
