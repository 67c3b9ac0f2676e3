"""A reviewer's sitting: from what they press to what the page shows next, one committed decision at a time.

Which part comes next is the queue's business, drawing it `present_review.py`'s.
"""

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
from PIL.PngImagePlugin import PngImageFile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mambaad_demo.data.uploads import DECODER_ERRORS
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label, Severity
from mambaad_demo.storage import labels, review
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.labels import StoredDecision
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.review import Queue, Turn
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.rendering import preview_size

_LONGEST_MASK = 4 * 2**20  # characters of a mask of at most 1024 × 1024 pixels, as the page sends it
_MASK_START = "data:image/png;base64,"


class Form(BaseModel):
    """What stands in the form beside the picture; comes from a browser."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defect_type: Annotated[str, Field(max_length=400)] = ""
    severity: Severity = Severity.UNSTATED
    note: Annotated[str, Field(max_length=8000)] = ""
    is_golden: bool = False
    mask: Annotated[str, Field(max_length=_LONGEST_MASK)] = ""
    """Empty without one, `kept` for the one that is stored already, or a PNG as data URL."""


class Action(BaseModel):
    """What a reviewer pressed; comes from a browser."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    do: Literal["decide", "undo", "redo", "next", "previous", "open", "draft", "renew"]
    image: int | None = None
    """The picture on the screen, or the one to open."""
    finding: Finding | None = None
    teach: bool = False
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    form: Form = Form()

    @classmethod
    def read(cls, data: object) -> Self:
        """Check what came.

        Raises:
            InputError: it is nothing this page sends.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError("The page sent something this server does not know. Load it again.") from error


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that was on the screen."""

    image: int
    is_repeat: bool = False
    """Whether it was shown once more without saying so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Where a reviewer is; kept by the server between two presses."""

    queue: Queue
    seen: tuple[Shown, ...] = ()
    """What was shown in this sitting, in order."""
    position: int = -1
    """Which of them is on the screen; -1 before the first."""
    problem: str = ""
    """Why the last press changed nothing."""

    @property
    def shown(self) -> Shown | None:
        """What is on the screen; None before the first part and after the last."""
        return self.seen[self.position] if 0 <= self.position < len(self.seen) else None


def begin(workspace: Workspace, queue: Queue) -> Sitting:
    """A new sitting with its first part; the reviewer's name is from here on as the store has it."""
    queue = replace(queue, reviewer=labels.reviewer_name(queue.reviewer))
    return _forward(workspace, Sitting(queue=queue))


def act(workspace: Workspace, sitting: Sitting, action: Action) -> Sitting:
    """Do what was pressed; a decision is committed before this returns.

    Raises:
        InputError: it cannot be done; nothing was changed.
        StorageError: the store failed; nothing was changed.
    """
    sitting = _after(workspace, replace(sitting, problem=""), action)
    if sitting.shown is not None and sitting.queue.is_shared and action.do != "decide":
        review.claim(workspace, sitting.shown.image, reviewer=sitting.queue.reviewer)
    return sitting


def _after(workspace: Workspace, sitting: Sitting, action: Action) -> Sitting:
    match action.do:
        case "decide":
            decide(workspace, sitting, action)
            return _forward(workspace, sitting)
        case "next":
            return _forward(workspace, sitting)
        case "previous":
            return replace(sitting, position=max(sitting.position - 1, 0))
        case "open":
            return _opened(workspace, sitting, _image(action))
        case "undo" | "redo":
            return _switched(workspace, sitting, action.do)
        case "draft":
            if sitting.shown == Shown(_image(action)):
                content = action.form.model_dump(mode="json")
                labels.save_draft(workspace, _image(action), content, reviewer=sitting.queue.reviewer)
            return sitting
        case "renew":  # the part is still on the screen
            return sitting


def decide(workspace: Workspace, sitting: Sitting, action: Action) -> StoredDecision:
    """Record the decision on the picture that was on the screen when the key was pressed."""
    image = _image(action)
    shown = sitting.shown
    if shown is None or image != shown.image:
        raise InputError("The picture has changed meanwhile. Look again, then decide.")
    if action.finding is None:
        raise InputError("Say whether the part is good or defective.")
    if action.teach and action.finding is not Finding.GOOD:
        raise InputError("Only good parts can be taught as good.")
    turn = review.turn_of(workspace, image)
    return labels.decide(
        workspace,
        image,
        Label(
            finding=action.finding,
            defect_type=action.form.defect_type,
            severity=action.form.severity,
            note=action.form.note,
            mask=mask_of_form(workspace, turn, action.form.mask, reviewer=sitting.queue.reviewer),
        ),
        reviewer=sitting.queue.reviewer,
        inspection_id=turn.inspection.id,
        is_repeat=shown.is_repeat,
        is_taught=action.teach,
        is_golden=action.form.is_golden,
        seconds=action.seconds,
    )


