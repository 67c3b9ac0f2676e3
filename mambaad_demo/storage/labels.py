"""Decisions of reviewers: each one committed transaction, undone and redone without losing anything."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label, LabeledImage, Severity, consensus
from mambaad_demo.storage import audit, memberships, text
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.insertion import add_if_missing, id_of
from mambaad_demo.storage.inspections import sha256_of
from mambaad_demo.storage.masks import checked_mask
from mambaad_demo.storage.tables import Claim, Decision, Draft, Image, Inspection, Product, Reviewer, now
from mambaad_demo.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A decision as it lies in the store."""

    id: int
    image_id: int
    inspection_id: int | None
    reviewer: str
    finding: Finding
    defect_type: str
    severity: Severity
    note: str
    mask_sha256: str | None
    is_repeat: bool
    is_taught: bool
    is_golden: bool
    seconds: float | None
    decided_at: datetime
    undone_at: datetime | None


def decide(
    workspace: Workspace,
    image_id: int,
    label: Label,
    *,
    reviewer: str,
    inspection_id: int | None = None,
    is_repeat: bool = False,
    is_taught: bool = False,
    is_golden: bool | None = None,
    seconds: float | None = None,
) -> StoredDecision:
    """Record what a reviewer says about a picture; their earlier word on it stays in the history.

    A new type of defect joins the product's taxonomy. The reviewer's draft and claim on the picture end. In
    the same transaction the picture joins or leaves the collections; what is not good is not taught as good.
    A hidden repeat changes neither.

    Args:
        is_taught: a good part from which the next fine-tuning learns.
        is_golden: into the golden set or out of it; None leaves it where it is.

    Raises:
        InputError: no such picture, no name, or a mask that is none or of another size.
        StorageError: nothing was recorded.
    """
    name = reviewer_name(reviewer)
    mask_sha256 = None
    if label.finding is Finding.DEFECT and label.mask is not None:
        width, height = _size(workspace, image_id)
        mask_sha256 = sha256_of(checked_mask(label.mask, width, height))
        workspace.files.write(FileKind.MASK, mask_sha256, label.mask)
    with workspace.database.writing() as session:
        image = _image(session, workspace, image_id)
        if inspection_id is not None:
            inspection = session.get(Inspection, inspection_id)
            if inspection is None or inspection.image_id != image_id:
                raise InputError("This inspection belongs to another picture. Load the page again.")
        is_defect = label.finding is Finding.DEFECT
        decision = Decision(
            image_id=image_id,
            inspection_id=inspection_id,
            reviewer_id=_reviewer_id(session, workspace, name),
            finding=label.finding.value,
            defect_type=text.name(label.defect_type) if is_defect else "",
            severity=label.severity.value if is_defect else "",
            note=text.note(label.note),
            mask_sha256=mask_sha256,
            is_repeat=is_repeat,
            is_taught=is_taught and not is_repeat and label.finding is Finding.GOOD,
            is_golden=bool(is_golden) and not is_repeat and label.finding is not Finding.UNSURE,
            seconds=seconds,
        )
        session.add(decision)
        session.flush()
        if not is_repeat:
            memberships.collect(session, decision, leaves_golden=is_golden is False)
        _grow_taxonomy(session, image.product_id, decision.defect_type)
        _forget_pending(session, image_id, decision.reviewer_id)
        audit.note(
            session,
            workspace,
            actor=name,
            action="decided",
            subject=f"image {image.sha256}",
            decision=decision.id,
            finding=decision.finding,
            defect_type=decision.defect_type,
            severity=decision.severity,
            mask=mask_sha256,
            repeat=is_repeat,
        )
        stored = _stored(decision, name)
    if mask_sha256 is not None and label.mask is not None:
        workspace.files.write(FileKind.MASK, mask_sha256, label.mask)  # again, if it was deleted meanwhile
    return stored


def undo(workspace: Workspace, *, reviewer: str) -> StoredDecision | None:
    """Take back a reviewer's newest decision that stands; None where there is none."""
    return _switch(workspace, reviewer, _newest_standing, undone=True, action="undone")


def redo(workspace: Workspace, *, reviewer: str) -> StoredDecision | None:
    """Bring back what was undone last; None where there is nothing, or something was decided since."""
    return _switch(workspace, reviewer, _last_undone_since, undone=False, action="redone")


def history(workspace: Workspace, image_id: int) -> list[StoredDecision]:
    """All decisions on a picture, the oldest first, undone ones and repeats included."""
    query = (
        select(Decision, Reviewer.name)
        .join(Reviewer, Decision.reviewer_id == Reviewer.id)
        .where(Decision.image_id == image_id, Reviewer.workspace == workspace.key)
        .order_by(Decision.id)
    )
    with workspace.database.reading() as session:
        return [_stored(decision, name) for decision, name in session.execute(query)]


