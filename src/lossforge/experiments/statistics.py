"""Whether two losses differ over the same seeds: paired tests and effect sizes."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import final


@final
@dataclass(frozen=True)
class Paired:
    """The difference between two losses over paired seeds, the first minus the second.

    Attributes:
        mean: of the differences; below 0, the first has the lower (better) metric.
        p_wilcoxon: of the signed-rank test, two-sided; with n pairs it cannot fall below 2 / 2^n.
        p_t: of the paired t-test, two-sided.
        effect: mean over deviation of the differences (Cohen's d for paired samples); NaN where
            the differences do not vary.
        pairs: seeds compared.
    """

    mean: float
    p_wilcoxon: float
    p_t: float
    effect: float
    pairs: int


def paired_comparison(first: Sequence[float], second: Sequence[float]) -> Paired | None:
    """Compare metrics over the same seeds, in the same order; pairs with a failed run are left out.

    Returns:
        None where fewer than two pairs are finite.

    Examples:
        >>> result = paired_comparison([0.10, 0.12, 0.11, 0.09], [0.14, 0.15, 0.16, 0.13])
        >>> round(result.mean, 3), result.p_wilcoxon
        (-0.04, 0.125)
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a + b)]
    if len(pairs) < 2:
        return None
    differences = [a - b for a, b in pairs]
    if not any(differences):
        return Paired(0.0, 1.0, 1.0, math.nan, len(pairs))
    deviation = stdev(differences)
    mean = fmean(differences)
    return Paired(
        mean,
        _wilcoxon(differences),
        _t_test(differences) if deviation else 0.0,
        mean / deviation if deviation else math.nan,
        len(pairs),
    )


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample deviation; NaN deviation for one value.

    Examples:
        >>> mean_and_deviation([1.0, 3.0])
        (2.0, 1.4142135623730951)
    """
    finite = all(map(math.isfinite, values))
    return fmean(values), stdev(values) if len(values) > 1 and finite else math.nan


def _wilcoxon(differences: Sequence[float]) -> float:
    from scipy.stats import wilcoxon

    with warnings.catch_warnings():
        # Ties and zeros make SciPy fall back to an approximation, and say so.
        warnings.simplefilter("ignore")
        return float(wilcoxon(differences, zero_method="zsplit").pvalue)


def _t_test(differences: Sequence[float]) -> float:
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue)
