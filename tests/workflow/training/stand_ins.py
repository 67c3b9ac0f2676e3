"""What tests of trainings put around the runner: checkpoints, photos, a line on which processes call."""

import io
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from mambaad_demo.errors import UnknownReleaseError
from mambaad_demo.pipeline.finetune_spec import FinetuneSpec
from mambaad_demo.workflow.training.job_folder import TrainingSpec

LONGEST = 60.0  # seconds that a test waits for another process before it fails
STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in_process.py")))


class Shelf:
    """Stands in for `Catalog`: the checkpoint `mambaad` and what lies among the versions."""

    def __init__(self, folder, *embedded):
        self.folder, self.embedded, self.forgotten = folder, ("mambaad", *embedded), []

    def names(self):
        return self.embedded

    def predictor(self, name):
        if name not in self.embedded:
            raise UnknownReleaseError(f"There is no checkpoint {name!r}.")
        return SimpleNamespace(checkpoint=SimpleNamespace(folder=self.folder / "checkpoints" / name))

    def forget(self, name):
        self.forgotten.append(name)


class Caller:
    """A process at the line: its pid, and whether it still lives."""

    def __init__(self, line):
        self.line = line
        self.pid = int(line.makefile().readline())

    def is_gone(self):
        """Wait until the process, and all it started, have hung up."""
        return self.line.recv(1) == b""

    def let_go(self):
        self.line.sendall(b"g")


class Meetings:
    """Where processes call."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.lines = []

    @property
    def environ(self):
        return {"STAND_IN_PORT": str(self.server.getsockname()[1])}

    def next(self, timeout=LONGEST):
        self.server.settimeout(timeout)
        line, _ = self.server.accept()
        line.settimeout(LONGEST)
        self.lines.append(line)
        return Caller(line)

    def close(self):
        for line in self.lines:
            line.close()
        self.server.close()


def photo(number=0, side=24):
    pixels = np.random.default_rng(number).integers(60, 120, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def spec(category="Cookie", **options):
    finetune = FinetuneSpec(category=category, steps=20)
    return TrainingSpec(checkpoint="mambaad", finetune=finetune, **options)


def start(runner, workspace, photos, **options):
    asked = options.pop("spec", None) or spec(**options)
    return runner.start(workspace, asked, photos, name="cookies", actor="test")
