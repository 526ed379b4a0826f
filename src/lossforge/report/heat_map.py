"""Heat maps: a number for each of many methods on each of many tasks."""

import math
from collections.abc import Sequence
from html import escape

from lossforge.report.scale import label
from lossforge.report.svg import WIDTH, cut, figure, text

LABELS, CELL, HEAD = 130, 30, 84
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
    parts = []
    for index, name in enumerate(columns):
        at = LABELS + width * (index + 0.5)
        parts.append(
            f'<text class="tick" transform="translate({at + 4:.1f} {HEAD - 6}) rotate(-40)">'
            f"{escape(cut(name, 16))}</text>"
        )
    for number, (name, row) in enumerate(zip(rows, values, strict=True)):
        top = HEAD + CELL * number
        parts.append(text(LABELS - 6, top + CELL / 2 + 4, cut(name, 18), "tick end"))
        parts += [
            _cell(LABELS + width * i, top, width, value, most, f"{name}, {column}")
            for i, (column, value) in enumerate(zip(columns, row, strict=True))
        ]
    return figure("".join(parts), HEAD + CELL * len(rows) + 8, about)


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
    return cell + text(left + width / 2, top + CELL / 2 + 4, label(float(f"{value:.2g}")),
                       "number middle")  # fmt: skip
