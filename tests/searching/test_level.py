import math

from hypothesis import given
from hypothesis import strategies as st

from lossforge.searching import is_level

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(SCORES, st.floats(0.05, 1))
def test_a_loss_that_fails_in_one_run_is_not_level(best, failure):
    """However spread the differences are by that very failure."""
    same = [0.02] * len(best)
    assert not is_level([0.02 + failure, *same[1:]], same)


@given(SCORES)
def test_what_is_as_good_or_better_is_level(best):
    assert is_level(best, best)
    assert is_level([score / 2 for score in best], best)


def test_noise_of_the_best_forgives_as_much_as_the_differences_do():
    assert is_level([0.115, 0.10, 0.13], [0.10, 0.12, 0.11])
    assert not is_level([0.15, 0.17, 0.16], [0.10, 0.12, 0.11])  # worse in every run
    assert not is_level([0.02, 0.13, 0.30], [0.10, 0.11, 0.10])


def test_one_row_decides_nothing():
    assert is_level([0.02], [0.01], rows=100)
    assert not is_level([0.06], [0.01], rows=1000)


def test_divergence_is_worse_than_anything():
    assert not is_level([math.inf, 0.1], [0.2, 0.1], rows=10)
