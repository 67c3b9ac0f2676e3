"""How far reviewers agree with each other and with themselves; words are good, defect and unsure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from sklearn.metrics import confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa

from mambaad_demo.pipeline.labeling import Finding, LabeledImage
from mambaad_demo.pipeline.set_comparison import Interval
from mambaad_demo.workflow.figures import kappa
from mambaad_demo.workflow.figures.estimate import Estimate, proportion, undefined, without_interval
from mambaad_demo.workflow.figures.kappa import WORDS

FEWEST = 20
"""Pictures from which the interval of kappa, which is right for many pictures only, is worth telling."""

_ONE_WORD = "Undefined: only one word was ever used, so agreement is no feat."


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Two reviewers on the pictures that both decided."""

    reviewers: tuple[str, str]
    n: int
    same: Estimate
    """Share of pictures on which they say the same."""
    kappa: Estimate
    """Cohen's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAgreement:
    """Pictures that the same number of reviewers decided, whoever they are."""

    n: int
    reviewers_each: int
    kappa: Estimate
    """Fleiss'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfAgreement:
    """A reviewer on pictures that were shown again without saying so."""

    reviewer: str
    n: int
    same: Estimate
    kappa: Estimate
    """Cohen's, first word against the word when shown again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What is known about the reviewers of a product."""

    pairs: tuple[PairAgreement, ...]
    """The ones with most pictures in common first."""
    group: GroupAgreement | None
    """None while no picture has two reviewers."""
    selves: tuple[SelfAgreement, ...]
    n_labeled: int
    n_reviewers: int


def agreement(labels: Sequence[LabeledImage], repeats: Sequence[tuple[str, Finding, Finding]]) -> Agreement:
    """Measure agreement.

    Args:
        labels: with every reviewer's word.
        repeats: (reviewer, first word, word when shown again).
    """
    common: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for label in labels:
        words = sorted(zip(label.reviewers, (finding.value for finding in label.findings), strict=True))
        for (one, first), (other, second) in combinations(words, 2):
            common[one, other].append((first, second))
    again: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for reviewer, first_word, second_word in repeats:
        again[reviewer].append((first_word.value, second_word.value))
    pairs = [_pair(reviewers, words) for reviewers, words in sorted(common.items())]
    return Agreement(
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.n)),
        group=_group(labels),
        selves=tuple(
            SelfAgreement(reviewer=name, n=len(words), same=_same(words), kappa=cohen(words))
            for name, words in sorted(again.items())
        ),
        n_labeled=len(labels),
        n_reviewers=len({name for label in labels for name in label.reviewers}),
    )


def cohen(words: Sequence[tuple[str, str]]) -> Estimate:
    """Cohen's kappa of paired words, with its asymptotic interval where there are enough of them."""
    value = kappa.cohen(words)
    if value is None:
        return undefined(_ONE_WORD)
    one, other = (list(column) for column in zip(*words, strict=True))
    if len(words) < FEWEST:
        return without_interval(value, f"No interval: it takes {FEWEST} pictures.")
    if one == other:
        return without_interval(value, "No interval: they never differ.")
    if 1 in (len(set(one)), len(set(other))):
        return without_interval(value, "No interval: one of them used one word only.")
    ends = cohens_kappa(confusion_matrix(one, other, labels=WORDS))
    low, high = max(float(ends.kappa_low), -1.0), min(float(ends.kappa_upp), 1.0)
    return Estimate(interval=Interval(value=value, low=low, high=high))


def _pair(reviewers: tuple[str, str], words: Sequence[tuple[str, str]]) -> PairAgreement:
    return PairAgreement(reviewers=reviewers, n=len(words), same=_same(words), kappa=cohen(words))


def _same(words: Sequence[tuple[str, str]]) -> Estimate:
    return proportion(sum(one == other for one, other in words), len(words), of="pictures in common")


def _group(labels: Sequence[LabeledImage]) -> GroupAgreement | None:
    """Fleiss' kappa over the number of reviewers that most pictures have, from two on."""
    sizes = Counter(len(label.findings) for label in labels if len(label.findings) > 1)
    if not sizes:
        return None
    size = max(sizes, key=lambda number: (sizes[number], number))
    words = [label.findings for label in labels if len(label.findings) == size]
    value = kappa.fleiss(words)
    estimate = undefined(_ONE_WORD) if value is None else without_interval(value, "")
    return GroupAgreement(n=len(words), reviewers_each=size, kappa=estimate)
