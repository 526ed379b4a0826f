"""Charts as SVG that follow the page's colors: lines, strips of dots, intervals, a Pareto front.

Colors, dashes and the sizes of letters are the style sheet's: a chart names classes, ``s0`` to
``s7`` for its series. Numbers are in units of the view box, which a column shows about one to one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import final

from lossforge.report.scale import Scale, label
from lossforge.report.svg import WIDTH, cut, figure, text

HEIGHT = 280
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 16, 44
ROW = 50
"""height of a row in charts that have names"""

DOT = 4.5
"""radius of a dot in a strip"""

HEIGHTS = (0, -6, 6, -3, 3)
"""at which dots of a strip are drawn, the first that is free"""

NEAR = 0.15
"""how far beyond the others extreme values may be and still be shown, in parts of their range"""

NAME = 56
"""characters of a name that fit a row"""

SERIES = 8
"""colors that the style sheet tells apart"""

Point = tuple[float, float]


@final
@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: in the legend; empty for none.
        points: (x, y), from left to right; what is not finite interrupts the line.
        color: number of the color.
        dashed: drawn in dashes, as what others are held against is.
        marked: with a dot at each point.
    """

    name: str
    points: Sequence[Point]
    color: int = 0
    dashed: bool = False
    marked: bool = False


@final
@dataclass(frozen=True)
class Mark:
    """A vertical line that marks a place, with what is there."""

    x: float
    name: str


@final
@dataclass(frozen=True)
class Frame:
    """The axes of a chart.

    Attributes:
        x: horizontal scale.
        y: vertical scale.
        x_name: what is on the horizontal axis.
        y_name: what is on the vertical axis.
    """

    x: Scale
    y: Scale
    x_name: str
    y_name: str
    whole_x: bool = False

    def svg(self) -> str:
        """Return grid, marks and names of the axes."""
        parts = []
        bottom = HEIGHT - BOTTOM
        for value in self.y.ticks():
            at = self.y(value)
            parts.append(f'<path class="rule" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(text(LEFT - 6, at + 4, label(value), "tick end"))
        for value in self.x.ticks():
            if self.whole_x and not float(value).is_integer():
                continue
            at = self.x(value)
            parts.append(f'<path class="rule" d="M{at:.1f} {TOP}V{bottom}"/>')
            parts.append(text(at, bottom + 16, label(value), "tick middle"))
        parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>')
        parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, self.x_name, "name middle"))
        middle = (TOP + bottom) / 2
        parts.append(
            f'<text class="name middle" transform="translate(11 {middle:.1f}) rotate(-90)">'
            f"{escape(self.y_name)}</text>"
        )
        return "".join(parts)

    @classmethod
    def around(
        cls,
        xs: Iterable[float],
        ys: Iterable[float],
        x_name: str,
        y_name: str,
        *,
        log_y: bool = False,
        whole_x: bool = False,
        roomy: bool = False,
        span: Point | None = None,
    ) -> "Frame":
        """Return axes that show all values.

        `span` is what the horizontal one goes over; a `roomy` one has room for dots at its ends.
        """
        across = Scale.over(xs, LEFT, WIDTH - RIGHT, margin=0.03 if whole_x or roomy else 0.0)
        if span is not None:
            across = Scale(*span, LEFT, WIDTH - RIGHT)
        up = Scale.over(ys, HEIGHT - BOTTOM, TOP, logarithmic=log_y)
        return cls(across, up, x_name, y_name, whole_x)


