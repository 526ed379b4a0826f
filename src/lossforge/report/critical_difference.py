"""Critical-difference diagrams: mean ranks of many methods over many tasks.

Source: Demšar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 2006).
"""

from collections.abc import Sequence
from html import escape

from lossforge.report.scale import Scale
from lossforge.report.svg import WIDTH, cut, figure, text

AXIS, EDGE = 62, 10
GROUP, ROW = 11, 24
NAME = 23
"""characters of a name that fit half the diagram"""


def critical_difference_chart(
    names: Sequence[str],
    ranks: Sequence[float],
    groups: Sequence[Sequence[str]],
    critical_difference: float,
) -> str:
    """Return mean ranks on a line, with bars over those that do not differ.

    Args:
        names: of the methods.
        ranks: the mean rank of each; 1 is the best.
        groups: names of methods that do not differ from one another.
        critical_difference: how far apart mean ranks must be to differ (Nemenyi).
    """
    of_name = dict(zip(names, ranks, strict=True))
    order = sorted(names, key=of_name.__getitem__)
    across = Scale(1.0, max(float(len(names)), 2.0), EDGE + 30, WIDTH - EDGE - 30)
    parts = [_axis(across, len(names)), _ruler(across, critical_difference)]
    for index, group in enumerate(groups):
        ends = [across(of_name[name]) for name in group]
        height = AXIS + 12 + GROUP * index
        parts.append(
            f'<path class="group" d="M{min(ends) - 4:.1f} {height}H{max(ends) + 4:.1f}" '
            f'data-tip="no difference: {escape(", ".join(group))}"/>'
        )
    begin = AXIS + 26 + GROUP * len(groups)
    half = (len(order) + 1) // 2
    leads, labels = [], []
    for place, name in enumerate(order):
        row = begin + ROW * (place if place < half else len(order) - 1 - place)
        is_left = place < half
        leads.append(_lead(name, of_name[name], across, row, is_left=is_left))
        labels.append(_label(name, of_name[name], row, is_left=is_left))
    # Labels last: their outline interrupts the leads that would strike them through.
    parts += leads + labels
    about = "mean ranks, the best first: " + ", ".join(f"{n} {of_name[n]:.2f}" for n in order)
    return figure("".join(parts), begin + ROW * half, about)


def _axis(across: Scale, count: int) -> str:
    parts = [f'<path class="axis" d="M{across.start:.1f} {AXIS}H{across.stop:.1f}"/>']
    every = max(1, count // 12)
    for rank in range(1, count + 1, every):
        at = across(rank)
        parts.append(f'<path class="axis" d="M{at:.1f} {AXIS}v-6"/>')
        parts.append(text(at, AXIS - 10, str(rank), "tick middle"))
    return "".join(parts)


def _ruler(across: Scale, width: float) -> str:
    start, stop = across.start, min(across(1.0 + width), float(WIDTH - EDGE))
    told = f"critical difference {width:.2f}"
    ends = f'<path class="mean" d="M{start:.1f} 14v10M{start:.1f} 19H{stop:.1f}M{stop:.1f} 14v10"/>'
    is_wide = stop > WIDTH / 2
    place = text(start + 8, 12, told, "tick") if is_wide else text(stop + 8, 23, told, "tick")
    return ends + place


def _lead(name: str, rank: float, across: Scale, row: float, *, is_left: bool) -> str:
    at, edge = across(rank), EDGE if is_left else WIDTH - EDGE
    return (
        f'<path class="lead" d="M{at:.1f} {AXIS}V{row:.1f}H{edge}"/>'
        f'<circle class="dot s0" cx="{at:.1f}" cy="{AXIS}" r="4" '
        f'data-tip="{escape(name)}: {rank:.2f}"/>'
    )


def _label(name: str, rank: float, row: float, *, is_left: bool) -> str:
    told = f"{cut(name, NAME)} {rank:.2f}"
    return text(EDGE if is_left else WIDTH - EDGE, row - 4, told, "row" if is_left else "row end")