def save_draft(workspace: Workspace, image_id: int, content: dict[str, Any], *, reviewer: str) -> None:
    """Keep what a reviewer has typed or painted so far."""
    with workspace.database.writing() as session:
        _image(session, workspace, image_id)
        reviewer_id = _reviewer_id(session, workspace, reviewer_name(reviewer))
        key = {"image_id": image_id, "reviewer_id": reviewer_id}
        if not add_if_missing(session, Draft, {**key, "content": content}):
            draft = session.get_one(Draft, key)
            draft.content, draft.updated_at = content, now()


def draft(workspace: Workspace, image_id: int, *, reviewer: str) -> dict[str, Any] | None:
    """What `save_draft` kept, if anything."""
    query = (
        select(Draft.content)
        .join(Reviewer, Draft.reviewer_id == Reviewer.id)
        .where(
            Draft.image_id == image_id,
            Reviewer.workspace == workspace.key,
            Reviewer.name == reviewer_name(reviewer),
        )
    )
    with workspace.database.reading() as session:
        return session.scalar(query)


def labeled_images(
    workspace: Workspace, *, product: str | None = None, reviewer: str | None = None
) -> list[LabeledImage]:
    """Pictures that somebody decided on, in the order in which they came.

    Args:
        product: only this one.
        reviewer: only this one's word instead of the consensus of all.
    """
    standing = newest_ids(workspace)
    query = (
        select(Image, Product.name, Decision, Reviewer.name)
        .join(Product, Image.product_id == Product.id)
        .join(Decision, Decision.image_id == Image.id)
        .join(Reviewer, Decision.reviewer_id == Reviewer.id)
        .where(Decision.id.in_(standing))
        .order_by(Image.id, Decision.id)
    )
    if product is not None:
        query = query.where(Product.name == product)
    if reviewer is not None:
        query = query.where(Reviewer.name == reviewer)
    found: dict[int, tuple[Image, str]] = {}
    decisions: defaultdict[int, list[tuple[Decision, str]]] = defaultdict(list)
    with workspace.database.reading() as session:
        for image, product_name, decision, reviewer_of in session.execute(query):
            found[image.id] = image, product_name
            decisions[image.id].append((decision, reviewer_of))
    return [_labeled(image, name, decisions[key]) for key, (image, name) in found.items()]


def repeats(workspace: Workspace, *, product: str | None = None) -> list[tuple[str, Finding, Finding]]:
    """Hidden repeats as (reviewer, first word, word when shown again), the oldest first."""
    query = (
        select(Decision, Reviewer.name)
        .join(Reviewer, Decision.reviewer_id == Reviewer.id)
        .join(Image, Decision.image_id == Image.id)
        .join(Product, Image.product_id == Product.id)
        .where(Reviewer.workspace == workspace.key, Decision.undone_at.is_(None))
        .order_by(Decision.id)
    )
    if product is not None:
        query = query.where(Product.name == product)
    before: dict[tuple[int, int], Finding] = {}
    pairs = []
    with workspace.database.reading() as session:
        for decision, name in session.execute(query):
            key = decision.reviewer_id, decision.image_id
            finding = Finding(decision.finding)
            if decision.is_repeat and key in before:
                pairs.append((name, before[key], finding))
            elif not decision.is_repeat:
                before[key] = finding
    return pairs


def image_id(workspace: Workspace, sha256: str) -> int:
    """The picture with this hash.

    Raises:
        InputError: it is not in the store.
    """
    query = select(Image.id).where(Image.workspace == workspace.key, Image.sha256 == sha256)
    with workspace.database.reading() as session:
        found = session.scalar(query)
    if found is None:
        raise InputError("No picture with this hash is in the store. Inspect it in a batch first.")
    return found


def reviewers(workspace: Workspace) -> list[str]:
    """Everybody who has decided something."""
    query = select(Reviewer.name).where(Reviewer.workspace == workspace.key).order_by(Reviewer.name)
    with workspace.database.reading() as session:
        return list(session.scalars(query))


def products(workspace: Workspace) -> dict[str, list[str]]:
    """Products with their defect taxonomies, by name."""
    query = select(Product).where(Product.workspace == workspace.key).order_by(Product.name)
    with workspace.database.reading() as session:
        return {product.name: product.defect_types for product in session.scalars(query)}


def newest_ids(workspace: Workspace) -> Select[int]:
    """Ids of the decisions that stand: each reviewer's newest on each picture, without undone ones and
    repeats."""
    return (
        select(func.max(Decision.id))
        .join(Reviewer, Decision.reviewer_id == Reviewer.id)
        .where(
            Reviewer.workspace == workspace.key, Decision.undone_at.is_(None), Decision.is_repeat.is_(False)
        )
        .group_by(Decision.reviewer_id, Decision.image_id)
    )