def line_chart(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    about: str,
    *,
    log_y: bool = False,
    whole_x: bool = False,
    marks: Sequence[Mark] = (),
    trim: bool = False,
    zero: bool = False,
    span: Point | None = None,
    least: float = 0.0,
) -> str:
    """Return lines over common axes.

    Args:
        lines: at least one.
        x_name: what is on the horizontal axis.
        y_name: what is on the vertical axis.
        about: what the chart shows, for those who do not see it.
        log_y: equal factors are equally far apart on the vertical axis.
        whole_x: only whole numbers mark the horizontal axis.
        marks: vertical lines.
        trim: keep extreme values, as of a slope that goes to infinity, from hiding the rest.
        zero: draw a line at y = 0.
        span: what the horizontal axis goes over; by default from the first to the last point.
        least: what the vertical axis spans at least, so that small changes look small.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points if math.isfinite(y)]
    shown = _inner(ys) if trim else ys
    if ys and max(ys) - min(ys) < least:
        middle = (max(ys) + min(ys)) / 2
        shown = [middle - least / 2, middle + least / 2]
    frame = Frame.around(
        xs, shown, x_name, y_name, log_y=log_y, whole_x=whole_x, span=span,
        roomy=any(line.marked for line in lines),
    )  # fmt: skip
    parts = [frame.svg()]
    if zero and frame.y.low < 0 < frame.y.high:
        parts.append(f'<path class="zero" d="M{LEFT} {frame.y(0):.1f}H{WIDTH - RIGHT}"/>')
    parts += [_mark(mark, frame) for mark in marks]
    parts.append(_clipped("".join(_line(line, frame) for line in lines)))
    return figure("".join(parts), HEIGHT, about, legend(lines))


def legend(lines: Sequence[Line]) -> str:
    """Return the names of lines beside samples of them, in HTML."""
    named = [line for line in lines if line.name]
    if not named:
        return ""
    items = "".join(
        f'<li><svg class="sample" viewBox="0 0 28 8" aria-hidden="true">'
        f'<path class="{_line_class(line)}" d="M0 4H28"/></svg>{escape(line.name)}</li>'
        for line in named
    )
    return f'<ul class="legend">{items}</ul>'


@final
@dataclass(frozen=True)
class Strip:
    """A row of a strip plot.

    Attributes:
        name: above the row.
        values: one dot each; None for a run that diverged.
        color: number of the color.
    """

    name: str
    values: Sequence[float | None]
    color: int = 0


def strip_plot(strips: Sequence[Strip], x_name: str, about: str) -> str:
    """Return a dot for each run and a line at the mean, one row a loss.

    Args:
        strips: the rows, from the top.
        x_name: what is on the axis.
        about: what the chart shows, for those who do not see it.
    """
    finite = [v for strip in strips for v in strip.values if v is not None]
    across = Scale.over(finite, 16, WIDTH - 16)
    bottom = TOP + ROW * len(strips)
    parts = [_row_axis(across, bottom, x_name)]
    for row, strip in enumerate(strips):
        values = [v for v in strip.values if v is not None]
        diverged = len(strip.values) - len(values)
        middle = TOP + ROW * row + 36
        told = f"{strip.name} ({diverged} diverged)" if diverged else strip.name
        parts.append(text(4, middle - 17, cut(told, NAME), "row"))
        parts.append(f'<path class="rule" d="M4 {middle}H{WIDTH - 4}"/>')
        if values:
            mean = sum(values) / len(values)
            at = across(mean)
            parts.append(
                f'<path class="mean" d="M{at:.1f} {middle - 10}V{middle + 10}" '
                f'data-tip="mean of {escape(strip.name)}: {mean:.4g}"/>'
            )
        runs = [(v, run) for run, v in enumerate(strip.values, 1) if v is not None]
        heights = _apart([across(v) for v, _ in runs])
        parts += [
            f'<circle class="dot s{strip.color % SERIES}" cx="{across(v):.1f}" '
            f'cy="{middle + height}" r="4.5" data-tip="{escape(strip.name)}, run {run}: {v:.4g}"/>'
            for (v, run), height in zip(runs, heights, strict=True)
        ]
    return figure("".join(parts), bottom + BOTTOM, about)


@final
@dataclass(frozen=True)
class Interval:
    """A mean with its interval of confidence.

    Attributes:
        name: above the row.
        mean: the middle.
        radius: half the interval's width.
        color: number of the color.
    """

    name: str
    mean: float
    radius: float
    color: int = 0


def interval_chart(intervals: Sequence[Interval], x_name: str, about: str) -> str:
    """Return means with their intervals, one row each; arguments as those of `strip_plot`."""
    ends = [i.mean + sign * i.radius for i in intervals for sign in (-1, 1)]
    across = Scale.over(ends, 16, WIDTH - 16)
    bottom = TOP + ROW * len(intervals)
    parts = [_row_axis(across, bottom, x_name)]
    for row, each in enumerate(intervals):
        middle = TOP + ROW * row + 36
        low, high = across(each.mean - each.radius), across(each.mean + each.radius)
        tip = escape(f"{each.name}: {each.mean:.2f} ± {each.radius:.2f}")
        parts += [
            text(4, middle - 17, cut(each.name, NAME), "row"),
            f'<path class="rule" d="M4 {middle}H{WIDTH - 4}"/>',
            f'<path class="line s{each.color % SERIES}" data-tip="{tip}" '
            f'd="M{low:.1f} {middle - 6}v12M{low:.1f} {middle}H{high:.1f}m0 -6v12"/>',
            f'<circle class="dot s{each.color % SERIES}" cx="{across(each.mean):.1f}" '
            f'cy="{middle}" r="5" data-tip="{tip}"/>',
        ]
    return figure("".join(parts), bottom + BOTTOM, about)


@final
@dataclass(frozen=True)
class Candidate:
    """A loss in the chart of a search's candidates.

    Attributes:
        size: nodes of its expression.
        fitness: the metric on validation data.
        formula: for the tip.
    """

    size: int
    fitness: float
    formula: str


def front_chart(
    front: Sequence[Candidate], others: Sequence[Candidate], metric: str, about: str
) -> str:
    """Return a search's candidates by size and fitness, and its Pareto front.

    Args:
        front: the smallest first.
        others: candidates that something smaller or equally small beats.
        metric: name of the fitness.
        about: what the chart shows, for those who do not see it.
    """
    every = [*front, *others]
    is_log = min(each.fitness for each in every) > 0 and _spans(every)
    frame = Frame.around(
        [each.size for each in every],
        [each.fitness for each in every],
        "nodes of the expression",
        f"{metric} on validation data",
        log_y=is_log,
        whole_x=True,
    )
    points = [(frame.x(each.size), frame.y(each.fitness)) for each in front]
    way = "".join(
        f"M{x:.1f} {y:.1f}" if i == 0 else f"H{x:.1f}V{y:.1f}" for i, (x, y) in enumerate(points)
    )
    dots = "".join(_candidate(each, frame, "dot faint", 3) for each in others)
    members = "".join(_candidate(each, frame, "dot s0", 5.5) for each in front)
    body = f'{frame.svg()}{dots}<path class="line s0" d="{way}H{WIDTH - RIGHT}"/>{members}'
    return figure(body, HEIGHT, about)


@final
@dataclass(frozen=True)
class Share:
    """A part of a whole.

    Attributes:
        name: of the part.
        count: how much it is.
        color: number of the color.
    """

    name: str
    count: int
    color: int


def share_bar(shares: Sequence[Share], about: str) -> str:
    """Return a bar divided into parts, with a legend that has the counts."""
    total = sum(share.count for share in shares)
    parts, left = [], 0.0
    for share in shares:
        width = WIDTH * share.count / max(total, 1)
        tip = escape(f"{share.name}: {share.count} of {total} ({share.count / total:.0%})")
        parts.append(
            f'<rect class="part s{share.color % SERIES}" x="{left:.1f}" y="2" '
            f'width="{max(width - 1.5, 0.5):.1f}" height="26" data-tip="{tip}"/>'
        )
        left += width
    items = "".join(
        f'<li><svg class="sample" viewBox="0 0 12 12" aria-hidden="true">'
        f'<rect class="part s{share.color % SERIES}" width="12" height="12"/></svg>'
        f"{escape(share.name)}: {share.count}</li>"
        for share in shares
        if share.count
    )
    return figure("".join(parts), 30, about, f'<ul class="legend">{items}</ul>')


@final
@dataclass(frozen=True)
class Film:
    """Lines that change with time, for a chart with a slider.

    Attributes:
        times: of the frames.
        frames: the lines of each.
    """

    times: Sequence[int]
    frames: Sequence[Sequence[Line]] = field(default=())


def film_chart(
    film: Film, x_name: str, y_name: str, about: str, *, span: Point | None = None
) -> str:
    """Return the chart of the first frame, with the paths of all frames for the page's script."""
    lines = [line for frame in film.frames for line in frame]
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points if math.isfinite(y)]
    frame = Frame.around(xs, ys, x_name, y_name, span=span)
    first = film.frames[0]
    paths = [[_path(line.points, frame) for line in each] for each in film.frames]
    ghosts = "".join(
        f'<path class="ghost {_line_class(line)}" d="{_path(line.points, frame)}"/>'
        for line in first
    )
    moving = "".join(
        f'<path class="moving {_line_class(line)}" d="{ways[0]}" data-frames="{";".join(ways)}"/>'
        for line, ways in zip(first, zip(*paths, strict=True), strict=True)
    )
    body = frame.svg() + _clipped(ghosts + moving)
    return figure(body, HEIGHT, about, legend(first))


