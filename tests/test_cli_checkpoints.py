"""`checkpoints pull`, `push` and `publish-card`: what they print, send and write, and how they exit."""

import hashlib
import io
import json
import re
import shutil

import pytest
import torch
from huggingface_hub import constants
from typer.testing import CliRunner

from mambaad_demo.__main__ import app
from mambaad_demo.hub.layout import FILES
from mambaad_demo.hub.weights import file_sha256
from tests.hub.client import REPO, REVISION, SENDS_OLD_STYLE, TOKEN, contents, hub, parts, pauses
from tests.hub.official import official_state

__all__ = ["hub", "parts", "pauses"]

pytestmark = SENDS_OLD_STYLE
runner = CliRunner()

TWO_PUBLISHED = "schema_version = 1\n" + "".join(
    f'''[[release]]
name = "{name}"
kind = "published"
decoder = "mambaad"
encoder = "resnet34.bt_in1k"
input_side = 64
license = "apache-2.0"
repo = "{REPO}"
revision = "{REVISION}"
files = [{{ path = "{path}" }}]
source_of_numbers = "a paper, not measured here"
[release.quoted]
image_auroc = 98.6
image_ap = 99.6
image_f1_max = 97.8
pixel_auroc = 97.7
pixel_ap = 56.3
pixel_f1_max = 59.2
au_pro = 93
source = "paper, Table 1"
'''
    for name, path in (("first", "mvtec/first.pth"), ("second", "visa/second.pth"))
)
TWO_PUBLISHED += """[[release]]
name = "ours"
kind = "embedded"
decoder = "mambaad"
encoder = "test_efficientnet"
license = "apache-2.0"
"""


@pytest.fixture
def call(hub, tiny_checkpoint, tmp_path, monkeypatch):
    """Call the program with the tiny checkpoint as the only one, a Hub, and a token for it."""
    monkeypatch.setenv("MAMBAAD_CHECKPOINTS", str(tiny_checkpoint.parent))
    monkeypatch.setenv("MAMBAAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAMBAAD_KERNEL", "torch")
    monkeypatch.setenv("MAMBAAD_DEVICE", "cpu")
    monkeypatch.setenv("MAMBAAD_ALLOWED_REPOS", REPO)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return lambda *arguments: runner.invoke(app, ["checkpoints", *(str(argument) for argument in arguments)])


def test_what_push_prints_last_is_what_pull_takes(call, hub, tiny_checkpoint, tmp_path):
    pushed = call("push", "tiny", REPO)
    pulled = call("pull", pushed.stdout.splitlines()[-1], "--out", tmp_path / "fetched" / "tiny")

    assert (pushed.exit_code, pulled.exit_code) == (0, 0)
    assert re.fullmatch(f"{REPO}@[0-9a-f]{{40}}", pushed.stdout.splitlines()[-1])
    assert contents(tmp_path / "fetched" / "tiny") == contents(tiny_checkpoint)
    assert list((tmp_path / "fetched").iterdir()) == [tmp_path / "fetched" / "tiny"]
    assert "self-test passed" in pulled.stdout
    assert pulled.stdout.splitlines()[-1] == str(tmp_path / "fetched" / "tiny")


def test_push_says_what_is_sent_to_where_and_who_may_see_it(call, hub, tiny_checkpoint):
    private = call("push", "tiny", REPO, "--message", "Parts of June")
    public = call("push", tiny_checkpoint, "mira/open", "--public")

    assert f"model repository {REPO}, private" in private.stdout
    assert "Parts of June" in private.stdout
    assert "model repository mira/open, public" in public.stdout
    assert (hub.repos["model", REPO].private, hub.repos["model", "mira/open"].private) == (True, False)
    for name, content in contents(tiny_checkpoint).items():
        line = next(line for line in private.stdout.splitlines() if line.split()[:1] == [name])
        assert line.split()[1:] == [str(len(content)), "bytes", hashlib.sha256(content).hexdigest()]
    assert "MAMBAAD_ALLOWED_REPOS" not in private.stderr
    assert "put mira/open into MAMBAAD_ALLOWED_REPOS" in public.stderr


@pytest.mark.parametrize("command", ["push", "publish-card"])
def test_a_dry_run_shows_files_and_card_and_asks_the_hub_nothing(call, hub, monkeypatch, command):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("HF_TOKEN")

    result = call(command, "tiny", REPO, "--dry-run")

    assert result.exit_code == 0
    assert "license: apache-2.0" in result.stdout
    assert "README.md" in result.stdout
    assert ("golden.safetensors holds two pictures" in result.stdout) is (command == "push")
    assert result.stdout.splitlines()[-1] == "Dry run: nothing was sent."
    assert hub.requests == []


