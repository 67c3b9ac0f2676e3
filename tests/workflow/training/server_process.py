"""A server with one training, to be killed: `python server_process.py DATABASE HOME PHOTO…`."""

import os
import sys
from pathlib import Path

from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.training.runner import TrainingRunner
from tests.workflow.training.stand_ins import STAND_IN, Shelf, start


def serve(database_url, home, *photos):
    """Start a training and wait for its end."""
    folder = Path(home)
    runner = TrainingRunner(
        Shelf(folder),
        folder / "trainings",
        folder / "versions",
        folder / "replay",
        device="cpu",
        kernel="torch",
        environ=os.environ,
        command=STAND_IN,
    )
    workspace = Workspace.open(database_url, "memory://server")
    runner.wait(start(runner, workspace, [Path(photo) for photo in photos]))


if __name__ == "__main__":
    serve(*sys.argv[1:])
