"""A sitting as the data that `assets/review.js` draws: one part, what is known of it, and who comes next.

Text from people goes into the page as text only. Of a hidden repeat nothing is shown that a fresh part would
not show.
"""

import io
from typing import Any

import numpy as np
from PIL import Image

from mambaad_demo.errors import DemoError
from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.storage import collecting, labels, review
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import StoredInspection
from mambaad_demo.storage.labels import StoredDecision
from mambaad_demo.storage.masks import mask_of
from mambaad_demo.storage.review import Queue
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui.present import data_uri
from mambaad_demo.ui.present_batch import multiple_text, thumbnail_uri
from mambaad_demo.ui.reviewing import Form, Shown, Sitting, kept_mask, last_word, stretched
from mambaad_demo.ui.words import TITLES, score_text, spoken
from mambaad_demo.workflow import rendering

WORDS = {Finding.GOOD: "good", Finding.DEFECT: "defect", Finding.UNSURE: "unsure"}


def review_value(workspace: Workspace, sitting: Sitting | None) -> dict[str, Any]:
    """Everything the page needs until the next press."""
    if sitting is None:
        return {"item": None, "problem": "", "queue": {"left": None, "items": []}, "pace": ""}
    seen = {shown.image for shown in sitting.seen}
    left, first = review.waiting(workspace, sitting.queue, seen=seen)
    item, problem = None, sitting.problem
    if sitting.shown is not None:
        try:
            item = _item(workspace, sitting.shown, sitting.queue)
        except DemoError as error:  # the queue goes on without a part that is gone, or whose files are
            problem = str(error)
    skipped = len(seen) if left == 0 else 0
    return {
        "item": item,
        "problem": problem,
        "queue": {"left": left, "items": [_waiting(workspace, one) for one in first], "seen": skipped},
        "pace": pace_text(review.pace(workspace, sitting.queue.reviewer)),
    }


def pace_text(pace: review.Pace) -> str:
    """How the reviewer gets on, such as `63 decided · 4.1 s each`."""
    if pace.median_seconds is None:
        return f"{pace.decided} decided"
    return f"{pace.decided} decided · {pace.median_seconds:.1f} s each"


def _item(workspace: Workspace, shown: Shown, queue: Queue) -> dict[str, Any]:
    reviewer = queue.reviewer
    inspection = review.turn_of(workspace, shown.image).inspection
    past = [] if shown.is_repeat else _known(labels.history(workspace, shown.image), queue)
    preview = rendering.preview_jpeg(workspace, inspection)
    width, height = rendering.preview_size(workspace, inspection)
    predicted = rendering.predicted_mask_at(workspace, inspection, width, height)
    kept = kept_mask(past, reviewer)
    return {
        "image": shown.image,
        "name": inspection.name,
        "product": spoken(inspection.product),
        "verdict": inspection.verdict.value,
        "facts": [
            ["score", f"{score_text(inspection.score)} · {multiple_text(inspection)}"],
            ["first verdict", f"{TITLES[inspection.verdict].lower()}, by {_version(inspection)}"],
            ["product", spoken(inspection.product)],
            ["file", inspection.name],
        ],
        "preview": data_uri(preview, "image/jpeg"),
        "heat": data_uri(rendering.heat_png(workspace, inspection), "image/png"),
        "predicted": _mask_uri(predicted) if predicted.any() else "",
        "kept": "" if kept is None else _mask_uri(_small(workspace, kept, width, height)),
        "types": labels.products(workspace).get(inspection.product, []),
        "form": _form(workspace, shown, reviewer, past),
        "history": [_line(one) for one in past],
    }


def _known(past: list[StoredDecision], queue: Queue) -> list[StoredDecision]:
    """What a reviewer may know before deciding: where everybody sees every part, not what others said."""
    own = [one for one in past if one.reviewer == queue.reviewer]
    has_decided = any(one.undone_at is None for one in own)
    return past if queue.is_shared or has_decided else own


def _form(workspace: Workspace, shown: Shown, reviewer: str, past: list[StoredDecision]) -> dict[str, Any]:
    """What the form starts with: a draft, else the reviewer's word so far, else nothing."""
    golden = Collection.GOLDEN in collecting.collections_of(workspace, shown.image)
    empty = Form().model_dump(mode="json") | {"finding": ""}
    if shown.is_repeat:
        return empty
    said = empty | {"is_golden": golden}
    word = last_word(past, reviewer)
    if word is not None:
        said |= {
            "finding": word.finding.value if word.undone_at is None else "",
            "defect_type": word.defect_type,
            "severity": word.severity.value,
            "note": word.note,
        }
    draft = labels.draft(workspace, shown.image, reviewer=reviewer)
    return said if draft is None else said | draft


def _line(decision: StoredDecision) -> dict[str, Any]:
    """A line of the history."""
    words = [WORDS[decision.finding], decision.defect_type, decision.severity.value]
    extras = ["with mask"] if decision.mask_sha256 else []
    return {
        "when": f"{decision.decided_at:%d %b %H:%M} UTC",
        "text": f"{decision.reviewer}: {', '.join(word for word in [*words, *extras] if word)}",
        "note": decision.note,
        "undone": decision.undone_at is not None,
    }


def _waiting(workspace: Workspace, inspection: StoredInspection) -> dict[str, Any]:
    return {
        "image": inspection.image_id,
        "product": spoken(inspection.product),
        "multiple": multiple_text(inspection),
        "verdict": inspection.verdict.value,
        "picture": thumbnail_uri(workspace, inspection.sha256),
    }


def _version(inspection: StoredInspection) -> str:
    return f"{inspection.checkpoint} {inspection.checkpoint_sha256[:6]}"


def _small(workspace: Workspace, mask_sha256: str, width: int, height: int) -> np.ndarray:
    return stretched(mask_of(workspace.files.read(FileKind.MASK, mask_sha256)), width, height)


def _mask_uri(mask: np.ndarray) -> str:
    """White where the mask is, nothing elsewhere."""
    picture = Image.fromarray(mask.astype(np.uint8))
    picture.putpalette([0, 0, 0, 255, 255, 255], "RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=0)
    return data_uri(buffer.getvalue(), "image/png")
