"""Whether a loss does as well as the best one, as far as a few runs can tell."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

ROUNDING = 1e-9
"""by which equal numbers may differ"""


def is_level(scores: Sequence[float], best: Sequence[float], rows: int | None = None) -> bool:
    """Tell whether scores are worse than the best ones by a standard error at most.

    The standard error is the smaller of two: that of the paired differences, and that of the best
    scores alone. Differences from a loss that fails in one run of two are as spread as their mean
    is large, so by the first alone any such loss would be level.

    Args:
        scores: of runs, lower is better.
        best: of the same runs with the best loss.
        rows: how many rows the scores are error rates on. Rates that differ by d on n rows have a
            standard error of sqrt(d/n) at least, since no fewer than d*n rows are classified
            differently. So one row more or less decides nothing.

    Examples:
        >>> is_level([0.11, 0.10, 0.12], [0.10, 0.11, 0.11])
        True
        >>> is_level([0.10, 0.60], [0.10, 0.10])  # fails in one run of two
        False
        >>> is_level([0.02], [0.01], rows=100)
        True
    """
    differences = [mine - theirs for mine, theirs in zip(scores, best, strict=True)]
    mean = fmean(differences)
    if mean <= 0:
        return True
    if not math.isfinite(mean):
        return False
    of_rows = mean / rows if rows else 0.0
    return mean <= math.sqrt(_of_runs(differences, best) + of_rows) + ROUNDING


def _of_runs(differences: Sequence[float], best: Sequence[float]) -> float:
    """Return the squared standard error that differences between runs make."""
    if len(differences) < 2:
        return 0.0
    return min(stdev(differences), stdev(best)) ** 2 / len(differences)