def mask_of_form(workspace: Workspace, turn: Turn, given: str, *, reviewer: str) -> bytes | None:
    """The mask at the size of the picture, from what the page sent.

    The page draws on a smaller copy; each of its pixels stands for the pixels below it. A mask that was not
    touched is taken from the store as it is.

    Raises:
        InputError: what came is no mask of this picture.
    """
    if not given:
        return None
    if given == "kept":
        kept = kept_mask(labels.history(workspace, turn.inspection.image_id), reviewer)
        return None if kept is None else workspace.files.read(FileKind.MASK, kept)
    if not given.startswith(_MASK_START):
        raise InputError("The mask is no picture of this page. Draw it again.")
    try:
        content = base64.b64decode(given[len(_MASK_START) :], validate=True)
        with PngImageFile(io.BytesIO(content)) as image:  # reads the header alone
            if image.size != preview_size(workspace, turn.inspection):
                raise InputError("The mask is not the size of the picture on the page. Draw it again.")
            drawn = np.asarray(image.convert("RGBA"))[..., 3] > 127
    except InputError:
        raise
    except (binascii.Error, *DECODER_ERRORS) as error:
        raise InputError("The mask did not arrive whole. Draw it again.") from error
    if not drawn.any():
        return None
    width, height = turn.inspection.width, turn.inspection.height
    return mask_png(stretched(drawn, width, height))


def stretched(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """A mask (h, w) as (height, width) bool: each pixel takes the one that lies at its center."""
    rows = (np.arange(height) * 2 + 1) * mask.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * mask.shape[1] // (2 * width)
    return np.asarray(mask[np.ix_(rows, columns)])


def last_word(past: Sequence[StoredDecision], reviewer: str) -> StoredDecision | None:
    """What a reviewer said last about a picture; what they took back counts where nothing else is left."""
    mine = [one for one in past if one.reviewer == reviewer and not one.is_repeat]
    standing = [one for one in mine if one.undone_at is None]
    return next(reversed(standing or mine), None)


def kept_mask(past: Sequence[StoredDecision], reviewer: str) -> str | None:
    """The mask to go on with: the reviewer's own, else the newest of others that stands."""
    own = last_word(past, reviewer)
    if own is not None:
        return own.mask_sha256
    return next((one.mask_sha256 for one in reversed(past) if one.mask_sha256 and not one.undone_at), None)


def _forward(workspace: Workspace, sitting: Sitting) -> Sitting:
    """One part on: among those seen already, else a new one."""
    if sitting.position + 1 < len(sitting.seen):
        return replace(sitting, position=sitting.position + 1)
    turn = review.next_turn(
        workspace,
        sitting.queue,
        seen={shown.image for shown in sitting.seen},
        repeated={shown.image for shown in sitting.seen if shown.is_repeat},
    )
    if turn is None:
        return replace(sitting, position=len(sitting.seen))
    shown = Shown(turn.inspection.image_id, turn.is_repeat)
    seen = (*(one for one in sitting.seen if one != shown), shown)
    return replace(sitting, seen=seen, position=len(seen) - 1)


def _opened(workspace: Workspace, sitting: Sitting, image: int) -> Sitting:
    """A part that was chosen by hand, after all seen so far."""
    review.turn_of(workspace, image)
    return _at_end(sitting, Shown(image))


def _at_end(sitting: Sitting, shown: Shown) -> Sitting:
    """The sitting with a picture on the screen, behind which nothing has been seen.

    What was on the screen undecided goes back into the queue.
    """
    left = sitting.shown if sitting.position == len(sitting.seen) - 1 else None
    seen = (*(one for one in sitting.seen if one not in (shown, left)), shown)
    return replace(sitting, seen=seen, position=len(seen) - 1)


def _switched(workspace: Workspace, sitting: Sitting, do: Literal["undo", "redo"]) -> Sitting:
    """The part whose decision was taken back or brought back."""
    change = labels.undo if do == "undo" else labels.redo
    decision = change(workspace, reviewer=sitting.queue.reviewer)
    if decision is None:
        return replace(sitting, problem=f"There is nothing to {do}.")
    return _at_end(sitting, Shown(decision.image_id, decision.is_repeat))


def _image(action: Action) -> int:
    if action.image is None:
        raise InputError("There is no picture on the screen.")
    return action.image