def reviewer_name(given: str) -> str:
    """A reviewer's name as it is stored.

    Raises:
        InputError: it is empty.
    """
    name = text.name(given)
    if not name:
        raise InputError("Say who is reviewing first: type a name.")
    return name


def _switch(
    workspace: Workspace, reviewer: str, choose: Any, *, undone: bool, action: str
) -> StoredDecision | None:
    name = reviewer_name(reviewer)
    with workspace.database.writing() as session:
        decision: Decision | None = session.scalar(choose(_locked_reviewer_id(session, workspace, name)))
        if decision is None:
            return None
        decision.undone_at = now() if undone else None
        if undone:
            memberships.withdraw(session, decision)
        else:
            memberships.collect(session, decision, leaves_golden=False)
        image = _image(session, workspace, decision.image_id)
        audit.note(
            session,
            workspace,
            actor=name,
            action=action,
            subject=f"image {image.sha256}",
            decision=decision.id,
            finding=decision.finding,
        )
        return _stored(decision, name)


def _newest_standing(reviewer_id: int) -> Select[Decision]:
    return (
        select(Decision)
        .where(Decision.reviewer_id == reviewer_id, Decision.undone_at.is_(None))
        .order_by(Decision.id.desc())
        .limit(1)
    )


def _last_undone_since(reviewer_id: int) -> Select[Decision]:
    standing = (
        select(func.coalesce(func.max(Decision.id), 0))
        .where(Decision.reviewer_id == reviewer_id, Decision.undone_at.is_(None))
        .scalar_subquery()
    )
    return (
        select(Decision)
        .where(Decision.reviewer_id == reviewer_id, Decision.undone_at.is_not(None), Decision.id > standing)
        .order_by(Decision.undone_at.desc(), Decision.id)
        .limit(1)
    )


def _labeled(image: Image, product: str, decisions: Sequence[tuple[Decision, str]]) -> LabeledImage:
    findings = tuple(Finding(decision.finding) for decision, _ in decisions)
    agreed = consensus(findings)
    speaking = [decision for decision, _ in decisions if agreed is None or decision.finding == agreed.value]
    newest = speaking[-1]
    return LabeledImage(
        image_id=image.id,
        sha256=image.sha256,
        name=image.name,
        product=product,
        width=image.width,
        height=image.height,
        finding=agreed,
        defect_type=_last(decision.defect_type for decision in speaking),
        severity=Severity(_last(decision.severity for decision in speaking)),
        note=newest.note,
        mask_sha256=_last(decision.mask_sha256 or "" for decision in speaking) or None,
        reviewers=tuple(name for _, name in decisions),
        findings=findings,
        decided_at=max(decision.decided_at for decision, _ in decisions),
    )


def _last(values: Any) -> str:
    """The last one that says something."""
    return next((value for value in reversed(list(values)) if value), "")


def _grow_taxonomy(session: Session, product_id: int, defect_type: str) -> None:
    product = session.get_one(Product, product_id, with_for_update={"key_share": True})
    if defect_type and defect_type not in product.defect_types:
        product.defect_types = [*product.defect_types, defect_type]


def _forget_pending(session: Session, image_id: int, reviewer_id: int) -> None:
    for table in (Draft, Claim):
        session.execute(delete(table).where(table.image_id == image_id, table.reviewer_id == reviewer_id))


def _reviewer_id(session: Session, workspace: Workspace, name: str) -> int:
    return id_of(session, Reviewer, {"workspace": workspace.key, "name": name})


def _locked_reviewer_id(session: Session, workspace: Workspace, name: str) -> int:
    """The same, for one transaction at a time: two undos at once take back two decisions."""
    reviewer_id = _reviewer_id(session, workspace, name)
    session.get_one(Reviewer, reviewer_id, with_for_update={"key_share": True})
    return reviewer_id


def _image(session: Session, workspace: Workspace, image_id: int) -> Image:
    image = session.get(Image, image_id)
    if image is None or image.workspace != workspace.key:
        raise InputError("This picture is no longer here. Load the page again.")
    return image


def _size(workspace: Workspace, image_id: int) -> tuple[int, int]:
    with workspace.database.reading() as session:
        image = _image(session, workspace, image_id)
        return image.width, image.height


def _stored(decision: Decision, reviewer: str) -> StoredDecision:
    return StoredDecision(
        id=decision.id,
        image_id=decision.image_id,
        inspection_id=decision.inspection_id,
        reviewer=reviewer,
        finding=Finding(decision.finding),
        defect_type=decision.defect_type,
        severity=Severity(decision.severity),
        note=decision.note,
        mask_sha256=decision.mask_sha256,
        is_repeat=decision.is_repeat,
        is_taught=decision.is_taught,
        is_golden=decision.is_golden,
        seconds=decision.seconds,
        decided_at=decision.decided_at,
        undone_at=decision.undone_at,
    )
