"""A process that works on a store and says what is confirmed, so that tests can kill it.

    python -m tests.storage.writer DATABASE_URL FILES_URL JOB REVIEWER COUNT

It waits for a line on stdin, then confirms the parts of a batch two at a time and decides on each.
"""

import sys
from collections.abc import Callable

import numpy as np

from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import jobs, labels
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.workspace import Workspace
from tests.databases import Store
from tests.storage.parts import HEIGHT, VERSION, WIDTH, judged


def main(database_url: str, files_url: str, job_id: str, reviewer: str, count: str) -> None:
    with Store(database_url, files_url).opened() as workspace:
        print_line("ready")
        sys.stdin.readline()
        work(workspace, job_id, reviewer, int(count), print_line)


def work(workspace: Workspace, job_id: str, reviewer: str, count: int, say: Callable[[str], object]) -> None:
    """Do what is not done yet."""
    done = jobs.done_names(workspace, job_id)
    parts = [(number, judged(number)) for number in range(count)]
    waiting = [(number, part) for number, part in parts if part.name not in done]
    for start in range(0, len(waiting), 2):
        pair = waiting[start : start + 2]
        jobs.add_items(workspace, job_id, pair, version=VERSION, tiles=1)
        for number, part in pair:
            say(f"item {part.name}")
            image_id = labels.image_id(workspace, part.prediction.sha256)
            label = Label(finding=Finding.DEFECT, defect_type=f"{reviewer} {number}", mask=frame(number))
            decision = labels.decide(workspace, image_id, label, reviewer=reviewer)
            say(f"decision {decision.id}")


def frame(number: int) -> bytes:
    """A mask of its own for each part."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask.flat[: number + 1] = True
    return mask_png(mask)


def print_line(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
