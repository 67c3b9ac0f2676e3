"""Attribute agreement analysis as AIAG's Measurement Systems Analysis manual (4th edition, chapter III C) has
it: do appraisers repeat themselves, agree with the reference, and agree with each other.

An appraiser is a checkpoint or a person; a trial is one look at a part. How undecided looks count ("check" of
a checkpoint, "unsure" of a person):
- for agreement and kappa they are a category of their own, so they never agree with the reference;
- for misses and false alarms they are neither: a person will look, nothing is let through or thrown away;
- how often they occur is a column of its own.

Rates are shares of looks, as AIAG counts them. Their intervals are exact for the number of parts, since k
looks at one part are not k parts; see `shares.share`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.workflow.figures import kappa
from mambaad_demo.workflow.studies.shares import Share, share
from mambaad_demo.workflow.studies.study import Reference, Source

Trials = Mapping[str, Sequence[Finding]]
"""Looks by part; a part that was not looked at is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraiser:
    """Somebody, or something, that says what parts are."""

    name: str
    is_person: bool
    trials: Trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """How well one appraiser does; a measure is None where nothing could be counted."""

    name: str
    is_person: bool
    parts: int
    """Looked at."""
    looks: int
    own: int
    """Parts whose reference is this appraiser's word alone; they count for `within` only."""
    within: Share | None
    """Parts looked at more than once with the same word each time."""
    effectiveness: Share | None
    """Parts called what the reference says in every look."""
    miss: Share | None
    """Looks at defective parts that called them good."""
    false_alarm: Share | None
    """Looks at good parts that called them defective."""
    undecided: Share | None
    """Looks that decided nothing."""
    kappa: float | None
    """Cohen's, of all looks against the reference; None where all of both say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The whole analysis."""

    good: int
    """Parts whose reference is good."""
    defective: int
    from_golden_set: int
    """Parts whose reference stands in the golden set; that of the others is what most reviewers say."""
    appraisals: tuple[Appraisal, ...]
    common: int
    """Parts that all appraisers looked at."""
    between: Share | None
    """Common parts that all appraisers called the same in every look."""
    system: Share | None
    """Common parts that all appraisers called what the reference says in every look."""
    fleiss: float | None
    """Fleiss' kappa of first looks at common parts; None with one appraiser, or where all say the same."""

    @property
    def parts(self) -> int:
        return self.good + self.defective


def attribute_msa(references: Mapping[str, Reference], appraisers: Sequence[Appraiser]) -> Sheet:
    """Compare appraisers with the reference and with each other.

    Args:
        references: what each part is known to be; looks at other parts are not counted.
        appraisers: those who looked at no part are left out.
    """
    looking = [
        Appraiser(name=one.name, is_person=one.is_person, trials=counted)
        for one in appraisers
        if (counted := {part: looks for part, looks in one.trials.items() if part in references and looks})
    ]
    common = [part for part in references if looking and all(part in one.trials for one in looking)]
    said = {part: {look for one in looking for look in one.trials[part]} for part in common}
    several = len(looking) > 1
    first_words = [[one.trials[part][0] for one in looking] for part in common]
    good = sum(reference.finding is Finding.GOOD for reference in references.values())
    return Sheet(
        good=good,
        defective=len(references) - good,
        from_golden_set=sum(reference.source is Source.GOLDEN for reference in references.values()),
        appraisals=tuple(_appraisal(references, one) for one in looking),
        common=len(common),
        between=share(sum(len(words) == 1 for words in said.values()), len(common)) if several else None,
        system=share(sum(said[part] == {references[part].finding} for part in common), len(common))
        if several
        else None,
        fleiss=kappa.fleiss(first_words) if several else None,
    )


def _appraisal(references: Mapping[str, Reference], appraiser: Appraiser) -> Appraisal:
    trials = appraiser.trials
    repeated = [looks for looks in trials.values() if len(looks) > 1]
    foreign = {part: looks for part, looks in trials.items() if not _is_own(references[part], appraiser)}
    truth = {part: references[part].finding for part in foreign}
    pairs = [(truth[part], look) for part, looks in foreign.items() for look in looks]
    return Appraisal(
        name=appraiser.name,
        is_person=appraiser.is_person,
        parts=len(trials),
        looks=sum(len(looks) for looks in trials.values()),
        own=len(trials) - len(foreign),
        within=share(sum(len(set(looks)) == 1 for looks in repeated), len(repeated)),
        effectiveness=share(
            sum(set(looks) == {truth[part]} for part, looks in foreign.items()), len(foreign)
        ),
        miss=_rate(foreign, truth, among=Finding.DEFECT, called=Finding.GOOD),
        false_alarm=_rate(foreign, truth, among=Finding.GOOD, called=Finding.DEFECT),
        undecided=_rate(foreign, truth, among=None, called=Finding.UNSURE),
        kappa=kappa.cohen(pairs),
    )


def _is_own(reference: Reference, appraiser: Appraiser) -> bool:
    """Whether the reference is nobody's word but the appraiser's, in the golden set or out of it."""
    return appraiser.is_person and bool(reference.by) and set(reference.by) <= {appraiser.name}


def _rate(
    trials: Trials, truth: Mapping[str, Finding], *, among: Finding | None, called: Finding
) -> Share | None:
    """Looks that called a part so, among parts that are `among`, or all."""
    chosen = [looks for part, looks in trials.items() if among is None or truth[part] is among]
    looks = [look for part_looks in chosen for look in part_looks]
    return share(looks.count(called), len(looks), parts=len(chosen))
