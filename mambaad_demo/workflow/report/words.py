"""Sentences of reports and of the study page, for people who sign them; no markup.

Nothing is claimed that an interval does not allow.
"""

from datetime import UTC, datetime

from mambaad_demo.pipeline.predictor import tiles_text
from mambaad_demo.storage.jobs import JobFacts
from mambaad_demo.workflow.studies.acceptance import (
    CRITERIA,
    Band,
    Criterion,
    Judgement,
    least_parts,
)
from mambaad_demo.workflow.studies.analysis import Scatter
from mambaad_demo.workflow.studies.attribute_msa import Sheet
from mambaad_demo.workflow.studies.shares import Share
from mambaad_demo.workflow.studies.study import Choice, ShotKind, Study, StudySpec

BANDS = {Band.ACCEPTABLE: "acceptable", Band.MARGINAL: "marginal", Band.UNACCEPTABLE: "unacceptable"}

BATCH_DOES_NOT_SHOW = (
    "Kinds of defect that nobody has tried may score below the limits. Limits come from good parts alone.",
    "Decided parts are seldom drawn at random: doubtful ones come first in the review. Shares of them are no "
    "rates of the production.",
    "Parts on which nobody decided count neither as false rejects nor as escapes.",
)

HOW_UNDECIDED_COUNTS = (
    "The verdict check of a checkpoint and the word unsure of a person decide nothing: somebody has to look. "
    "In agreement and kappa they are a category of their own, so they never agree with the reference. They "
    "are neither misses nor false alarms; how often they occur stands in a column of its own."
)
HOW_COUNTED = (
    "Miss: a look at a defective part that calls it good. False alarm: a look at a good part that calls it "
    "defective. Effectiveness: parts called what the reference says in every look. Rates are shares of "
    "looks. Their 95 % intervals (Clopper-Pearson) take the number of parts for the sample: several looks at "
    "a part are not several parts. Kappas are given without intervals."
)


def moment(at: datetime) -> str:
    """A time to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def percent(value: float) -> str:
    """A share of 1 in percent."""
    return f"{100 * value:.1f} %"


def signed(value: float) -> str:
    """A change, never a negative zero."""
    return f"{round(value, 3) + 0.0:+.3f}"


def share_text(share: Share | None) -> str:
    """A share with its interval and its count."""
    if share is None:
        return "no such part"
    return f"{percent(share.value)} ({span(share)}), {share.count} of {share.total}"


def span(share: Share) -> str:
    """The interval of a share."""
    return f"{100 * share.low:.1f} to {100 * share.high:.1f}"


def model_input(side: int, resize: str, tiles: int) -> str:
    """How the model sees a picture."""
    return f"{side} × {side} pixels, {resize}, {tiles_text(tiles)}"


def ran_on(device: str, kernel: str, precision: str, app_version: str) -> str:
    """What computed."""
    return f"{device}, kernel {kernel}, {precision}, MambaAD Inspector {app_version}"


def choice(spec: StudySpec) -> str:
    """How the parts of a study were chosen."""
    how = "nearest to a limit" if spec.choice is Choice.NEAREST else "at random"
    return f"up to {spec.parts} good and {spec.parts} defective ones, {how}, seed {spec.seed}"


def shots(spec: StudySpec) -> str:
    """Where the shots of a study come from."""
    if spec.kind is ShotKind.STORED:
        return f"up to {spec.shots} stored pictures of each part, told by their file names"
    return (
        f"{spec.shots} shots of each part: its stored picture and {spec.shots - 1} generated variations of it"
    )


def scatter_text(scatter: Scatter | None) -> str:
    """A standard deviation with its interval."""
    if scatter is None:
        return "no such part"
    if scatter.value == 0:
        return "0: all shots of a part score alike"
    return f"{scatter.value:.3f} ({scatter.low:.3f} to {scatter.high:.3f})"


def judgement_text(judgement: Judgement) -> str:
    """What an interval allows to say about a measure."""
    if judgement.is_shown:
        return f"shown to be {BANDS[judgement.worst]}: the whole interval lies there"
    text = f"not shown: the interval reaches from {BANDS[judgement.worst]} to {BANDS[judgement.best]}"
    if judgement.needed is None:
        return text
    return f"{text}; {judgement.needed} {judgement.criterion.needs} with the same share would show acceptable"


def bound_text(criterion: Criterion) -> str:
    """The bands of a criterion, and what it takes to show the best one."""
    acceptable, marginal = criterion.acceptable, criterion.marginal
    if criterion.counts_errors:
        bands = f"at most {100 * acceptable:g} % acceptable, up to {100 * marginal:g} % marginal"
    else:
        bands = f"at least {100 * (1 - acceptable):g} % acceptable, from {100 * (1 - marginal):g} % marginal"
    name = criterion.name.capitalize()
    return f"{name} {bands}; {least_parts(criterion)} {criterion.needs} without an error show it"


def bounds_text() -> str:
    """All bands in one sentence."""
    return f"AIAG's usual bands: {'. '.join(bound_text(criterion) for criterion in CRITERIA)}."


def batch_rests_on(facts: JobFacts, *, pictures: int, decided: int) -> tuple[str, ...]:
    """What the figures of a batch rest on."""
    total = "an unknown number" if facts.total is None else str(facts.total)
    return (
        f"{pictures} judged pictures; {facts.done} of {total} of the batch are done, {facts.refused} could "
        "not be judged.",
        f"Decisions of people on {decided} of them, as they stand at the date of this report.",
        "Checkpoint and calibration as their hashes say; limits as they were in force when each part was "
        "judged.",
    )


def study_rests_on(study: Study, sheet: Sheet) -> tuple[str, ...]:
    """What the figures of a study rest on."""
    people = sum(appraisal.is_person for appraisal in sheet.appraisals)
    return (
        f"{sheet.good} good and {sheet.defective} defective parts, {shots(study.spec)}.",
        f"References: {sheet.from_golden_set} from the golden set, {sheet.parts - sheet.from_golden_set} "
        "from what most reviewers say. A part whose reference is one person's word alone does not count for "
        "that person; where several agreed on it, they also agree with it, which flatters them.",
        f"Decisions of {people} {'person' if people == 1 else 'people'} on these parts, hidden repeats "
        "included, as they stand at the date of this report.",
    )


def study_does_not_show(study: Study) -> tuple[str, ...]:
    """What a study leaves open."""
    hard = (
        "The parts were chosen for being near a limit: parts of the production change their verdict less "
        "often, and their rates are others.",
    )
    generated = (
        "Generated variations are made by software from one picture. They show what small changes of place, "
        "light and camera do to the score, not what another fixture, lamp, camera, operator or day does. For "
        "that, take several pictures of each part and name them part07_1, part07_2.",
    )
    return (
        *(hard if study.spec.choice is Choice.NEAREST else ()),
        *(generated if study.spec.kind is ShotKind.GENERATED else ()),
        "Kinds of defect that are not among these parts.",
    )
