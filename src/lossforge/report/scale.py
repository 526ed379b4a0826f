"""Axes of charts: from data to places, and round numbers for the marks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""distances of marks, in powers of ten"""


@final
@dataclass(frozen=True)
class Scale:
    """Where data are on an axis.

    Attributes:
        low: the least value.
        high: the greatest value.
        start: place of `low`.
        stop: place of `high`.
        logarithmic: whether equal factors are equally far apart.
    """

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        stop: float,
        *,
        logarithmic: bool = False,
        margin: float = 0.05,
    ) -> "Scale":
        """Return the scale that shows finite values with a margin on both sides."""
        known = [value for value in values if math.isfinite(value)]
        known = [value for value in known if value > 0] if logarithmic else known
        if not known:
            known = [0.1, 1.0] if logarithmic else [0.0, 1.0]
        low, high = min(known), max(known)
        if logarithmic:
            low, high = math.log(low), math.log(high)
        if high - low < 1e-12 * max(1.0, abs(low)):
            spread = 0.5 if logarithmic or low == 0 else abs(low) * 0.05
            low, high = low - spread, high + spread
        extra = margin * (high - low)
        low, high = low - extra, high + extra
        if logarithmic:
            low, high = math.exp(low), math.exp(high)
        return cls(low, high, start, stop, logarithmic)

    def __call__(self, value: float) -> float:
        """Return the place of a value.

        Examples:
            >>> Scale(0.0, 2.0, 100.0, 200.0)(0.5)
            125.0
        """
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        return self.start + (value - low) / (high - low) * (self.stop - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return round values on the axis, about so many.

        Examples:
            >>> Scale(0.0, 1.0, 0.0, 300.0).ticks()
            [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
            >>> Scale(0.003, 2.0, 0.0, 300.0, logarithmic=True).ticks()
            [0.01, 0.1, 1.0]
        """
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            every = max(1, math.ceil(len(powers) / count))
            if len(powers) >= 2:
                return [10.0**power for power in powers[::every]]
        size = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(size))
        step = next(each for each in STEPS if each * power >= size * 0.999) * power
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


def label(value: float) -> str:
    """Return a mark's number, short.

    Examples:
        >>> label(0.25), label(1e-05), label(20000.0), label(-2.0)
        ('0.25', '1e-5', '20000', '-2')
    """
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e6):
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    return f"{value:.6g}"
