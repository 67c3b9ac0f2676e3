"""Tries a version on the golden set beside the one that it would follow; nothing is stored.

The version before is replayed too, since the golden set or the limits may have changed. Where it is gone,
what was recorded at its promotion stands in, as long as the golden set is still the same.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

from mambaad_demo.errors import CheckpointError, DemoError, StorageError
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage import promotions
from mambaad_demo.storage.collecting import Member
from mambaad_demo.storage.promotions import Step
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow import golden_set
from mambaad_demo.workflow.golden_set import GoldenReport, digest_of, report_from_json
from mambaad_demo.workflow.promotion_gate import Gate, compare

Load = Callable[[str], Predictor]
"""The predictor of a checkpoint by its name, with the limits in force; raises `CheckpointError`."""

STAND_IN = "mambaad"
"""The checkpoint that serves a category while no version is active: the default one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A version before the golden set, beside the one it would follow."""

    gate: Gate
    notes: tuple[str, ...]
    """What it was compared with, and how the golden set changed since."""
    seen: int
    """Number of the category's newest promotion at that time, or `promotions.NOTHING`."""

    @property
    def before(self) -> GoldenReport | None:
        """The report of the version before; None where there is nothing to compare with."""
        return self.gate.before

    @property
    def after(self) -> GoldenReport:
        """The report of the version that was tried."""
        return self.gate.after


def trying(
    workspace: Workspace,
    predictor: Predictor,
    *,
    category: str,
    product: str | None = None,
    load: Load,
    base: str | None = STAND_IN,
) -> Generator[Progress, None, Trial]:
    """Replay the golden set under the active version, then under this one.

    Yields progress in pictures and returns the trial. Stop iterating to cancel.

    Args:
        workspace: holds the golden set and the promotions.
        predictor: of the version to try, with the limits in force.
        category: what to judge the pictures as.
        product: whose golden pictures; the category's name where None.
        load: finds the version before.
        base: the checkpoint to compare with while no version is active; None for none.

    Raises:
        UnknownCategoryError: the version does not know the category.
        InputError: a picture of the golden set cannot be judged.
    """
    golden_set.require_category(predictor, category)
    steps = promotions.history(workspace, category)
    pictures = golden_set.members(workspace, product or category)
    top = steps[0] if steps else None
    if top is None or top.checkpoint is None:
        earlier = _stand_in(predictor, category, load=load, base=base)
    else:
        earlier = _active(workspace, predictor, top, pictures, load=load)
    run = partial(
        golden_set.replaying,
        workspace,
        pictures=pictures,
        product=product or category,
        category=category,
    )
    total = len(pictures) * (1 if earlier.predictor is None else 2)
    before = earlier.report
    if earlier.predictor is not None:
        before = yield from _counted(run(predictor=earlier.predictor), 0, total)
    after = yield from _counted(run(predictor=predictor), total - len(pictures), total)
    return Trial(
        gate=compare(after if earlier.is_same else before, after),
        notes=(*earlier.notes, *_other_set(workspace, product or category, category)),
        seen=promotions.NOTHING if top is None else top.id,
    )


def runs(predictor: Predictor, step: Step) -> bool:
    """Whether a predictor runs just what was promoted."""
    checkpoint = predictor.checkpoint
    return (checkpoint.name, checkpoint.sha256) == (step.checkpoint, step.checkpoint_sha256)


def recorded(workspace: Workspace, step: Step) -> GoldenReport | None:
    """What the golden set said when a version was promoted; None where that cannot be read any more."""
    content = promotions.golden(workspace, step.id).get("after")
    try:
        return None if content is None else report_from_json(content)
    except StorageError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """What a version is compared with: a predictor to replay, a recorded report, itself or nothing."""

    predictor: Predictor | None = None
    report: GoldenReport | None = None
    is_same: bool = False
    notes: tuple[str, ...] = ()


def _active(
    workspace: Workspace, predictor: Predictor, top: Step, pictures: Sequence[Member], *, load: Load
) -> _Earlier:
    """The active version, as far as it is still there."""
    report = recorded(workspace, top)
    changes = _set_changes(report, pictures, top)
    if runs(predictor, top):
        return _Earlier(is_same=True, notes=(f"{top.checkpoint} is the active version itself.", *changes))
    known, problem = _replayable(top, load)
    if known is not None:
        compared = f"Compared with {top.checkpoint}, the active version"
        new = ", which was replayed on the golden set of today" if changes else ""
        return _Earlier(predictor=known, notes=(f"{compared}{new}.", *changes))
    gone = f"{top.checkpoint}, the active version, cannot be replayed. {problem}"
    if report is not None and not changes:
        return _Earlier(report=report, notes=(gone, "Compared with what was recorded at its promotion."))
    return _Earlier(notes=(gone, *changes, "There is nothing to compare with, so any escape blocks."))


def _replayable(top: Step, load: Load) -> tuple[Predictor | None, str]:
    """The predictor of the active version, or why there is none."""
    try:
        known = load(top.checkpoint or "")
    except DemoError as error:
        return None, str(error)
    if not runs(known, top):
        return None, "Other weights lie under its name now."
    if top.category not in known.categories:
        return None, f"It does not know {top.category} any more."
    return known, ""


def _stand_in(predictor: Predictor, category: str, *, load: Load, base: str | None) -> _Earlier:
    """What serves a category while no version is active."""
    nothing = f"No version of {category} is active"
    no_matter = "there is nothing to compare with, so any escape blocks."
    if base is None:
        return _Earlier(notes=(f"{nothing}: {no_matter}",))
    if base == predictor.checkpoint.name:
        return _Earlier(is_same=True, notes=(f"{nothing}; {base} itself stands in.",))
    try:
        known = load(base)
    except CheckpointError:
        return _Earlier(
            notes=(f"{nothing}, and {base}, which would stand in, cannot be loaded: {no_matter}",)
        )
    if category not in known.categories or known.limits(category).reject is None:
        return _Earlier(notes=(f"{nothing}, and {base} has no limits for it: {no_matter}",))
    return _Earlier(
        predictor=known,
        notes=(f"No version of {category} is active. Compared with {base}, which stands in.",),
    )


def _set_changes(report: GoldenReport | None, pictures: Sequence[Member], top: Step) -> tuple[str, ...]:
    """How the golden set differs from the one that a version was promoted with; nothing where it does not."""
    if report is None or report.digest == digest_of(pictures):
        return ()
    then = {one.sha256: one.finding for one in report.pictures}
    today = {one.sha256: one.finding for one in pictures}
    counts = Counter(joined=len(today.keys() - then.keys()), left=len(then.keys() - today.keys()))
    both = today.keys() & then.keys()
    counts["known as something else now"] = sum(today[sha256] is not then[sha256] for sha256 in both)
    words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return (f"The golden set has changed since {top.checkpoint} was promoted: {words}.",)


def _other_set(workspace: Workspace, product: str, category: str) -> tuple[str, ...]:
    """That pictures of another name were tried, and which ones were not."""
    if product == category:
        return ()
    own = len(golden_set.members(workspace, category))
    left = f" The golden set of {category} itself, {own} pictures, was not tried." if own else ""
    return (f"Tried on the golden set of {product}.{left}",)


def _counted(
    replay: Generator[int, None, GoldenReport], done: int, total: int
) -> Generator[Progress, None, GoldenReport]:
    while True:
        try:
            yield Progress(done=done + next(replay), total=total)
        except StopIteration as end:
            report: GoldenReport = end.value
            return report