def test_a_version_that_was_fine_tuned_here_is_pushed_by_its_name(call, hub, tiny_checkpoint, tmp_path):
    shutil.copytree(tiny_checkpoint, tmp_path / "home" / "versions" / "cookie-1")

    assert call("push", "cookie-1", REPO).exit_code == 0
    assert hub.repos["model", REPO].commits[hub.repos["model", REPO].head].keys() == set(FILES)


def test_publish_card_renews_the_card_of_what_was_pushed(call, hub):
    call("push", "tiny", REPO)
    repo = hub.repos["model", REPO]
    repo.commit(repo.commits[repo.head] | {"README.md": b"old"})

    result = call("publish-card", "tiny", REPO)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"{REPO}@{repo.head}"
    assert b"## Limits" in repo.commits[repo.head]["README.md"]


@pytest.mark.parametrize("command", ["push", "publish-card"])
def test_the_card_tells_what_was_measured(call, tmp_path, command):
    shares = dict.fromkeys(("image_ap", "image_f1_max", "pixel_ap", "pixel_f1_max", "au_pro", "mad"))
    shares |= {"image_auroc": 0.9876, "pixel_auroc": 0.5}
    measured = {"categories": {"a|b": {**shares, "n_good": 12, "n_defect": 7}}, "mean": shares}
    (tmp_path / "metrics.json").write_text(json.dumps(measured))

    told = call(command, "tiny", REPO, "--dry-run", "--metrics", tmp_path / "metrics.json")
    silent = call(command, "tiny", REPO, "--dry-run")
    wrong = call(command, "tiny", REPO, "--dry-run", "--metrics", tmp_path / "checkpoints/tiny/config.json")

    assert "| a\\|b | 98.8 | – | – | 50.0 | – | – | – | – | 12 | 7 |" in told.stdout
    assert "| mean | 98.8 |" in told.stdout
    assert "no metrics" not in told.stderr
    assert "tells no metrics" in silent.stderr
    assert "## Metrics" not in silent.stdout
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "Error: config.json holds no metrics. Write them with 'python -m train.evaluate --json'.\n",
    )


@pytest.mark.parametrize("command", ["push", "publish-card"])
def test_a_damaged_checkpoint_is_refused_before_anything_is_sent(call, hub, tiny_checkpoint, command):
    weights = tiny_checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")

    result = call(command, "tiny", REPO)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "SHA-256" in result.stderr
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["push", "other", REPO], 2, "no checkpoint 'other' here.*tiny"),
        (["push", "tiny", "parts"], 2, "owner/name"),
        (["push", "{folder}", REPO], 1, "lacks config.json"),
        (["push", f"{REPO}@{REVISION}", REPO], 2, "no checkpoint"),
        (["push", "tiny", "greta/parts"], 1, "right to write"),
        (["pull", f"{REPO}@main"], 2, "full commit"),
        (["pull", f"greta/parts@{REVISION}"], 2, "allow-list"),
        (["pull", f"{REPO}@{REVISION}", "--out", "{folder}"], 2, "exists already"),
        (["pull", "nothing"], 2, "No release"),
        (["pull", f"{REPO}@{REVISION}"], 1, "missing on the Hub"),
    ],
)
def test_refusals_are_one_line_without_a_path(call, tmp_path, arguments, code, words):
    (tmp_path / "empty").mkdir()

    result = call(*(argument.format(folder=tmp_path / "empty") for argument in arguments))

    assert result.exit_code == code
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert re.search(words, result.stderr.splitlines()[-1])
    assert str(tmp_path) not in result.stderr
    assert TOKEN not in result.stdout + result.stderr


def test_pull_fetches_a_release_of_the_manifest_and_says_where_it_is(call, parts, tiny_checkpoint, tmp_path):
    shutil.rmtree(tiny_checkpoint)
    (tiny_checkpoint.parent / "manifest.toml").write_text(
        f'schema_version = 1\n[[release]]\nname = "parts"\nkind = "folder"\ndecoder = "mambaad"\n'
        f'encoder = "test_efficientnet"\nlicense = "apache-2.0"\nrepo = "{REPO}"\nrevision = "{REVISION}"\n'
    )

    result = call("pull", "parts")

    assert result.exit_code == 0
    where = result.stdout.splitlines()[-1]
    assert where.startswith(str(tmp_path / "cache"))
    assert set(parts) == set(FILES)


