"""Makes a version the active one of a category, once the golden set has been heard; takes that back.

Which rows that means is `storage.promotions`' business, what the golden set says `promotion_gate.py`'s.
"""

import re
from collections.abc import Callable, Collection, Generator, Sequence
from functools import partial

from mambaad_demo.errors import CheckpointError, InputError, PromotionBlockedError
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage import jobs, promotions, text
from mambaad_demo.storage.promotions import (
    Action,
    NewStep,
    Step,
    active,
    active_checkpoints,
    history,
    passed_over,
)
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.golden_set import GoldenReport
from mambaad_demo.workflow.promotion_gate import Gate, Pair, compare
from mambaad_demo.workflow.promotion_trial import STAND_IN, Load, Trial, recorded, runs, trying

__all__ = [
    "STAND_IN",
    "Gate",
    "Load",
    "Pair",
    "Step",
    "Trial",
    "active",
    "active_checkpoints",
    "compare",
    "discard",
    "history",
    "promote",
    "promoting",
    "rollback",
    "skipped",
    "trying",
]

FEWEST_WORDS = 3
"""Of a reason to promote a version that the golden set speaks against."""
_MOST_NAMES = 5
_MOST_TRAININGS = 10_000  # all
_WORD = re.compile("[\u3040-\u30ff\u4e00-\u9fff]|[^\\W_]+")  # where words have no spaces, signs count


def promoting(
    workspace: Workspace,
    predictor: Predictor,
    *,
    category: str,
    product: str | None = None,
    note: str,
    override_reason: str = "",
    actor: str,
    load: Load,
    base: str | None = STAND_IN,
    seen: int | None = None,
    seen_escapes: Collection[str] | None = None,
) -> Generator[Progress | Trial, None, Step]:
    """Try a version now and make it the active one of the category, if it passes.

    Yields progress in pictures, then the trial it rests on, and returns the promotion.

    Args:
        note: what changed, for people.
        override_reason: why a blocked version shall pass, `FEWEST_WORDS` words at least.
        seen: number of the category's newest promotion when the person looked at a trial; None to look now.
        seen_escapes: hashes of the pictures that were new escapes in that trial; a reason covers no others.
            None where the trial of now is all there is.

    See `trying` for the other arguments.

    Raises:
        PromotionBlockedError: it accepts a defect that was not accepted before, and no reason is given, or
            the person did not see that one.
        InputError: no note, the version is active already, somebody else was faster, or as in `trying`.
        CheckpointError: the version went away or was replaced meanwhile.
    """
    if not text.note(note):
        raise InputError("Write a change note first: what is different, and why this version is wanted.")
    _require_unchanged(history(workspace, category), predictor, category, seen)
    trial = yield from trying(workspace, predictor, category=category, product=product, load=load, base=base)
    yield trial
    if seen_escapes is not None:
        _require_seen(trial.gate, seen_escapes)
    reason = _accepted_reason(trial.gate, override_reason)
    is_present = partial(_require_present, predictor, load)
    is_present()  # loading it anew may take a while; the second look, while others wait, does not
    return promotions.add(
        workspace,
        NewStep(
            category=category,
            checkpoint=predictor.checkpoint.name,
            checkpoint_sha256=predictor.checkpoint.sha256,
            action=Action.PROMOTE,
            note=note,
            override_reason=reason,
            golden=_golden(trial.before, trial.after),
        ),
        actor=actor,
        seen=trial.seen if seen is None else seen,
        check=is_present,
    )


