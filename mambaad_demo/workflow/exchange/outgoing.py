"""What an export is made of: labeled pictures with their masks, and a list of what stays behind and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mambaad_demo.errors import StorageError, UnreadableImageError
from mambaad_demo.pipeline.labeling import Finding, LabeledImage
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.labels import labeled_images
from mambaad_demo.storage.masks import mask_of
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.exchange.upright import upright

UNTYPED = "defect"
"""What a defect is called where a format wants a word and nobody gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A picture or file that was not taken along."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPicture:
    """A labeled picture as other tools read it."""

    image: LabeledImage
    content: bytes
    """The file; its pixels lie as the mask's do."""
    suffix: str
    """Of the file's name, by what the file holds."""
    mask: np.ndarray | None
    """(H, W) bool; None where nobody drew one."""


class Shipment:
    """Labeled pictures on their way out; counts what leaves."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        product: str | None = None,
        reviewer: str | None = None,
        anonymous: bool = False,
    ) -> None:
        """
        Args:
            workspace: whose pictures.
            product: of this one only.
            reviewer: with this one's word instead of the consensus of all.
            anonymous: with numbers in the place of reviewers' names.
        """
        self.workspace = workspace
        self.product = product
        self.reviewer = reviewer
        self.labeled = labeled_images(workspace, product=product, reviewer=reviewer)
        self.pictures = 0
        self.masks = 0
        self.left_out: list[LeftOut] = []
        self.notes: list[str] = []
        self._staying: set[int] = set()
        self._numbers: dict[str, int] | None = {} if anonymous else None

    @property
    def leaving(self) -> list[LabeledImage]:
        """Those that were not left out."""
        return [image for image in self.labeled if image.image_id not in self._staying]

    def called(self, reviewer: str) -> str:
        """What a reviewer is called outside."""
        if self._numbers is None:
            return reviewer
        return f"reviewer {self._numbers.setdefault(reviewer, len(self._numbers) + 1)}"

    def clear(self) -> list[LabeledImage]:
        """The good and the defective pictures; the others are left out."""
        for image in self.labeled:
            if image.finding is None:
                self.leave_out(image, "The reviewers are divided.")
            elif image.finding is Finding.UNSURE:
                self.leave_out(image, "Nobody is sure what it is.")
        return [image for image in self.labeled if image.finding in (Finding.GOOD, Finding.DEFECT)]

    def pack(self, images: Sequence[LabeledImage]) -> Iterator[OutgoingPicture]:
        """Pictures with their files, one at a time; what cannot be read is left out."""
        for image in images:
            try:
                content, suffix = upright(self.workspace.files.read(FileKind.PICTURE, image.sha256))
                mask = self._mask(image)
            except (StorageError, UnreadableImageError) as error:
                self.leave_out(image, str(error))
                continue
            self.pictures += 1
            self.masks += mask is not None
            yield OutgoingPicture(image=image, content=content, suffix=suffix, mask=mask)

    def leave_out(self, image: LabeledImage, reason: str) -> None:
        """Say that a picture does not leave."""
        self.left_out.append(LeftOut(name=image.name, reason=reason))
        self._staying.add(image.image_id)

    def _mask(self, image: LabeledImage) -> np.ndarray | None:
        if image.mask_sha256 is None:
            return None
        return mask_of(self.workspace.files.read(FileKind.MASK, image.mask_sha256))


def without_mask(images: Sequence[LabeledImage]) -> list[LabeledImage]:
    """Defective pictures on which nobody marked the place."""
    return [image for image in images if image.finding is Finding.DEFECT and image.mask_sha256 is None]
