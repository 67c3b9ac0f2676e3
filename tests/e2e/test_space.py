"""What a Space or a container gets: the tracked files and the packages of `requirements.txt`, nothing else.

Only packages that `requirements.txt` names or pulls in are linked into a folder, which is then all that the
app's Python can see beside its own library.
"""

import html
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from tests.e2e.conftest import ROOT, running_app

NOT_SENT = ("tests/", "benchmarks/", "docs/", ".")
ON_A_SPACE = {"SPACE_ID": "team/inspector", "GRADIO_SERVER_NAME": "127.0.0.1"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the packages of `requirements.txt` and those they need."""
    folder = tmp_path_factory.mktemp("site")
    for found in _needed(_requirements()).values():
        for top in {Path(file).parts[0] for file in found.files} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(found.locate_file(top))
    return folder


def _requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def _needed(wanted: list[str]) -> dict[str, Distribution]:
    """Distributions by name: those asked for and all that they ask for, here and now."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), "") for text in wanted]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            continue  # whether that matters shows when the app starts
        name = package.name.lower().replace("_", "-")
        if name not in found or requirement.extras:
            found[name] = package
            waiting += [
                (Requirement(text), one)
                for text in package.requires or ()
                for one in (*requirement.extras, "")
            ]
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The files that a Space runs."""
    folder = tmp_path_factory.mktemp("checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("this is no git checkout, so nothing says which files belong to it")
    for name in listing.stdout.split("\0")[:-1]:
        if not name.startswith(NOT_SENT) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_development_tools_are_out_of_sight(packages):
    command = [sys.executable, "-S", "-c", "import gradio, torch; import pytest"]

    tried = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "No module named 'pytest'" in tried.stderr


def test_a_space_starts_from_its_files_alone_and_inspects(packages, checkout, tmp_path):
    settings = {**ON_A_SPACE, "PYTHONPATH": str(packages)}

    with running_app(tmp_path, settings, python=(sys.executable, "-S"), root=checkout) as (url, log):
        page = html.unescape(httpx.get(url, timeout=60).text)

    assert "Copy this Space" in page
    assert re.search(r"MambaAD over \w+", page), "the first sample part is not inspected"
    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_the_copy_button_is_a_space_s_only(app_url):
    components = httpx.get(f"{app_url}/config", timeout=60).json()["components"]

    (button,) = [one for one in components if "Copy this Space" in str(one["props"].get("value"))]
    assert button["props"]["visible"] is False


def test_the_container_copies_all_that_the_app_needs(packages, tmp_path):
    image = tmp_path / "image"
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY "):
            *sources, target = [part for part in line.split()[1:] if not part.startswith("--")]
            for source in sources:
                place = image / target if target.endswith("/") else image
                place.mkdir(parents=True, exist_ok=True)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, dirs_exist_ok=True)
                else:
                    shutil.copy(ROOT / source, place)
    (tmp_path / "home").mkdir()

    settings = {"PYTHONPATH": str(packages), "MAMBAAD_KERNEL": "torch"}  # compiles nothing anew
    with running_app(tmp_path / "home", settings, python=(sys.executable, "-S"), root=image) as (url, log):
        assert "MambaAD" in httpx.get(url, timeout=60).text

    assert "Traceback" not in log.read_text(encoding="utf-8")


def test_the_container_has_the_python_that_the_tests_know():
    front_matter = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n", 2)[1])
    (base,) = re.findall(r"^FROM python:(\d\.\d+)-", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)

    assert base in ("3.11", "3.12", "3.13")
    assert front_matter["python_version"] in ("3.11", "3.12", "3.13")
