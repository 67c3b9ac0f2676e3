"""A team with something in every table of the store."""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.pipeline.labeling import Collection, Finding, Label
from mambaad_demo.storage import collecting, inspections, jobs, labels, review, studies
from mambaad_demo.storage.jobs import BATCH, Refused
from mambaad_demo.storage.listing import Filters
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.review import Queue
from mambaad_demo.storage.workspace import Workspace
from tests.storage.parts import HEIGHT, VERSION, WIDTH, judged

QUEUE = Queue(reviewer="Mira", filters=Filters())
SCRATCH = Label(
    finding=Finding.DEFECT,
    defect_type="scratch",
    note="=1+1\n🙂",
    mask=mask_png(np.eye(HEIGHT, WIDTH, dtype=bool)),
)
SPEC = {"parts": 3, "nothing": None, "deep": [{"a": 0.1}, [], "\x00\ud800"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What the team has."""

    job: str
    image: int
    inspection: int
    sha256: str
    study: int


def fill(workspace: Workspace) -> Ids:
    """Give a workspace a row in every table."""
    job = jobs.create_job(workspace, kind=BATCH, name="ours", spec=SPEC, actor="Mira")
    refused = Refused(name="x.svg", error="SVG is refused.")
    items = [(0, refused), *((number, judged(number)) for number in range(1, 4))]
    jobs.add_items(workspace, job, items, version=VERSION, tiles=1)
    first, second, _ = inspections.inspections(workspace)
    for is_repeat in (False, True):
        labels.decide(
            workspace, first.image_id, SCRATCH, reviewer="Mira", is_repeat=is_repeat, inspection_id=first.id
        )
    labels.decide(workspace, second.image_id, SCRATCH, reviewer="Mira", seconds=0.1)
    labels.undo(workspace, reviewer="Mira")
    labels.save_draft(workspace, first.image_id, {"note": "half", "mask": None}, reviewer="Mira")
    assert review.next_turn(workspace, QUEUE) is not None
    review.save_view(workspace, "view", Filters())
    for collection in Collection:
        collecting.add(workspace, first.image_id, collection, Finding.GOOD, reviewer="Mira")
    study = studies.save(workspace, name="study", spec=SPEC, result={}, actor="Mira")
    return Ids(job=job, image=first.image_id, inspection=first.id, sha256=first.sha256, study=study)
