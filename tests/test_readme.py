"""The README's front matter, commands, settings and tree are true."""

import inspect
import re
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from huggingface_hub.constants import _HF_DEFAULT_ENDPOINT
from typer.main import get_command

from mambaad_demo.__main__ import app as command_line
from mambaad_demo.settings import Settings
from mambaad_demo.ui.shutdown import end_for_certain

ROOT = Path(__file__).parent.parent
_, FRONT_MATTER, TEXT = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)
SPACE = yaml.safe_load(FRONT_MATTER)
TREE = re.search(r"## The tree\n+```\n(.*?)```", TEXT, re.DOTALL)[1]


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Paths that git tracks, as seen from the root of the repository."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("this is no git checkout, so nothing says which files belong to it")
    return listing.stdout.split("\0")[:-1]


def _pin(package: str, file: str) -> str:
    return re.search(rf"^{package}==(\S+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)[1]


def _tree_entries() -> list[str]:
    """Full paths of the tree's lines; an indented line belongs to the last folder without indent."""
    entries, folder = [], ""
    for line in TREE.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else name
        entries.append(folder + name if line.startswith(" ") else name)
    return entries


def test_front_matter_describes_a_gradio_space():
    assert SPACE["sdk"] == "gradio"
    assert SPACE["license"] == "apache-2.0"
    assert {"title", "emoji", "colorFrom", "colorTo", "models", "tags"} <= SPACE.keys()
    assert {"hf_oauth", "startup_duration_timeout", "suggested_hardware"} <= SPACE.keys()
    assert (ROOT / SPACE["app_file"]).is_file()
    assert len(SPACE["short_description"]) <= 60


def test_a_space_asks_its_visitors_for_the_least_rights_that_publishing_needs():
    assert SPACE["hf_oauth"] is True
    assert SPACE["hf_oauth_scopes"] == ["contribute-repos"]  # makes repositories and changes those, no others


def test_one_gradio_version_everywhere():
    pins = {_pin("gradio", "requirements.txt"), _pin("gradio", "constraints.txt"), version("gradio")}
    assert pins == {SPACE["sdk_version"]}


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"make ([a-z]+)\b", TEXT)) & {"demo", "test", "bench"})
)
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "module", sorted(set(re.findall(r"(?<!/)\b((?:train|benchmarks)\.[a-z_]+)\b", TEXT)))
)
def test_named_scripts_exist(module):
    assert find_spec(module) is not None


def test_named_subcommands_exist():
    named = set(re.findall(r"-m mambaad_demo ([a-z-]+)", TEXT))
    assert named
    assert named <= get_command(command_line).commands.keys()


def _settings_table() -> dict[str, tuple[str, str]]:
    """Default and meaning by variable; two variables of one row share them."""
    section = TEXT.split("## Settings\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {
        name: (default.strip(), meaning.strip())
        for names, default, meaning in rows
        for name in re.findall(r"`([A-Z_]+)`", names)
    }


READ_BY_LIBRARIES = {
    "HF_TOKEN": "none",
    "HF_ENDPOINT": f"`{_HF_DEFAULT_ENDPOINT}`",
    "HF_HUB_OFFLINE": "`0`",
    "HF_HUB_CACHE": "`~/.cache/huggingface/hub`",
    "HF_HOME": "`~/.cache/huggingface/hub`",
    "FORWARDED_ALLOW_IPS": "`127.0.0.1`",
}


def test_every_setting_is_in_the_table_and_no_other():
    source = (ROOT / "mambaad_demo/settings.py").read_text(encoding="utf-8")
    known = set(
        re.findall(r"\b((?:MAMBAAD|GRADIO)_[A-Z_]+|PORT|SPACE_ID|OAUTH_CLIENT_ID|SPACES_ZERO_GPU)\b", source)
    )
    named_elsewhere = set(re.findall(r"`(MAMBAAD_[A-Z_]+)`", TEXT))

    assert _settings_table().keys() == known | READ_BY_LIBRARIES.keys()
    assert named_elsewhere <= known
    assert all(meaning for _, meaning in _settings_table().values())