def _line(line: Line, frame: Frame) -> str:
    dots = ""
    if line.marked:
        dots = "".join(
            f'<circle class="dot s{line.color % SERIES}" cx="{frame.x(x):.1f}" '
            f'cy="{frame.y(y):.1f}" r="3.5" data-tip="{escape(_tip(line.name, x, y))}"/>'
            for x, y in line.points
            if math.isfinite(y)
        )
    return f'<path class="{_line_class(line)}" d="{_path(line.points, frame)}"/>{dots}'


def _tip(name: str, x: float, y: float) -> str:
    return f"{f'{name}, ' if name else ''}{label(x)}: {y:.4g}"


def _line_class(line: Line) -> str:
    return f"line s{line.color % SERIES}{' dashed' if line.dashed else ''}"


def _path(points: Iterable[Point], frame: Frame) -> str:
    """Return the points as a path, interrupted where they are not finite."""
    ways = []
    for is_finite, some in groupby(points, key=lambda point: math.isfinite(point[1])):
        if is_finite:
            places = [f"{frame.x(x):.1f} {_near(frame.y(y)):.1f}" for x, y in some]
            ways.append(f"M{'L'.join(places)}")
    return "".join(ways)


def _near(place: float) -> float:
    """Keep places that are far outside within what browsers draw."""
    return min(max(place, -2000.0), 2000.0)


