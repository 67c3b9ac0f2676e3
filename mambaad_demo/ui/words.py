"""Sentences about a prediction for people who do not know AUROC; no markup, no rules of judgement."""

from mambaad_demo.hub.schemas import CategoryCalibration
from mambaad_demo.pipeline.comparison import Comparison
from mambaad_demo.pipeline.prediction import UNKNOWN_CATEGORY, Prediction, Verdict
from mambaad_demo.pipeline.set_comparison import Interval

TITLES = {Verdict.ACCEPT: "Accept", Verdict.CHECK: "Check", Verdict.REJECT: "Reject"}
DECODERS = {"mambaad": "MambaAD", "pyramid_mamba": "Pyramid-Mamba", "mambaad_v2": "MambaADv2"}

SLIM, CLEAR = 0.1, 0.5
"""Distances to a limit, in spreads of the good parts: nearer counts as slim, farther as clear."""


def spoken(name: str) -> str:
    """An identifier as a person says it: `bottle_cap` → `bottle cap`."""
    return name.replace("_", " ")


def decoder_name(decoder: str) -> str:
    """The name a decoder has in its paper."""
    return DECODERS.get(decoder, decoder)


def score_text(value: float) -> str:
    """A map value or score with three significant digits."""
    return f"{value:#.3g}"


def rarity(prediction: Prediction, calibration: CategoryCalibration | None) -> tuple[str, str, str]:
    """A sentence in three parts, the middle one to be stressed."""
    if prediction.percentile is None or calibration is None:
        return (
            f"No limits for {spoken(prediction.category)} yet:",
            "judge by eye",
            "until it is calibrated.",
        )
    parts = "part" if calibration.images == 1 else "parts"
    if prediction.percentile == 0:
        return ("More usual than", "all", f"{calibration.images} good {parts} it is compared with.")
    return ("Rarer than", f"{prediction.percentile:.3g} %", f"of {calibration.images} good {parts}.")


def regions(prediction: Prediction) -> str:
    """How many areas stand out; empty where no limit says what stands out."""
    if prediction.limits.check is None:
        return ""
    count = len(prediction.regions)
    if count == 0:
        return "Nothing stands out."
    return "One region stands out." if count == 1 else f"{count} regions stand out."


def certainty(prediction: Prediction, calibration: CategoryCalibration | None) -> str:
    """How far the score is from the limit that decided, measured in the spread of good parts."""
    check, reject = prediction.limits.check, prediction.limits.reject
    if check is None or reject is None or calibration is None:
        return "Unknown: there is no limit to compare with."
    score = prediction.image_score
    typical = calibration.scores[len(calibration.scores) // 2]
    spread = max(reject - typical, 1e-9)
    if prediction.verdict is Verdict.REJECT:
        distance, line = (score - reject) / spread, f"above the reject limit of {score_text(reject)}"
    elif prediction.verdict is Verdict.ACCEPT:
        distance, line = (check - score) / spread, f"below the check limit of {score_text(check)}"
    else:
        return (
            f"Undecided: score {score_text(score)} lies between the check limit of {score_text(check)} "
            f"and the reject limit of {score_text(reject)}, so a person should look."
        )
    if distance < SLIM:
        return f"Slim: score {score_text(score)} is only just {line}. Look twice."
    if distance < CLEAR:
        return f"Fair: score {score_text(score)} is {line}."
    return f"Clear: score {score_text(score)} is far {line}."


def product(prediction: Prediction) -> tuple[str, str]:
    """The category it was judged as, and how that came about."""
    if prediction.category == UNKNOWN_CATEGORY:
        return "unknown", "this checkpoint knows no products"
    if prediction.category_source == "given":
        return spoken(prediction.category), "chosen by you"
    return spoken(prediction.category), f"suggested, {_likeness(prediction.category_margin)}"


def _likeness(margin: float) -> str:
    if margin < 0.1:
        return "a close call: choose it yourself if it is wrong"
    return "fairly sure" if margin < 0.3 else "clearly the nearest"


def picture(prediction: Prediction, title: str) -> str:
    """What a screen reader says of the picture."""
    size = f"{prediction.width} by {prediction.height} pixels"
    return f"{title}, {size}: {TITLES[prediction.verdict]}. {regions(prediction)}".strip()


def vote(comparison: Comparison) -> str:
    """How many gave the verdict of most, such as `2 of 3 reject`."""
    judged, verb = sum(comparison.votes.values()), TITLES[comparison.majority].lower()
    if judged < 2:
        return f"One vote: {verb}" if judged else "No limits, no vote"
    if comparison.is_unanimous:
        return f"Both {verb}" if judged == 2 else f"All {judged} {verb}"
    return f"{comparison.votes[comparison.majority]} of {judged} {verb}"


def origin(decoder: str) -> tuple[str, ...]:
    """What a user has to know of where a decoder comes from; mostly nothing."""
    if decoder != "mambaad_v2":
        return ()
    return ("Our reading of the paper's abstract: neither its code nor its full text is public.",)


def set_difference(auroc: Interval | None, rejected: Interval | None, *, is_labeled: bool) -> str:
    """What a set of pictures says about two checkpoints, no more than its intervals allow."""
    measured = [
        (what, interval)
        for what, interval in (
            ("AUROC is", auroc),
            ("rejects of good parts are" if is_labeled else "rejects are", rejected),
        )
        if interval is not None
    ]
    if not measured:
        return "nothing to tell, since one of them has no limits for these pictures."
    shown = [
        f"{what} {'higher' if interval.value > 0 else 'lower'} for the first"
        for what, interval in measured
        if interval.is_apart_from_zero
    ]
    if shown:
        return f"{' and '.join(shown)}, by more than the choice of pictures would explain."
    return "these pictures show no difference that could not be chance."
