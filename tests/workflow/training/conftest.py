"""Runners whose processes hold a stand-in for the engine, and photos to give them."""

import os
import zipfile
from contextlib import closing

import pytest

from mambaad_demo.workflow.training.runner import TrainingRunner
from tests.workflow.stored import workspace
from tests.workflow.training.stand_ins import STAND_IN, Meetings, Shelf, photo

__all__ = ["workspace"]


@pytest.fixture
def meetings():
    with closing(Meetings()) as opened:
        yield opened


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture
def running(tmp_path, meetings, shelf):
    """Makes runners over one folder whose processes behave as told, and closes them."""
    runners = []

    def new(behavior="quick", **options):
        environ = {**os.environ, **meetings.environ, "STAND_IN": behavior}
        runners.append(
            TrainingRunner(
                options.pop("catalog", shelf),
                tmp_path / "trainings",
                tmp_path / "versions",
                tmp_path / "replay",
                device="cpu",
                kernel="torch",
                environ=environ,
                command=options.pop("command", STAND_IN),
            )
        )
        return runners[-1]

    yield new
    for runner in runners:
        runner.close()


@pytest.fixture
def photos(tmp_path):
    """Writes photos of good parts and returns their paths."""

    def put(count=5, folder="uploads"):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        paths = [place / f"part {number}.png" for number in range(count)]
        for number, path in enumerate(paths):
            path.write_bytes(photo(number))
        return paths

    return put


@pytest.fixture
def zipped(tmp_path):
    """Writes a zip file of contents by name."""

    def put(contents):
        path = tmp_path / "good.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path

    return put
