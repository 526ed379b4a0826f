"""Whether losses differ: paired tests, corrections for many tests, and tests over many tasks.

A run that diverged has an infinite metric. It counts as the worst there is and is never left out;
tests that need finite numbers are then not applicable. Where there is nothing to test, a p-value
is None and a reason is given.

Sources: Demšar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 2006);
Holm (Scand. J. Statist. 1979); Pratt (JASA 1959); Benavoli et al., "Time for a change: a tutorial
for comparing multiple classifiers through Bayesian analysis" (JMLR 2017).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, final

from lossforge.validation import require, require_in_range

if TYPE_CHECKING:
    import numpy as np

LEAST_PAIRS = 5
"""pairs below which no test is made"""

SIGNIFICANT_DIGITS = 13
"""of a metric that count: a double has between 15 and 17"""

EXACT_PAIRS = 200
"""pairs up to which the signed-rank distribution is enumerated; above, it is close to normal"""


@final
@dataclass(frozen=True)
class Paired:
    """The difference between two losses over paired runs, the first minus the second.

    Attributes:
        mean: of the differences; below 0, the first has the lower (better) metric. Infinite where
            a run diverged under one of the two, NaN where runs diverged under both.
        p_wilcoxon: of the signed-rank test, two-sided; None where it is not applicable.
        p_t: of the paired t-test, two-sided; None where it is not applicable.
        effect: mean over deviation of the differences (Cohen's d for paired samples); NaN where
            the differences do not vary or are not finite.
        pairs: how many runs were compared.
        reason: why a test is not applicable, or cannot show a difference; empty otherwise.
    """

    mean: float
    p_wilcoxon: float | None
    p_t: float | None
    effect: float
    pairs: int
    reason: str = ""

    def mirrored(self) -> "Paired":
        """Return the same of the opposite differences."""
        return replace(self, mean=-self.mean, effect=-self.effect)


def paired_comparison(first: Sequence[float], second: Sequence[float]) -> Paired | None:
    """Compare metrics over the same runs, in the same order; lower is better.

    Args:
        first: one number a run; infinity for a run that diverged.
        second: likewise.

    Returns:
        None where there are fewer than two pairs.

    Examples:
        >>> first, second = [0.10, 0.12, 0.11, 0.09, 0.1], [0.14, 0.15, 0.16, 0.13, 0.12]
        >>> result = paired_comparison(first, second)
        >>> round(result.mean, 3), result.p_wilcoxon
        (-0.036, 0.0625)
        >>> result.reason
        '5 pairs cannot reach p < 0.05 (at best 0.0625)'
        >>> paired_comparison([0.1, 0.2], [0.3, 0.5]).reason
        'fewer than 5 pairs are no test'
    """
    differences = [difference(a, b) for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        return None
    finite = all(map(math.isfinite, differences))
    mean = _mean(differences)
    deviation = stdev(differences) if finite else math.nan
    effect = mean / deviation if finite and deviation > 0 else math.nan
    p_wilcoxon, p_t = None, None
    reason = _not_applicable(differences)
    if not reason:
        p_wilcoxon = signed_rank_p(differences)
        p_t = _t_test(differences) if finite else None
        reason = _powerless(differences)
    if not finite:
        reason = "; ".join(part for part in ("a run diverged: no t-test", reason) if part)
    return Paired(mean, p_wilcoxon, p_t, effect, len(differences), reason)


def difference(first: float, second: float) -> float:
    """Return first minus second; two runs that both diverged are equal.

    Rounded to what the numbers can tell: differences that are equal but for their last digits are
    ties to a test of ranks.

    Examples:
        >>> difference(math.inf, 0.1), difference(0.1, math.inf), difference(math.inf, math.inf)
        (inf, -inf, 0.0)
        >>> 0.3 - 0.2 == 0.2 - 0.1, difference(0.3, 0.2) == difference(0.2, 0.1)
        (False, True)
    """
    if math.isinf(first) and math.isinf(second):
        return 0.0
    size = max(abs(first), abs(second))
    if size == 0 or not math.isfinite(size):
        return first - second
    return round(first - second, SIGNIFICANT_DIGITS - math.ceil(math.log10(size)))


def _mean(differences: Sequence[float]) -> float:
    infinite = {value for value in differences if math.isinf(value)}
    return math.nan if len(infinite) > 1 else fmean(differences)


def _not_applicable(differences: Sequence[float]) -> str:
    """Return why there is nothing to test; empty where there is."""
    if len(differences) < LEAST_PAIRS:
        return f"fewer than {LEAST_PAIRS} pairs are no test"
    if len(set(differences)) == 1:
        return "all differences are equal"
    return ""


def _powerless(differences: Sequence[float]) -> str:
    """Return why even the clearest outcome would not reach p < 0.05; empty where it would."""
    unequal = sum(value != 0 for value in differences)
    least = 2.0 ** (1 - unequal)
    if least <= 0.05:
        return ""
    pairs = "pair" if unequal == 1 else "pairs"
    which = "" if unequal == len(differences) else "unequal "
    return f"{unequal} {which}{pairs} cannot reach p < 0.05 (at best {least:g})"


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, exact up to 200 pairs.

    Ties have mean ranks, zeros are ranked and then dropped (Pratt 1959), and the distribution is
    that of all signs of the ranks at hand, so that it holds with ties, too.

    Args:
        differences: infinite ones rank highest.

    Examples:
        >>> signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        0.03125
        >>> signed_rank_p([0.0, 0.0])
        1.0
    """
    sizes = [abs(value) for value in differences]
    # Twice the ranks are whole numbers.
    doubled = [round(2 * rank) for rank in mean_ranks(sizes)]
    ranks = [rank for rank, size in zip(doubled, sizes, strict=True) if size > 0]
    positive = sum(r for r, value in zip(doubled, differences, strict=True) if value > 0)
    total = sum(ranks)
    low = min(positive, total - positive)
    if len(ranks) > EXACT_PAIRS:
        deviation = math.sqrt(sum(rank**2 for rank in ranks)) / 2
        return min(1.0, math.erfc((total / 2 - low) / deviation / math.sqrt(2)))
    ways = [1] + [0] * total
    for rank in ranks:
        for value in range(total, rank - 1, -1):
            ways[value] += ways[value - rank]
    return min(1.0, float(2 * sum(ways[: low + 1]) / 2 ** len(ranks)))


def mean_ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1, the lowest first, ties sharing the mean of theirs.

    Examples:
        >>> mean_ranks([0.3, 0.1, 0.3])
        [2.5, 1.0, 2.5]
    """
    ordered = sorted(values)
    first = {value: index for index, value in reversed(list(enumerate(ordered, 1)))}
    last = {value: index for index, value in enumerate(ordered, 1)}
    return [(first[value] + last[value]) / 2 for value in values]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for all the tests of a table by Holm's step-down method.

    Args:
        p_values: None for a test that was not applicable; it is not counted.

    Examples:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    made = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    floor = 0.0
    for passed, (p, index) in enumerate(made):
        floor = max(floor, min(1.0, p * (len(made) - passed)))
        adjusted[index] = floor
    return adjusted


@final
@dataclass(frozen=True)
class Friedman:
    """Whether any of several losses differ over several tasks.

    Attributes:
        ranks: mean rank of each loss, 1 the best.
        statistic: Friedman's chi-square, corrected for ties; NaN where it is not applicable.
        p: of the test; None where it is not applicable.
        critical_difference: of mean ranks at 0.05 (Nemenyi); losses closer than that do not differ.
        tasks: how many.
    """

    ranks: tuple[float, ...]
    statistic: float
    p: float | None
    critical_difference: float
    tasks: int

    def groups(self) -> list[tuple[int, ...]]:
        """Return the largest groups of losses that do not differ, by index, the best first.

        Groups of one are left out, as in a critical-difference diagram.
        """
        order = sorted(range(len(self.ranks)), key=self.ranks.__getitem__)
        found: list[tuple[int, ...]] = []
        for begin, best in enumerate(order):
            near = [i for i in order[begin:] if self._reaches(best, i)]
            if len(near) > 1 and not any(set(near) <= set(group) for group in found):
                found.append(tuple(near))
        return found

    def _reaches(self, first: int, second: int) -> bool:
        return abs(self.ranks[first] - self.ranks[second]) <= self.critical_difference


def friedman(scores: Sequence[Sequence[float]]) -> Friedman:
    """Rank losses on each task and test whether their mean ranks differ.

    Args:
        scores: a row a task, in it a metric a loss, lower is better; infinity is the worst.

    Raises:
        ConfigurationError: there are fewer than two tasks or two losses.

    Source: Demšar 2006, section 3.2.

    Examples:
        >>> found = friedman([[0.1, 0.2, 0.3]] * 6)
        >>> found.ranks, found.statistic, found.p < 0.01
        ((1.0, 2.0, 3.0), 12.0, True)
        >>> round(found.critical_difference, 3)
        1.353
    """
    require(len(scores) >= 2, "Friedman's test needs two tasks or more")
    tasks, losses = len(scores), len(scores[0])
    require(losses >= 2, "Friedman's test needs two losses or more")
    ranked = [mean_ranks(row) for row in scores]
    ranks = tuple(fmean(row[i] for row in ranked) for i in range(losses))
    # Demšar's formula over the variance of the ranks at hand, which ties make smaller.
    middle = (losses + 1) / 2
    between = tasks * sum((rank - middle) ** 2 for rank in ranks)
    within = sum((rank - middle) ** 2 for row in ranked for rank in row)
    statistic, p = math.nan, None
    if within > 0:
        statistic = between / (within / (tasks * (losses - 1)))
        p = _chi_square_tail(statistic, losses - 1)
    return Friedman(ranks, statistic, p, nemenyi(losses, tasks), tasks)


def nemenyi(losses: int, tasks: int, alpha: float = 0.05) -> float:
    """Return the difference of mean ranks from which on two losses differ (Demšar 2006, eq. 4.1).

    Examples:
        >>> round(nemenyi(4, 14), 2)  # Demšar's example
        1.25
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, losses, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(losses * (losses + 1) / (6 * tasks))


@final
@dataclass(frozen=True)
class Probabilities:
    """How likely each answer is, given the differences.

    Attributes:
        first_better: the first is better by more than the region of equivalence.
        equivalent: they differ by no more than that.
        second_better: the second is better.
    """

    first_better: float
    equivalent: float
    second_better: float


def bayesian_signed_rank(
    differences: Sequence[float],
    rope: float,
    generator: "np.random.Generator",
    *,
    samples: int = 20_000,
    prior: float = 0.5,
) -> Probabilities:
    """Return how likely the first of two losses is better, equivalent or worse.

    Args:
        differences: first minus second, one a task or repetition; infinite ones count as larger
            than all others.
        rope: half the width of the region of practical equivalence, in the metric's unit.
        generator: draws the weights of the differences.
        samples: of the posterior.
        prior: strength of the prior observation of no difference.

    Raises:
        ConfigurationError: there are no differences, or `rope` is negative.

    Source: Benavoli et al. 2017, section 4.2.2: a Dirichlet process over the differences; an
    answer's probability is the share of its draws in which it has the largest weight.

    Examples:
        >>> import numpy as np
        >>> bayesian_signed_rank([-0.3] * 9, 0.01, np.random.default_rng(0)).first_better > 0.99
        True
        >>> bayesian_signed_rank([0.0] * 9, 0.01, np.random.default_rng(0)).equivalent
        1.0
    """
    import numpy as np

    require(len(differences) > 0, "a Bayesian signed-rank test needs a difference or more")
    require_in_range("rope", rope, 0)
    finite = [abs(value) for value in differences if math.isfinite(value)]
    largest = 4 * (max(finite, default=0.0) + rope + 1)
    # Sorted, so that the answer does not depend on the order; z0 = 0 is the prior's.
    values = sorted(max(-largest, min(largest, value)) for value in differences)
    z = np.array([0.0, *values])
    means = (z[:, None] + z[None, :]) / 2
    weights = generator.dirichlet([prior, *[1.0] * len(values)], size=samples)

    def share(where: Any) -> Any:
        return np.einsum("si,ij,sj->s", weights, where.astype(float), weights, optimize=True)

    first, second = share(means < -rope), share(means > rope)
    shares = np.stack([first, 1 - first - second, second])
    wins = np.bincount(shares.argmax(0), minlength=3) / samples
    return Probabilities(*(float(value) for value in wins))


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample deviation; NaN deviation for one value or infinite ones.

    Examples:
        >>> mean_and_deviation([1.0, 3.0])
        (2.0, 1.4142135623730951)
    """
    finite = all(map(math.isfinite, values))
    return fmean(values), stdev(values) if len(values) > 1 and finite else math.nan


def _t_test(differences: Sequence[float]) -> float:
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue)


def _chi_square_tail(statistic: float, degrees: int) -> float:
    from scipy.stats import chi2

    return float(chi2.sf(statistic, degrees))
