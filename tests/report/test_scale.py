"""Axes: marks are round, on the axis, and not too many."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lossforge.report.scale import Scale, label

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_all_values_are_between_the_ends(values):
    scale = Scale.over(values, 10, 200)
    assert all(10 - 1e-6 <= scale(value) <= 200 + 1e-6 for value in values)


@given(st.lists(NUMBERS, min_size=2, max_size=20), st.integers(3, 8))
def test_marks_are_on_the_axis_and_few(values, count):
    scale = Scale.over(values, 0, 100)
    marks = scale.ticks(count)
    slack = 1e-6 * max(1.0, abs(scale.low), abs(scale.high))
    assert 1 <= len(marks) <= count + 2
    assert all(scale.low - slack <= mark <= scale.high + slack for mark in marks)
    assert len(set(map(label, marks))) == len(marks) or scale.high - scale.low < 1e-3


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
def test_logarithmic_axes_keep_factors(values):
    scale = Scale.over(values, 0, 100, logarithmic=True)
    first, second, third = (
        scale(x) for x in (scale.low, math.sqrt(scale.low * scale.high), scale.high)
    )
    assert math.isclose(second - first, third - second, abs_tol=1e-6)
    assert all(mark > 0 for mark in scale.ticks())


@given(st.sampled_from([[], [math.inf], [math.nan], [3.0], [0.0, 0.0]]))
def test_an_axis_without_a_range_has_one(values):
    scale = Scale.over(values, 0, 100)
    assert scale.high > scale.low
    assert scale.ticks()
