"""Which parts of the store a study is run on, and which stored pictures show the same part."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from mambaad_demo.errors import TooFewImagesError
from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.storage import labels
from mambaad_demo.storage.collecting import members
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.pictures import StoredPicture, stored_pictures
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.studies.study import Choice, Reference, ShotKind, Source, StudySpec

KNOWN = (Finding.GOOD, Finding.DEFECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of which it is known what it is, with its pictures."""

    name: str
    pictures: tuple[StoredPicture, ...]
    reference: Reference


def chosen_parts(workspace: Workspace, spec: StudySpec) -> list[Part]:
    """The parts of a study: good ones first, the same ones for the same seed and store.

    Raises:
        TooFewImagesError: there is no such part; the message says how to get some.
    """
    references = known_findings(workspace, spec.product)
    found = stored_pictures(workspace, product=spec.product)
    if spec.kind is ShotKind.STORED:
        candidates = _grouped(found, references, spec.shots)
    else:
        candidates = [
            Part(name=picture.name, pictures=(picture,), reference=references[picture.id])
            for picture in found
            if picture.id in references
        ]
    if not candidates:
        raise TooFewImagesError(_what_to_do(spec))
    ordered = _ordered(candidates, workspace, spec)
    return [
        part
        for finding in KNOWN
        for part in [part for part in ordered if part.reference.finding is finding][: spec.parts]
    ]


def known_findings(workspace: Workspace, product: str) -> dict[int, Reference]:
    """What pictures are known to be, by their number: as the golden set says, else as most reviewers say."""
    known = {
        image.image_id: Reference(finding=image.finding, source=Source.CONSENSUS, by=image.reviewers)
        for image in labels.labeled_images(workspace, product=product)
        if image.finding in KNOWN
    }
    golden = {
        member.image_id: Reference(finding=member.finding, source=Source.GOLDEN, by=(member.added_by,))
        for member in members(workspace, Collection.GOLDEN, product=product)
    }
    return known | golden


def part_and_shot(name: str) -> tuple[str, int] | None:
    """The part and the number of the shot that a file name tells, as `part07_2.jpg` does; None where it tells
    none. Folders belong to the part."""
    path = PurePosixPath(name.replace("\\", "/"))
    match = re.fullmatch(r"(.*[^_])_+([0-9]{1,6})", path.stem)
    return None if match is None else (str(path.with_name(match[1])), int(match[2]))


def _grouped(found: list[StoredPicture], references: dict[int, Reference], most_shots: int) -> list[Part]:
    """Parts with two shots or more, whose shots are not known to be different things."""
    shots: defaultdict[str, list[tuple[int, StoredPicture]]] = defaultdict(list)
    for picture in found:
        told = part_and_shot(picture.name)
        if told is not None:
            shots[told[0]].append((told[1], picture))
    parts = []
    for name, numbered in shots.items():
        shown = tuple(picture for _, picture in sorted(numbered, key=lambda shot: shot[0]))[:most_shots]
        known = [references[picture.id] for picture in shown if picture.id in references]
        if len(shown) > 1 and len({reference.finding for reference in known}) == 1:
            parts.append(Part(name=name, pictures=shown, reference=_joint(known)))
    return parts


def _joint(known: list[Reference]) -> Reference:
    """What several shots say together: the golden set where it says something."""
    golden = [reference for reference in known if reference.source is Source.GOLDEN]
    speaking = golden or known
    people = dict.fromkeys(name for reference in speaking for name in reference.by)
    return Reference(finding=known[0].finding, source=speaking[0].source, by=tuple(people))


def _ordered(candidates: list[Part], workspace: Workspace, spec: StudySpec) -> list[Part]:
    order = np.random.default_rng(spec.seed).permutation(len(candidates))
    shuffled = [candidates[number] for number in order]
    if spec.choice is Choice.RANDOM:
        return shuffled
    closeness = {
        inspection.image_id: inspection.closeness
        for inspection in inspections(workspace, product=spec.product, checkpoint=spec.checkpoint)
        if inspection.closeness is not None
    }
    return sorted(
        shuffled,
        key=lambda part: min(closeness.get(picture.id, np.inf) for picture in part.pictures),
    )


def _what_to_do(spec: StudySpec) -> str:
    if spec.kind is ShotKind.STORED:
        return (
            f"No part of {spec.product!r} has two pictures, named as part07_1.jpg and part07_2.jpg, of which "
            "it is known what they are. Decide on one of them on the Review page, or choose generated "
            "variations."
        )
    return (
        f"No picture of {spec.product!r} is known to be good or defective. Decide on some on the Review page "
        "or add them to the golden set, then start again."
    )
