"""Kappa: the share of agreement beyond what chance alone would give, Cohen's for two, Fleiss' for several.

Where nobody ever uses a second word, chance alone would give full agreement, and kappa is undefined.
"""

from collections.abc import Sequence

from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from mambaad_demo.pipeline.labeling import Finding

WORDS = [finding.value for finding in Finding]


def cohen(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Of two people's words on the same things; None where it is undefined."""
    if len({word for pair in pairs for word in pair}) < 2:
        return None
    one, other = zip(*pairs, strict=True)
    return float(cohen_kappa_score(one, other, labels=WORDS))


def fleiss(said: Sequence[Sequence[str]]) -> float | None:
    """Of the words on each thing, by as many people everywhere; None where it is undefined."""
    if len({word for words in said for word in words}) < 2:
        return None
    table, _ = aggregate_raters([[WORDS.index(word) for word in words] for words in said], n_cat=len(WORDS))
    return float(fleiss_kappa(table))
