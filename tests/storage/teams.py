"""A team with something in every table of the store."""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import inspections, jobs, labels, review, studies
from mambaad_demo.storage.jobs import BATCH, Refused
from mambaad_demo.storage.limits import LimitContent, Source
from mambaad_demo.storage.listing import Filters
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.review import Queue
from mambaad_demo.storage.tables import LimitSet, Promotion
from mambaad_demo.storage.workspace import Workspace
from tests.storage.parts import HEIGHT, PRODUCT, VERSION, WIDTH, judged
from tests.ui.fakes import calibration

QUEUE = Queue(reviewer="Mira", filters=Filters())
SCRATCH = Label(
    finding=Finding.DEFECT,
    defect_type="scratch",
    note="=1+1\n🙂",
    mask=mask_png(np.eye(HEIGHT, WIDTH, dtype=bool)),
)
LIMITS = LimitContent(calibration=calibration(), source=Source.LABELS).model_dump(mode="json")
SPEC = {"parts": 3, "nothing": None, "deep": [{"a": 0.1}, [], "\x00\ud800"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What the team has."""

    job: str
    image: int
    inspection: int
    sha256: str
    study: int
    promotion: int


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
    good = Label(finding=Finding.GOOD)
    labels.decide(workspace, first.image_id, good, reviewer="Ben", is_taught=True, is_golden=True)
    labels.decide(workspace, second.image_id, SCRATCH, reviewer="Mira", seconds=0.1)
    labels.undo(workspace, reviewer="Mira")
    labels.save_draft(workspace, first.image_id, {"note": "half", "mask": None}, reviewer="Mira")
    assert review.next_turn(workspace, QUEUE) is not None
    review.save_view(workspace, "view", Filters())
    study = studies.save(workspace, name="study", spec=SPEC, result={}, actor="Mira")
    return Ids(
        job=job,
        image=first.image_id,
        inspection=first.id,
        sha256=first.sha256,
        study=study,
        promotion=_set_up(workspace),
    )


def _set_up(workspace: Workspace) -> int:
    """A limit, taken back since, and an active version, whose promotion is returned."""
    about = {
        "workspace": workspace.key,
        "checkpoint": VERSION.checkpoint,
        "checkpoint_sha256": VERSION.sha256,
        "category": PRODUCT,
        "note": "=1+1\n🙂",
        "actor": "Mira",
    }
    with workspace.database.writing() as session:
        session.add_all(LimitSet(**about, tiles=1, content=content) for content in (LIMITS, None))
        promotion = Promotion(**about, action="promote", override_reason="", golden=SPEC)
        session.add(promotion)
        session.flush()
        return promotion.id
