"""The part of a page about one loss: formula, code to copy, curves, behavior and warnings."""

from collections.abc import Sequence
from copy import deepcopy

from markupsafe import Markup

from lossforge.analysis.behavior import of_one_row, path
from lossforge.analysis.curves import ERRORS, Curve, curves_of, default_curves
from lossforge.analysis.explanation import Explanation, explain
from lossforge.analysis.export import export
from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.losses import Handcrafted, Loss, SymbolicLoss, default_loss
from lossforge.losses.symbolic import weight_note
from lossforge.report.blocks import (
    Section,
    codes_to_copy,
    definitions,
    figure,
    flow,
    paragraph,
    warnings,
)
from lossforge.report.charts import Line, Mark, Point, line_chart
from lossforge.report.mathml import to_mathml

COPIES = {"torch": "PyTorch", "latex": "LaTeX", "sympy": "SymPy"}
"""forms of export that a page offers"""


def loss_sections(loss: Loss, classes: int, source: str) -> list[Section]:
    """Return what a loss is and what it does.

    Args:
        loss: any.
        classes: of the outputs (classification).
        source: where the loss is from, for the files that are copied.
    """
    found = explain(loss, classes)
    formula = [_formula(loss), *_copies(loss, source)]
    behavior = [
        warnings([f"{each[:1].upper()}{each[1:]}." for each in found.warnings]),
        flow(_charts(loss, classes)),
        _findings(found),
    ]
    return [Section("The loss", tuple(formula)), Section("What it does", tuple(behavior))]


def _formula(loss: Loss) -> Markup:
    """Return the formula with what its letters mean."""
    meaning = f"Loss of one output, summed over the outputs{weight_note(loss)}: "
    meaning += f"{loss.kind.words.prepared}."
    return Markup(
        '<div class="formula" tabindex="0" role="group" aria-label="formula">{}</div>'
        '<p class="note">{}</p>'
    ).format(formula_html(loss), meaning if isinstance(loss, SymbolicLoss | Handcrafted) else "")


def formula_html(loss: Loss) -> Markup:
    """Return the formula as MathML, or as text where it has none.

    Args:
        loss: any.

    Examples:
        >>> formula_html(SymbolicLoss("p"))
        Markup('<math display="block"><mi>p</mi></math>')
    """
    try:
        return Markup(to_mathml(_latex(loss)))
    except LossforgeError:
        return Markup("<code>{}</code>").format(str(loss))


def _latex(loss: Loss) -> str:
    if isinstance(loss, SymbolicLoss):
        return loss.formula.latex
    return export(loss, "latex", "").partition("\n")[2]


def _copies(loss: Loss, source: str) -> list[Markup]:
    """Return the loss as code, with buttons; nothing where it has no formula."""
    try:
        texts = {
            name: export(loss, form, f"Exported from {source}.").strip("\n")
            for form, name in COPIES.items()
        }
    except ConfigurationError:
        return []
    return [codes_to_copy(texts)]


def _charts(loss: Loss, classes: int) -> list[Markup]:
    own, known = curves_of(loss, classes), default_curves(loss, classes)
    words, is_bounded = loss.kind.words, loss.kind.predicts_probabilities
    default, is_example = words.default_loss, is_bounded and len(own) == 1
    what = words.position if is_example else words.prediction
    one = "an example" if is_example else "one output"
    span = (0.0, 1.0) if is_bounded else (-ERRORS, ERRORS)

    def chart(part: str, y_name: str, *, zero: bool) -> str:
        lines = [*_lines(own, part, "this loss"), *_lines(known, part, default, dashed=True)]
        about = f"{y_name} by {what}, beside {default}"
        return line_chart(lines, what, y_name, about, trim=True, zero=zero, span=span)

    value = chart("value", f"loss of {one}", zero=False)
    slope = chart("slope", "derivative by p", zero=True)
    note = "Each curve is moved to be 0 in the middle: a constant changes nothing."
    return [
        figure("Value", value, note),
        figure("Slope", slope),
        figure(*_pull(loss, classes)),
    ]


def _lines(curves: Sequence[Curve], part: str, name: str, *, dashed: bool = False) -> list[Line]:
    lines = []
    for index, curve in enumerate(curves):
        values = curve.value - curve.value[len(curve.p) // 2] if part == "value" else curve.slope
        points = list(zip(curve.p.tolist(), values.tolist(), strict=True))
        told = f"{name}, {curve.name}" if len(curves) > 1 else name
        lines.append(Line(told, points, index, dashed))
    return lines


def _pull(loss: Loss, classes: int) -> tuple[str, str, str]:
    """Return title, chart and note of how strongly a step pulls the output to its target."""
    loss, classes = of_one_row(deepcopy(loss).double().requires_grad_(False), classes)
    words, is_bounded = loss.kind.words, loss.kind.predicts_probabilities
    lines = []
    for name, each in {"this loss": loss, words.default_loss: default_loss(loss.kind)}.items():
        lines.append(Line(name, pull_points(each, classes), 0, dashed=each is not loss))
    chart = line_chart(
        lines,
        words.position,
        words.pull,
        f"{words.pull} by {words.position}",
        marks=[Mark(1 / classes, f"equal probabilities, 1/{classes}")] if is_bounded else [],
        zero=True,
        span=(0.0, 1.0) if is_bounded else (-ERRORS, ERRORS),
    )
    note = "How strongly a step moves the output to its target; below zero it pushes back."
    return "Pull", chart, note


def pull_points(loss: Loss, classes: int, factor: float = 1.0) -> list[Point]:
    """Return how strongly a loss pulls, divided by a factor, where charts show it."""
    way = path(loss, classes)
    points = zip(way.position.tolist(), (way.force / factor).tolist(), strict=True)
    return [(x, y) for x, y in points if abs(x) <= ERRORS]


def _findings(found: Explanation) -> Markup:
    labels = {"learning rate": "rate factor"}
    rows = [(labels.get(name, name), told) for name, told in found.lines() if name != "loss"]
    if not found.kind.predicts_probabilities:
        return definitions(rows)
    told = f"Gradients were compared on {found.classes} outputs."
    return definitions(rows) + paragraph(told, "note")
