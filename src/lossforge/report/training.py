"""The page of a training: its curve, and what an adaptive loss was over time."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from lossforge.report.blocks import Section, figure, flow, paragraph, table
from lossforge.report.charts import Film, Line, film_chart, line_chart
from lossforge.report.facts import Facts, number
from lossforge.report.loss import loss_sections

FRAMES = 60
"""of an animation"""


def verdict(facts: Facts) -> str:
    """Return in a sentence how the network ended."""
    result = facts.result
    told = (
        f"The network trained under {_shortened(str(result['loss']))} has a test {facts.metric} of "
        f"{number(result['test'])}, and of {number(result['valid'])} on the validation data that "
        f"chose its weights, those of step {result['step']}."
    )
    return f"{told} One seed is no comparison: lossforge compare makes one."


def sections(facts: Facts) -> list[Section]:
    """Return the parts of a training's page."""
    parts = [Section("Training", (flow([_curve(facts), *map(table, facts.tables)]),))]
    parts += _adaptation(facts)
    for loss in facts.losses.values():
        parts += loss_sections(loss, facts.classes, f"a training on {facts.result['task']}")
    return parts


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _curve(facts: Facts) -> Markup:
    points = [(float(step), float(score)) for step, score in facts.result.get("curve") or []]
    if not points:
        return Markup()
    scores = [score for _, score in points]
    chart = line_chart(
        [Line("", points, 0, marked=len(points) <= 60)],
        "training step",
        f"{facts.metric} on validation data",
        f"the {facts.metric} on validation data went from {scores[0]:.4g} to {scores[-1]:.4g}",
        log_y=min(scores) > 0 and max(scores) > 20 * min(scores),
    )
    return figure("On validation data", chart)


def _adaptation(facts: Facts) -> list[Section]:
    saved = facts.file("adaptation.json") or {}
    moments = saved.get("moments") or []
    if not moments or not all(isinstance(each, Mapping) for each in moments):
        return []
    charts = []
    if "target" in moments[0]:
        charts += _films(moments)
    charts += _numbers(moments)
    told = (
        "The loss was learned while the network trained. Faint lines: where it began; move the "
        "slider to see it change."
    )
    return [Section("The loss over time", (paragraph(told), flow(charts)))]


def _films(moments: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return the animation of the loss of one output, moved to be 0 in the middle."""
    shown = _thinned(moments)
    frames = []
    for each in shown:
        is_class = bool(each.get("non_target"))
        parts = [("target, y = 1" if is_class else "y = 0", each["target"])]
        parts += [("non-target, y = 0", each["non_target"])] if is_class else []
        frames.append(
            [
                Line(name, list(zip(each["p"], _centered(values), strict=True)), index)
                for index, (name, values) in enumerate(parts)
            ]
        )
    film = Film([int(each["step"]) for each in shown], frames)
    what = "probability p" if len(frames[0]) > 1 else "error p − y"  # noqa: RUF001
    span = (0.0, 1.0) if len(frames[0]) > 1 else None
    y_name = "loss of one output, from the middle"
    chart = film_chart(film, what, y_name, "the loss over time", span=span)
    player = Markup(
        '<div class="player" data-times="{}"><button type="button">Play</button>'
        '<input type="range" min="0" max="{}" value="0" aria-label="training step">'
        "<output></output></div>"
    ).format(" ".join(str(time) for time in film.times), len(film.times) - 1)
    return [figure("Value", f"{chart}{player}", "Moved to be zero in the middle.")]


def _centered(values: Sequence[float]) -> list[float]:
    return [value - values[len(values) // 2] for value in values]


def _numbers(moments: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return a chart for each number that the loss has at every moment."""
    told = {
        "factor": ("As a learning rate", "factor on the default loss's step"),
        "smoothing": ("As label smoothing", "smoothing that it comes to rest with"),
    }
    charts = []
    names = [name for name in moments[0] if name not in ("step", "p", "target", "non_target")]
    for name in names:
        points = [
            (float(each["step"]), float(each[name]))
            for each in moments
            if isinstance(each.get(name), int | float)
        ]
        title, y_name = told.get(name, (name.replace("_", " ").capitalize(), name))
        if not points:
            if name == "smoothing" and moments[0].get("non_target"):
                charts.append(
                    figure(title, "", "None: it never pushes back from a certain prediction.")
                )
            continue
        about = f"{y_name} from {points[0][1]:.3g} to {points[-1][1]:.3g}"
        size = max(abs(y) for _, y in points)
        chart = line_chart([Line("", points)], "training step", y_name, about, least=0.2 * size)
        charts.append(figure(title, chart))
    return charts


def _thinned(moments: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return evenly spaced moments, the first and the last among them."""
    if len(moments) <= FRAMES:
        return list(moments)
    every = (len(moments) - 1) / (FRAMES - 1)
    places = sorted({round(i * every) for i in range(FRAMES)})
    assert all(later > earlier for earlier, later in pairwise(places))
    return [moments[place] for place in places]
