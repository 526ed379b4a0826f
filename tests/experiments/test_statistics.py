"""Tests of losses against SciPy, their symmetries, and where there is nothing to test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import (
    PermutationMethod,
    friedmanchisquare,
    rankdata,
    ttest_rel,
    wilcoxon,
)

from lossforge.errors import ConfigurationError
from lossforge.experiments.statistics import (
    bayesian_signed_rank,
    difference,
    friedman,
    holm,
    mean_and_deviation,
    mean_ranks,
    nemenyi,
    paired_comparison,
    signed_rank_p,
)

A = [0.10, 0.12, 0.115, 0.09, 0.105, 0.13]
B = [0.14, 0.11, 0.16, 0.13, 0.125, 0.15]

# Multiples of 1/8, among which ties and zeros are frequent and differences are exact.
metrics = st.one_of(st.integers(0, 16).map(lambda n: n / 8), st.just(math.inf))
finite_metrics = st.integers(0, 16).map(lambda n: n / 8)


def pairs_of(values, **sizes):
    return st.lists(st.tuples(values, values), **sizes)


def test_p_values_are_scipy_s():
    found = paired_comparison(A, B)
    assert found is not None
    assert found.p_t == pytest.approx(ttest_rel(A, B).pvalue)
    assert found.p_wilcoxon == pytest.approx(wilcoxon(A, B).pvalue)
    assert found.mean == pytest.approx(sum(A) / 6 - sum(B) / 6)
    assert found.effect < 0
    assert found.reason == ""


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=8).filter(any))
def test_signed_ranks_with_ties_and_zeros_are_the_permutation_test_s(differences):
    exact = wilcoxon(
        differences,
        zero_method="pratt",
        method=PermutationMethod(n_resamples=2 ** len(differences)),
    )
    assert signed_rank_p(differences) == pytest.approx(exact.pvalue)


def test_many_signed_ranks_are_scipy_s_normal_approximation():
    differences = np.random.default_rng(0).normal(0.1, 1, 400).tolist()
    expected = wilcoxon(differences, method="approx").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-6)
    assert signed_rank_p(differences[:200]) == pytest.approx(
        wilcoxon(differences[:200], method="exact").pvalue
    )


@given(pairs_of(metrics, min_size=2, max_size=12))
def test_swapping_the_losses_changes_the_sign_alone(pairs):
    first, second = zip(*pairs, strict=True)
    one, other = paired_comparison(first, second), paired_comparison(second, first)
    assert one.p_wilcoxon == other.p_wilcoxon
    assert one.p_t == pytest.approx(other.p_t) if one.p_t is not None else other.p_t is None
    assert one.reason == other.reason
    assert one.mean == -other.mean or math.isnan(one.mean)


@given(pairs_of(metrics, min_size=2, max_size=12), st.randoms())
def test_the_order_of_the_runs_is_without_meaning(pairs, draw):
    shuffled = draw.sample(pairs, len(pairs))
    one = paired_comparison(*zip(*pairs, strict=True))
    other = paired_comparison(*zip(*shuffled, strict=True))
    assert one.p_wilcoxon == other.p_wilcoxon
    assert one.mean == pytest.approx(other.mean, nan_ok=True)


@given(pairs_of(finite_metrics, min_size=5, max_size=12))
def test_a_run_that_diverges_is_as_bad_as_the_worst_that_does_not(pairs):
    first, second = map(list, zip(*pairs, strict=True))
    worst, diverged = [1000.0, *first], [math.inf, *first]
    second = [0.0, *second]
    one, other = paired_comparison(diverged, second), paired_comparison(worst, second)
    assert one.p_wilcoxon == other.p_wilcoxon
    assert one.p_t is None
    assert "diverged" in one.reason
    assert one.mean == math.inf
    assert one.pairs == len(pairs) + 1


def test_diverging_once_in_eight_runs_is_no_win():
    found = paired_comparison([0.1] * 7 + [math.inf], [0.2 + i / 100 for i in range(8)])
    assert found.p_wilcoxon > 0.05


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([0.1, 0.2], [0.3, 0.5], "fewer than 5 pairs are no test"),
        ([0.1] * 4, [0.3, 0.4, 0.5, 0.6], "fewer than 5 pairs are no test"),
        ([0.5] * 6, [0.5] * 6, "all differences are equal"),
        ([0.5] * 6, [0.25] * 6, "all differences are equal"),
        ([math.inf] * 6, [math.inf] * 6, "all differences are equal"),
    ],
)
def test_where_there_is_nothing_to_test_there_is_no_p_value(first, second, reason):
    found = paired_comparison(first, second)
    assert found is not None
    assert (found.p_wilcoxon, found.p_t, found.reason) == (None, None, reason)


def test_one_pair_is_no_comparison():
    assert paired_comparison([0.1], [0.2]) is None


def test_pairs_too_few_for_any_outcome_say_so():
    assert "cannot reach" in paired_comparison(A[:5], B[:5]).reason
    assert paired_comparison(A, B).reason == ""
    equal = paired_comparison([*A[:3], 1, 1, 1], [*B[:3], 1, 1, 1])
    assert equal.reason == "3 unequal pairs cannot reach p < 0.05 (at best 0.25)"


@given(st.lists(metrics, min_size=1))
def test_ranks_are_scipy_s(values):
    assert mean_ranks(values) == pytest.approx(rankdata(values).tolist())


p_values = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=10)


@given(p_values, st.randoms())
def test_holm_is_monotone_bounded_and_blind_to_order(values, draw):
    adjusted = holm(values)
    tested = [(p, q) for p, q in zip(values, adjusted, strict=True) if p is not None]
    assert [p is None for p in values] == [q is None for q in adjusted]
    assert all(p <= q <= 1 for p, q in tested)
    assert [q for _, q in sorted(tested)] == sorted(q for _, q in tested)
    if tested:
        assert min(q for _, q in tested) == min(1, min(p for p, _ in tested) * len(tested))
    order = draw.sample(range(len(values)), len(values))
    assert holm([values[i] for i in order]) == [adjusted[i] for i in order]


tables = st.integers(3, 6).flatmap(
    lambda k: st.lists(st.lists(finite_metrics, min_size=k, max_size=k), min_size=2, max_size=8)
)


@given(tables.filter(lambda rows: any(len(set(row)) > 1 for row in rows)))
def test_friedman_is_scipy_s(rows):
    found = friedman(rows)
    expected = friedmanchisquare(*zip(*rows, strict=True))
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)


@given(tables, st.randoms())
def test_friedman_s_ranks_move_with_the_losses(rows, draw):
    order = draw.sample(range(len(rows[0])), len(rows[0]))
    moved = friedman([[row[i] for i in order] for row in rows])
    assert moved.ranks == pytest.approx([friedman(rows).ranks[i] for i in order])
    assert sum(moved.ranks) == pytest.approx(sum(range(1, len(order) + 1)))


def test_friedman_of_equal_losses_is_not_applicable():
    found = friedman([[0.5, 0.5, 0.5]] * 4)
    assert found.p is None
    assert found.groups() == [(0, 1, 2)]


def test_critical_differences_are_demsar_s():
    # Demšar 2006, table 5(a): q_0.05 of 2 to 10 classifiers.
    q = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for losses, expected in enumerate(q, 2):
        scale = math.sqrt(losses * (losses + 1) / 60)
        assert nemenyi(losses, 10) == pytest.approx(expected * scale, rel=1e-3)


def test_groups_are_the_largest_that_do_not_differ():
    rows = [[1, 2, 3, 4, 5]] * 20
    found = friedman(rows)
    assert found.critical_difference == pytest.approx(1.364, abs=1e-3)
    assert found.groups() == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("rows", [[[1, 2]], [[1], [2]]])
def test_friedman_needs_two_of_each(rows):
    with pytest.raises(ConfigurationError, match="two"):
        friedman(rows)


def posterior(differences, rope=0.01, seed=0):
    return bayesian_signed_rank(differences, rope, np.random.default_rng(seed), samples=4000)


@given(st.lists(st.integers(-8, 8).map(lambda n: n / 80), min_size=1, max_size=12), st.randoms())
def test_the_posterior_is_symmetric_and_blind_to_order(differences, draw):
    found = posterior(differences)
    assert found.first_better + found.equivalent + found.second_better == pytest.approx(1)
    assert posterior(draw.sample(differences, len(differences))) == found
    mirrored = posterior([-value for value in differences], seed=1)
    assert mirrored.first_better == pytest.approx(found.second_better, abs=0.05)
    assert mirrored.second_better == pytest.approx(found.first_better, abs=0.05)


def test_a_wider_region_of_equivalence_makes_equivalence_likelier():
    differences = [-0.02, -0.01, 0.005, -0.03, -0.015, 0.0, -0.02]
    likely = [posterior(differences, rope).equivalent for rope in (0.0, 0.005, 0.01, 0.02, 0.05)]
    assert likely == sorted(likely)
    assert likely[-1] > 0.99


def test_a_diverged_run_counts_against_its_loss():
    base = [-0.1, -0.1, -0.1]
    assert posterior([*base, math.inf]).first_better < posterior([*base, -0.1]).first_better
    assert posterior([math.inf] * 6).second_better > 0.95


@pytest.mark.parametrize(("differences", "rope"), [([], 0.1), ([0.1], -1)])
def test_posteriors_without_sense_are_refused(differences, rope):
    with pytest.raises(ConfigurationError):
        posterior(differences, rope)


def test_one_value_has_no_deviation():
    assert mean_and_deviation([2.0])[0] == 2.0
    assert math.isnan(mean_and_deviation([2.0])[1])


def test_differences_that_are_equal_but_for_rounding_are_ties():
    first, second = [0.3, 0.2, 0.7, 0.4, 0.5], [0.2, 0.1, 0.6, 0.3, 0.4]
    assert len({a - b for a, b in zip(first, second, strict=True)}) > 1
    found = paired_comparison(first, second)
    assert (found.p_wilcoxon, found.reason) == (None, "all differences are equal")


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_difference_is_rounded_no_more_than_its_terms_allow(a, b):
    assert difference(a, b) == pytest.approx(a - b, abs=1e-12 * max(a, b))
    assert difference(a, b) == -difference(b, a)
