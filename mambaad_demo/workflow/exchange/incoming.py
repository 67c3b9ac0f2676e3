"""What an import does with each labeled picture of a file: find it or take it in, and record what is new."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label, Severity
from mambaad_demo.storage import labels, text
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import sha256_of
from mambaad_demo.storage.labels import StoredDecision
from mambaad_demo.storage.masks import mask_of, mask_png
from mambaad_demo.storage.pictures import add_picture, stored_pictures
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.exchange.outgoing import LeftOut


class Words(BaseModel):
    """What a file says about a picture, in the words of our store; other tools add words of theirs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    finding: Finding
    defect_type: str = ""
    severity: Severity = Severity.UNSTATED
    note: str = ""

    def label(self, mask: np.ndarray | None = None) -> Label:
        """The words with a mask, (H, W) bool, if there is one."""
        return Label(
            finding=self.finding,
            defect_type=self.defect_type,
            severity=self.severity,
            note=self.note,
            mask=None if mask is None else mask_png(mask),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One labeled picture, as a file describes it."""

    label: Label
    name: str
    """What the picture is called if it is new here."""
    sha256: str | None = None
    """Of the picture, where the file says so."""
    product: str | None = None
    """Where the file says so."""
    picture: Callable[[], bytes] | None = None
    """The file of the picture, where it comes along.

    Raises:
        InputError: it is missing or cannot be read.
    """
    keeps_mask: bool = False
    """Whether a mask of the same reviewer stays, because the format cannot hold one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in a file that should be a labeled picture."""

    name: str
    """To tell people which one."""
    read: Callable[[], Incoming]
    """
    Raises:
        InputError: it is none.
    """


def refused(name: str, reason: str) -> Entry:
    """An entry that is known to be none."""

    def read() -> Incoming:
        raise InputError(reason)

    return Entry(name=name, read=read)


class Reception:
    """Takes entries one by one; counts what came of them."""

    def __init__(self, workspace: Workspace, *, product: str | None, reviewer: str) -> None:
        """
        Args:
            workspace: where they go.
            product: of pictures that are new here, whatever their file says.
            reviewer: in whose name the decisions are recorded.
        """
        self._workspace = workspace
        self._product = product
        self._reviewer = labels.reviewer_name(reviewer)
        self._ids = {picture.sha256: picture.id for picture in stored_pictures(workspace)}
        self.added = 0
        self.decided = 0
        self.unchanged = 0
        self.left_out: list[LeftOut] = []

    def take(self, entry: Entry) -> None:
        """Record an entry, or say why it is left out.

        Raises:
            StorageError: the store failed; what was recorded before stays.
        """
        try:
            incoming = entry.read()
            image_id = self._image_id(incoming)
            self._decide(image_id, incoming)
        except InputError as error:
            self.left_out.append(LeftOut(name=entry.name, reason=str(error)))

    def _image_id(self, incoming: Incoming) -> int:
        if incoming.sha256 in self._ids:
            return self._ids[incoming.sha256]
        if incoming.picture is None:
            raise InputError(
                "This picture is not in the store, and this format does not bring it along. Inspect it first."
            )
        content = incoming.picture()
        sha256 = sha256_of(content)
        if sha256 not in self._ids:
            product = self._product or incoming.product
            if not product:
                raise InputError("Nothing says which product this is. Give the product.")
            self._ids[sha256] = add_picture(
                self._workspace, content, incoming.name, product, mask=incoming.label.mask
            )
            self.added += 1
        return self._ids[sha256]

    def _decide(self, image_id: int, incoming: Incoming) -> None:
        standing = self._standing(image_id)
        label = _as_stored(incoming.label)
        if standing is not None:
            if incoming.keeps_mask and label.finding is Finding.DEFECT and standing.mask_sha256:
                mask = self._workspace.files.read(FileKind.MASK, standing.mask_sha256)
                label = replace(label, mask=mask)
            if self._says_the_same(standing, label):
                self.unchanged += 1
                return
        labels.decide(self._workspace, image_id, label, reviewer=self._reviewer)
        self.decided += 1

    def _standing(self, image_id: int) -> StoredDecision | None:
        """What the reviewer has said so far."""
        said = [
            decision
            for decision in labels.history(self._workspace, image_id)
            if decision.reviewer == self._reviewer and decision.undone_at is None and not decision.is_repeat
        ]
        return said[-1] if said else None

    def _says_the_same(self, standing: StoredDecision, label: Label) -> bool:
        words = (standing.finding, standing.defect_type, standing.severity, standing.note)
        if words != (label.finding, label.defect_type, label.severity, label.note):
            return False
        if standing.mask_sha256 is None or label.mask is None:
            return standing.mask_sha256 is None and label.mask is None
        stored = mask_of(self._workspace.files.read(FileKind.MASK, standing.mask_sha256))
        return np.array_equal(stored, mask_of(label.mask))


def _as_stored(label: Label) -> Label:
    """A label as it will read once it is stored."""
    if label.finding is not Finding.DEFECT:
        return Label(finding=label.finding, note=text.note(label.note))
    return replace(label, defect_type=text.name(label.defect_type), note=text.note(label.note))