def test_a_published_release_of_full_size_is_imported_from_the_hub_and_passes_its_checks(
    call, hub, tiny_checkpoint
):
    buffer = io.BytesIO()
    torch.save({"net": official_state()}, buffer)
    hub.add_repo(REPO, {REVISION: {"mvtec/full.pth": buffer.getvalue()}})
    (tiny_checkpoint.parent / "manifest.toml").write_text(
        f'schema_version = 1\n[[release]]\nname = "full"\nkind = "published"\ndecoder = "mambaad"\n'
        f'encoder = "resnet34.bt_in1k"\ninput_side = 64\nlicense = "apache-2.0"\nrepo = "{REPO}"\n'
        f'revision_prefix = "{REVISION[:7]}"\nfiles = [{{ path = "mvtec/full.pth" }}]\n'
    )

    imported = call("import", "full")
    verified = call("verify", "full")

    assert (imported.exit_code, verified.exit_code) == (0, 0)
    pin = f"revision {REVISION}, sha256 {hashlib.sha256(buffer.getvalue()).hexdigest()}"
    assert f"Pin in manifest.toml: {pin}" in imported.stdout
    assert "self-test passed" in verified.stdout
    assert file_sha256(tiny_checkpoint.parent / "full" / "model.safetensors") in (
        tiny_checkpoint.parent / "full" / "README.md"
    ).read_text(encoding="utf-8")


def test_published_weights_are_imported_by_their_repository_and_path(call, hub, tiny_checkpoint):
    buffer = io.BytesIO()
    torch.save({"net": official_state()}, buffer)
    hub.add_repo(REPO, {REVISION: {"visa/second.pth": buffer.getvalue()}})
    (tiny_checkpoint.parent / "manifest.toml").write_text(TWO_PUBLISHED)

    imported = call("import", REPO, "visa/second.pth")

    assert imported.exit_code == 0
    assert "Imported as second." in imported.stdout
    card = (tiny_checkpoint.parent / "second" / "README.md").read_text(encoding="utf-8")
    figures = card.split("## Figures of the authors, not measured here\n")[1].split("\n## ")[0]
    assert "| 98.6 | 99.6 | 97.8 | 97.7 | 56.3 | 59.2 | 93.0 |" in figures
    assert "Nothing was run here" in figures
    assert "Source: paper, Table 1" in figures
    shown = json.loads(call("verify", "second", "--json").stdout)[0]
    assert (shown["quoted"]["au_pro"], shown["source_of_numbers"]) == (93.0, "a paper, not measured here")


def test_verify_refuses_an_embedded_checkpoint_that_the_manifest_does_not_know(call, tiny_checkpoint):
    (tiny_checkpoint.parent / "manifest.toml").write_text(
        'schema_version = 1\n[[release]]\nname = "tiny"\nkind = "embedded"\ndecoder = "mambaad"\n'
        'encoder = "test_efficientnet"\nlicense = "apache-2.0"\n'
        f'files = [{{ path = "config.json", sha256 = "{"0" * 64}" }}]\n'
    )

    verified = call("verify")

    assert verified.exit_code == 1
    assert "FAILED. config.json of the embedded checkpoint 'tiny' has SHA-256" in verified.stdout
    assert "manifest.toml expects" in verified.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([REPO], r"which of its files.*mvtec/first\.pth \(first\); visa/second\.pth \(second\)"),
        ([REPO, "third.pth"], r"which of its files.*mvtec/first\.pth"),
        (["first", "second"], r"which of its files.*mvtec/first\.pth"),
        (["greta/parts", "parts.pth"], f"no published weights of greta/parts, but of: {REPO}.*Add them"),
        (["tiny"], "No release is called 'tiny'"),
        (["ours"], "needs no import"),
        (["{file}", "second"], "a file, not a repository"),
    ],
)
def test_an_import_that_names_no_single_release_says_what_there_is(
    call, hub, tiny_checkpoint, tmp_path, arguments, words
):
    (tiny_checkpoint.parent / "manifest.toml").write_text(TWO_PUBLISHED)
    (tmp_path / "weights.pth").touch()

    refused = call("import", *(argument.format(file=tmp_path / "weights.pth") for argument in arguments))

    assert refused.exit_code == 2
    assert re.search(words, refused.stderr)
    assert hub.requests == []
    assert {path.name for path in tiny_checkpoint.parent.iterdir()} == {"manifest.toml", "tiny"}
