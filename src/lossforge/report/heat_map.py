"""Heat maps: a number for each of many methods on each of many tasks."""

import math
from collections.abc import Sequence
from html import escape

from lossforge.report.scale import label
from lossforge.report.svg import WIDTH, cut, figure, text

LABELS, CELL = 130, 30
LETTER = 7.0
"""width of a letter above the columns"""

LONGEST = 16
"""letters of a name above a column"""

LEAST_FOR_NUMBERS = 40
"""width of a cell that has room for its number"""

STRONGEST = 0.55
"""opacity of the greatest difference: its number can still be read"""


def heat_map_chart(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    about: str,
) -> str:
    """Return a grid of cells, bluer where a number is lower and redder where it is higher than 0.

    Args:
        rows: names on the left.
        columns: names above.
        values: of each row, one number a column, such as a difference from a rival; None for one
            that is missing or diverged.
        about: what the chart shows, for those who do not see it.
    """
    known = [abs(v) for row in values for v in row if v is not None and math.isfinite(v)]
    most = max([*known, 1e-300])
    width = min((WIDTH - LABELS) / max(len(columns), 1), 90.0)
    heads, head = _heads([cut(name, LONGEST) for name in columns], width)
    parts = [heads]
    for number, (name, row) in enumerate(zip(rows, values, strict=True)):
        top = head + CELL * number
        parts.append(text(LABELS - 6, top + CELL / 2 + 4, cut(name, 18), "tick end"))
        parts += [
            _cell(LABELS + width * i, top, width, value, most, f"{name}, {column}")
            for i, (column, value) in enumerate(zip(columns, row, strict=True))
        ]
    return figure("".join(parts), head + CELL * len(rows) + 8, about)


def _heads(names: Sequence[str], width: float) -> tuple[str, int]:
    """Return the names above the columns and their height: slanted only where they need it."""
    longest = max(map(len, names), default=0) * LETTER
    places = [LABELS + width * (index + 0.5) for index in range(len(names))]
    if longest <= width - 4:
        return "".join(
            text(x, 14, n, "tick middle") for x, n in zip(places, names, strict=True)
        ), 22
    head = 16 + math.ceil(longest * math.sin(math.radians(40)))
    return "".join(
        f'<text class="tick" transform="translate({x + 4:.1f} {head - 6}) rotate(-40)">'
        f"{escape(name)}</text>"
        for x, name in zip(places, names, strict=True)
    ), head


def _cell(
    left: float, top: float, width: float, value: float | None, most: float, name: str
) -> str:
    is_known = value is not None and math.isfinite(value)
    told = f"{value:+.3g}" if value is not None and is_known else "none"
    strength = abs(value) / most if value is not None and is_known else 0.0
    side = "low" if value is not None and value < 0 else "high"
    opacity = f' style="fill-opacity:{STRONGEST * strength:.2f}"' if is_known else ""
    box = f'x="{left + 1:.1f}" y="{top + 1}" width="{width - 2:.1f}" height="{CELL - 2}"'
    cell = (
        f'<rect class="cell" {box}/><rect class="cell {side if is_known else "missing"}"{opacity} '
        f'{box} data-tip="{escape(name)}: {told}"/>'
    )
    if width < LEAST_FOR_NUMBERS or value is None or not is_known:
        return cell
    shown = f"{'+' if value > 0 else ''}{label(float(f'{value:.2g}'))}"
    return cell + text(left + width / 2, top + CELL / 2 + 4, shown, "number middle")
