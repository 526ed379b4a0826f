"""The part of a page about one loss: formula, code to copy, curves, behavior and warnings."""

from collections.abc import Sequence
from copy import deepcopy

from markupsafe import Markup

from lossforge.analysis.behavior import path
from lossforge.analysis.curves import ERRORS, Curve, curves_of, default_curves
from lossforge.analysis.explanation import Explanation, explain
from lossforge.analysis.export import export
from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.losses import Handcrafted, Loss, SymbolicLoss, default_loss
from lossforge.report.blocks import (
    Section,
    codes_to_copy,
    definitions,
    figure,
    flow,
    paragraph,
    warnings,
)
from lossforge.report.charts import Line, Mark, line_chart
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
    """Return the formula as MathML, or as text where it has none."""
    try:
        shown = Markup(to_mathml(_latex(loss)))
    except LossforgeError:
        shown = Markup("<code>{}</code>").format(str(loss))
    meaning = (
        "of one output, summed over the outputs: p is its probability, y is 1 for the target and 0 "
        "for the others"
        if loss.kind == "classification"
        else "of one output: p is the prediction, y the target"
    )
    return Markup(
        '<div class="formula" tabindex="0" role="group" aria-label="formula">{}</div>'
        '<p class="note">{}</p>'
    ).format(shown, f"Loss {meaning}." if isinstance(loss, SymbolicLoss | Handcrafted) else "")


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
    default = str(default_loss(loss.kind)).replace("_", "-")
    is_regression, is_example = loss.kind == "regression", len(own) == 1
    what = "error p − y" if is_regression else "probability p"  # noqa: RUF001
    one = "an example" if is_example and not is_regression else "one output"
    what = "probability of the target" if one == "an example" else what
    span = (-ERRORS, ERRORS) if is_regression else (0.0, 1.0)

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
        figure(*_pull(loss, classes, default)),
    ]


def _lines(curves: Sequence[Curve], part: str, name: str, *, dashed: bool = False) -> list[Line]:
    lines = []
    for index, curve in enumerate(curves):
        values = curve.value - curve.value[len(curve.p) // 2] if part == "value" else curve.slope
        points = list(zip(curve.p.tolist(), values.tolist(), strict=True))
        told = f"{name}, {curve.name}" if len(curves) > 1 else name
        lines.append(Line(told, points, index, dashed))
    return lines


def _pull(loss: Loss, classes: int, default: str) -> tuple[str, str, str]:
    """Return title, chart and note of how strongly a step pulls the output to its target."""
    loss = deepcopy(loss).double().requires_grad_(False)
    lines = []
    both = {"this loss": loss, default: default_loss(loss.kind)}
    for name, each in both.items():
        way = path(each, classes)
        points = list(zip(way.position.tolist(), way.force.tolist(), strict=True))
        if loss.kind == "regression":
            points = [(x, y) for x, y in points if abs(x) <= 3]
        lines.append(Line(name, points, 0, dashed=name == default))
    if loss.kind == "regression":
        chart = line_chart(lines, "error p − y", "pull to the target",  # noqa: RUF001
                           "the pull to the target by the error", zero=True)  # fmt: skip
        return "Pull", chart, "How strongly a step moves the output to its target."
    marks = [Mark(1 / classes, f"equal probabilities, 1/{classes}")]
    chart = line_chart(
        lines,
        "probability of the target",
        "pull on the target's logit",
        "the pull on the target's logit by the target's probability",
        marks=marks,
        zero=True,
        span=(0.0, 1.0),
    )
    note = (
        "How strongly a step raises the target's logit while the others stay equal; below zero it "
        "pushes back."
    )
    return "Pull", chart, note


def _findings(found: Explanation) -> Markup:
    labels = {"learning rate": "rate factor"}
    rows = [(labels.get(name, name), told) for name, told in found.lines() if name != "loss"]
    tried = f" on {found.classes} outputs" if found.kind == "classification" else ""
    return definitions(rows) + paragraph(f"Gradients were compared{tried}.", "note")
