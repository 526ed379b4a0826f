"""Paired comparisons against SciPy, and where there is nothing to compare."""

import math

import pytest
from scipy.stats import ttest_rel, wilcoxon

from lossforge.experiments.statistics import mean_and_deviation, paired_comparison

A = [0.10, 0.12, 0.115, 0.09, 0.105, 0.13]
B = [0.14, 0.11, 0.16, 0.13, 0.125, 0.15]


def test_p_values_are_scipy_s():
    found = paired_comparison(A, B)
    assert found is not None
    assert found.p_t == pytest.approx(ttest_rel(A, B).pvalue)
    assert found.p_wilcoxon == pytest.approx(wilcoxon(A, B).pvalue)
    assert found.mean == pytest.approx(sum(A) / 6 - sum(B) / 6)
    assert found.effect < 0


def test_failed_runs_are_left_out_in_pairs():
    found = paired_comparison([0.1, math.inf, 0.3], [0.2, 0.1, 0.5])
    assert found is not None
    assert found.pairs == 2
    assert paired_comparison([math.inf, 0.1], [0.1, 0.1]) is None


def test_equal_runs_differ_by_nothing():
    found = paired_comparison([0.1, 0.2], [0.1, 0.2])
    assert found is not None
    assert (found.mean, found.p_t, found.p_wilcoxon) == (0.0, 1.0, 1.0)


def test_one_value_has_no_deviation():
    assert mean_and_deviation([2.0])[0] == 2.0
    assert math.isnan(mean_and_deviation([2.0])[1])
