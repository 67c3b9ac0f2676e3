"""The process of a job with a stand-in for the engine, which starts in no time.

`python stand_in_process.py FOLDER` does what `STAND_IN` says. At step `MEETING` it calls the test at
`STAND_IN_PORT`; the line stays open for as long as the process lives.
"""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mambaad_demo.errors import DivergedError
from mambaad_demo.workflow.training.layout import JobFolder
from mambaad_demo.workflow.training.loop import run_job

LAST = 20
MEETING = 12
VALIDATED_EACH = 5


@dataclass
class Preparation:
    what: str
    done: int
    total: int


@dataclass
class Validation:
    loss: float
    separation: float
    is_best: bool


@dataclass
class Refusal:
    name: str
    reason: str


@dataclass
class Progress:
    step: int
    progress: float
    loss: float
    learning_rate: float
    seconds: float
    remaining_seconds: float
    validation: Validation | None


class StandIn:
    """Learns to count; its state is the last step, and the best one is the last validated."""

    def __init__(self, state, *, at_meeting=lambda: None, last=LAST, seconds_a_step=1.0):
        self.state, self.at_meeting, self.last = state, at_meeting, last
        self.seconds_a_step = seconds_a_step
        self.asked_for_previews = 0
        self.refused, self.notices = [], []

    def prepare(self):
        self.refused = [Refusal("00004.png", "00004.png: The picture is torn.")]
        for done in range(3):
            yield Preparation(what="reading photos", done=done, total=3)

    def steps(self):
        saved = self._saved()
        step, best = saved["last"], saved["best"]
        try:
            while self.last is None or step < self.last:
                step += 1
                if step == MEETING:
                    self.at_meeting()
                validation = None
                if step % VALIDATED_EACH == 0:
                    best = step
                    self._save(step, best)
                    validation = Validation(loss=1 / step, separation=step / 2, is_best=True)
                if self.last is None:
                    time.sleep(0.002)  # it works
                share = 0.5 if self.last is None else step / self.last
                seconds = step * self.seconds_a_step
                yield Progress(step, share, 2 / step, 0.001, seconds, 60 * (1 - share), validation)
        finally:
            self._save(step, best)

    def previews(self):
        self.asked_for_previews += 1
        return [("00001.png", b"\xff\xd8 one"), ("unknown.png", b"\xff\xd8 two")]

    def save(self, folder, name):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"name": name, "best": self._saved()["best"]}))
        return {"best_step": self._saved()["best"]}

    def _saved(self):
        return json.loads(self.state.read_text()) if self.state.exists() else {"last": 0, "best": None}

    def _save(self, last, best):
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps({"last": last, "best": best}))
        new.replace(self.state)


def call():
    """Tell the test who is there, and leave the line open."""
    line = socket.create_connection(("127.0.0.1", int(os.environ["STAND_IN_PORT"])))
    line.sendall(f"{os.getpid()}\n".encode())
    return line


def wait_for_word():
    with call() as line:
        line.recv(1)


def hang():
    line = call()
    threading.Event().wait()
    line.close()


def have_a_child_that_hangs():
    line = call()
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    subprocess.Popen([sys.executable, "-c", code], pass_fds=[line.fileno()])


def crash():
    raise RuntimeError(f"a secret in {Path(__file__).parent}/somewhere")


def diverge():
    raise DivergedError(step=MEETING, learning_rate=0.5)


def fill_the_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


lines = []
ENDLESS = "endless"
BEHAVIORS = {
    "quick": lambda: None,
    ENDLESS: lambda: lines.append(call()),
    "gate": wait_for_word,
    "stuck": hang,
    "family": have_a_child_that_hangs,
    "crash": crash,
    "diverge": diverge,
    "full": fill_the_disk,
    "die": die,
}


def open_stand_in(order, folder):
    behavior = os.environ["STAND_IN"]
    print(f"{behavior} over {order.base}", flush=True)
    last = None if behavior in (ENDLESS, "family") else LAST
    return StandIn(folder.state, at_meeting=BEHAVIORS[behavior], last=last)


if __name__ == "__main__":
    sys.exit(run_job(JobFolder(Path(sys.argv[1])), open_stand_in))