def promote(
    workspace: Workspace,
    predictor: Predictor,
    *,
    category: str,
    product: str | None = None,
    note: str,
    override_reason: str = "",
    actor: str,
    load: Load,
    base: str | None = STAND_IN,
    seen: int | None = None,
    seen_escapes: Collection[str] | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Step:
    """The same as `promoting`, in one call."""
    steps = promoting(
        workspace,
        predictor,
        category=category,
        product=product,
        note=note,
        override_reason=override_reason,
        actor=actor,
        load=load,
        base=base,
        seen=seen,
        seen_escapes=seen_escapes,
    )
    while True:
        try:
            told = next(steps)
        except StopIteration as end:
            step: Step = end.value
            return step
        if isinstance(told, Progress):
            progress(told)


def rollback(
    workspace: Workspace, category: str, *, note: str, actor: str, load: Load, seen: int | None = None
) -> Step:
    """Go back to the newest version before that can still be used, or to none.

    Going back has to be instant, so the golden set is not replayed. The new row keeps what it said when that
    version was promoted. A second rollback goes further back. `skipped` tells which versions could not be
    used any more.

    Args:
        load: proves that a version can still be used.
        seen: number of the category's newest promotion that the person looked at; None to look now.

    Raises:
        InputError: no note, nothing to go back to, or somebody else was faster.
    """
    if not text.note(note):
        raise InputError("Write a change note first: why the version is taken back.")
    steps = history(workspace, category)
    if not promotions.standing(steps):
        raise InputError(f"No version of {category!r} is active, so there is nothing to take back.")
    target = next((step for step in promotions.before(steps) if _is_usable(step, load)), None)
    return promotions.add(
        workspace,
        NewStep(
            category=category,
            checkpoint=None if target is None else target.checkpoint,
            checkpoint_sha256="" if target is None else target.checkpoint_sha256,
            action=Action.ROLLBACK,
            note=note,
            golden=_golden(None, None if target is None else recorded(workspace, target)),
        ),
        actor=actor,
        seen=steps[0].id if seen is None else seen,
        check=lambda: _require_still_usable(target, load),
    )


def skipped(workspace: Workspace, step: Step) -> list[str]:
    """Of a rollback, the versions it passed over since they cannot be used any more, the newest first."""
    return passed_over([one for one in history(workspace, step.category) if one.id <= step.id])


def discard(workspace: Workspace, checkpoint: str, *, delete: Callable[[str], None], actor: str) -> None:
    """Delete a version for good.

    Args:
        delete: deletes the folder of a version by its name.

    Raises:
        InputError: it is the active version of a category, or a training that can be resumed goes on from it.
    """
    trainings = jobs.jobs(workspace, kind=jobs.FINETUNE, at_most=_MOST_TRAININGS)
    for training in trainings:
        if training.state is not jobs.JobState.DONE and training.spec.get("checkpoint") == checkpoint:
            raise InputError(
                f"The training {training.name!r} goes on from {checkpoint}. Let it end or discard it first."
            )
    promotions.discard(workspace, checkpoint, delete=partial(delete, checkpoint), actor=actor)


def _golden(before: GoldenReport | None, after: GoldenReport | None) -> dict[str, object]:
    return {
        "before": None if before is None else before.to_json(),
        "after": None if after is None else after.to_json(),
    }


def _require_unchanged(steps: Sequence[Step], predictor: Predictor, category: str, seen: int | None) -> None:
    """Refuse early what `promotions.add` would refuse in the end."""
    if seen is not None and seen != (steps[0].id if steps else promotions.NOTHING):
        raise InputError(
            f"Meanwhile somebody else changed which version of {category!r} is active. Try the version on "
            "the golden set again, then decide."
        )
    if steps and runs(predictor, steps[0]):
        raise InputError(f"{predictor.checkpoint.name} is the active version of {category!r} already.")


def _accepted_reason(gate: Gate, reason: str) -> str:
    """Why a blocked version passes; empty for one that passes by itself."""
    if not gate.is_blocked:
        return ""
    if len(_WORD.findall(reason)) < FEWEST_WORDS:
        raise PromotionBlockedError(
            f"{gate.headline} Improve the version, or write down in a few words why it shall be promoted all "
            "the same."
        )
    return reason


def _require_seen(gate: Gate, seen_escapes: Collection[str]) -> None:
    """Refuse where a defect gets through that nobody has seen get through."""
    unseen = [pair.after.name for pair in gate.new_escapes if pair.after.sha256 not in seen_escapes]
    if unseen:
        names = ", ".join(unseen[:_MOST_NAMES])
        more = f" and {len(unseen) - _MOST_NAMES} more" if len(unseen) > _MOST_NAMES else ""
        raise PromotionBlockedError(
            f"{gate.headline} That was not so when the version was tried: {names}{more}. Look at the new "
            "result, then decide again."
        )


def _require_present(predictor: Predictor, load: Load) -> None:
    """Refuse a version that was deleted or replaced while it was tried."""
    name = predictor.checkpoint.name
    if load(name).checkpoint.sha256 != predictor.checkpoint.sha256:
        raise InputError(f"Meanwhile {name} was replaced. Try it on the golden set again.")


def _is_usable(step: Step, load: Load) -> bool:
    """Whether what was promoted then can be loaded, with the same weights."""
    try:
        return runs(load(step.checkpoint or ""), step)
    except CheckpointError:
        return False


def _require_still_usable(target: Step | None, load: Load) -> None:
    """Refuse to go back to a version that was discarded since it was looked up."""
    if target is not None and not _is_usable(target, load):
        raise InputError(f"Meanwhile {target.checkpoint} was deleted. Look again, then decide.")