def test_defaults_in_the_table_are_the_real_ones():
    here, on_space = Settings.from_env({}), Settings.from_env({"SPACE_ID": "a/b"})
    table = {name: default for name, (default, _) in _settings_table().items()}
    assert table == {
        "PORT": f"`{here.port}`",
        "GRADIO_SERVER_PORT": f"`{here.port}`",
        "GRADIO_SERVER_NAME": f"`{here.host}`",
        "GRADIO_ALLOWED_PATHS": "none",
        "GRADIO_TEMP_DIR": f"`{here.uploads.relative_to(here.home)}/` in the home",
        "MAMBAAD_HOME": f"`~/{here.home.relative_to(Path.home())}`",
        "MAMBAAD_CHECKPOINTS": f"`{here.checkpoints.relative_to(ROOT)}/`",
        "MAMBAAD_DEVICE": f"`{here.device}`",
        "MAMBAAD_KERNEL": f"`{here.kernel}`",
        "MAMBAAD_PRECISION": f"`{here.precision}`",
        "MAMBAAD_ALLOWED_REPOS": "none" if here.allowed_repos == () else "",
        "MAMBAAD_RETENTION_MINUTES": f"`{here.retention_minutes}`",
        "MAMBAAD_MAX_UPLOAD_MB": f"`{here.max_upload_mb}`",
        "MAMBAAD_MAX_DISK_GB": f"`{here.max_disk_gb}`, in a Space `{on_space.max_disk_gb}`",
        "MAMBAAD_TRUSTED_HOSTS": "none" if here.trusted_hosts == () else "",
        "MAMBAAD_SHARED": f"`{here.shared:d}`; in a Space `{on_space.shared:d}`",
        "MAMBAAD_LOG": f"`{here.log_format}`",
        "MAMBAAD_LOG_LEVEL": f"`{here.log_level}`",
        "MAMBAAD_DATABASE_URL": "SQLite in the home",
        "MAMBAAD_FILES_URL": f"`{Path(here.files_url).relative_to(here.home)}/` in the home",
        "SPACE_ID": "none",
        "OAUTH_CLIENT_ID": "none",
        "SPACES_ZERO_GPU": "none",
        **READ_BY_LIBRARIES,
    }


@pytest.mark.parametrize("entry", _tree_entries())
def test_the_tree_names_what_exists(entry):
    path = ROOT / entry
    assert path.is_dir() if entry.endswith("/") else path.is_file()


def test_the_tree_names_everything_at_the_top(tracked):
    top = {name.split("/")[0] for name in tracked}
    assert top <= {entry.rstrip("/") for entry in _tree_entries()}


def test_pictures_and_linked_files_exist():
    targets = re.findall(r"\]\((?!https?://|#)([^)]+)\)", TEXT)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_the_numbers_are_filled_in():
    section = TEXT.split("## Numbers\n")[1].split("\n## ")[0]
    assert re.search(r"\|.*\d\.\d", section), "the README's numbers section has no table with figures yet"


def test_no_tracked_file_names_a_place_on_somebody_s_machine(tracked):
    place = re.compile(rb"(?<![A-Za-z0-9._~}])/(?:tmp|root|home|work)/[A-Za-z]")
    found = [
        name
        for name in tracked
        if not name.startswith("tests/")
        and (content := (ROOT / name).read_bytes())
        and b"\0" not in content[:8000]
        and place.search(content)
    ]
    assert found == []


def test_a_server_is_given_longer_to_end_than_it_may_take():
    ((takes, given),) = re.findall(r"ends within (\d+) seconds: give it \d+ .* -t (\d+)", TEXT)

    assert int(takes) == inspect.signature(end_for_certain).parameters["after"].default
    assert int(given) > int(takes)