def _mark(mark: Mark, frame: Frame) -> str:
    at = frame.x(mark.x)
    is_right = at > (LEFT + WIDTH) / 2
    side = "tick end" if is_right else "tick"
    # Above the axes, where no line runs through it.
    told = text(at + 5 if is_right else at - 5, TOP - 5, mark.name, side)
    return f'<path class="mark" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>{told}'


def _clipped(body: str) -> str:
    """Hide what leaves the axes: an inner SVG shows nothing outside its own box."""
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    box = f'x="{LEFT}" y="{TOP}" width="{width}" height="{height}"'
    return f'<svg {box} viewBox="{LEFT} {TOP} {width} {height}">{body}</svg>'


def _candidate(each: Candidate, frame: Frame, classes: str, radius: float) -> str:
    tip = escape(f"{each.fitness:.4g}, size {each.size}: {each.formula}")
    return (
        f'<circle class="{classes}" cx="{frame.x(each.size):.1f}" '
        f'cy="{frame.y(each.fitness):.1f}" r="{radius}" data-tip="{tip}"/>'
    )


def _spans(candidates: Sequence[Candidate]) -> bool:
    values = [each.fitness for each in candidates]
    return max(values) > 20 * min(values)


def _row_axis(across: Scale, bottom: float, name: str) -> str:
    parts = [
        f'<path class="rule" d="M{across(v):.1f} {TOP}V{bottom}"/>'
        + text(across(v), bottom + 16, label(v), "tick middle")
        for v in across.ticks()
    ]
    parts.append(f'<path class="axis" d="M4 {bottom}H{WIDTH - 4}"/>')
    return "".join(parts) + text(WIDTH / 2, bottom + 34, name, "name middle")


def _apart(places: Sequence[float]) -> list[int]:
    """Return heights at which dots that are close together do not hide one another."""
    taken: list[tuple[float, int]] = []
    heights = []
    for place in places:
        close = {height for other, height in taken if abs(other - place) < 2 * DOT}
        height = next((each for each in HEIGHTS if each not in close), 0)
        taken.append((place, height))
        heights.append(height)
    return heights


def _inner(values: Sequence[float]) -> list[float]:
    """Return the values without the most extreme 3 in a hundred on both sides.

    Extremes that are close to the others stay: a curve's minimum is not cut off.
    """
    ordered = sorted(values)
    cut = int(0.03 * len(ordered))
    inner = ordered[cut : len(ordered) - cut]
    if not inner:
        return inner
    room = NEAR * (inner[-1] - inner[0])
    return [value for value in ordered if inner[0] - room <= value <= inner[-1] + room]
