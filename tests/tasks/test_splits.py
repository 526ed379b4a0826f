"""Splits are disjoint, complete, stratified and reproducible for any table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks.splits import quantile_bins, split_rows

counts = st.lists(st.integers(3, 60), min_size=1, max_size=30).filter(lambda c: sum(c) >= 20)


def shuffled(counts: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@given(counts, st.integers(0, 2**32), st.sampled_from([(0.6, 0.2, 0.2), (0.9, 0.1), (0.5, 0.5)]))
def test_every_stratum_is_dealt_out_fairly(counts, seed, fractions):
    strata = shuffled(counts, seed)
    parts = split_rows(strata, seed, fractions)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(strata)))
    for part, fraction in zip(parts, fractions, strict=True):
        assert np.array_equal(part, np.sort(part))
        dealt = np.bincount(strata[part], minlength=len(counts))
        assert (dealt >= 1).all()
        assert (np.abs(dealt - fraction * np.array(counts)) <= 1 + 1e-9).all()


def test_the_seed_decides():
    strata = shuffled([30, 30, 5], 0)
    first, again, other = (split_rows(strata, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@given(st.lists(st.floats(-10, 10), min_size=20, max_size=300))
def test_quantile_bins_are_even_and_ordered(values):
    bins = quantile_bins(np.array(values))
    sizes = np.bincount(bins)
    assert sizes.min() >= 10
    assert np.ptp(sizes) <= 1
    assert (np.diff(bins[np.argsort(values, kind="stable")]) >= 0).all()


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="19 rows are too few to split; bring 20 or more"):
        split_rows(np.zeros(19), seed=0)
    with pytest.raises(DataError, match="class 'rare' has 2 of the 3 rows"):
        split_rows(np.array(["often"] * 40 + ["rare"] * 2), seed=0)


@pytest.mark.parametrize("fractions", [(0.6, 0.2), (0.4, 0.3, 0.3), (1.0, 0.0), (1.2, -0.2)])
def test_unfair_fractions_are_refused(fractions):
    with pytest.raises(ConfigurationError, match="fractions must be positive"):
        split_rows(np.zeros(50), seed=0, fractions=fractions)
