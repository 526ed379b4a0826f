"""The page of a comparison of losses over seeds, tasks and networks."""

from copy import deepcopy
from itertools import groupby

from markupsafe import Markup

from lossforge.analysis.behavior import learning_rate_factor, of_one_row
from lossforge.errors import LossforgeError
from lossforge.losses import default_loss
from lossforge.report.blocks import Section, figure, flow, paragraph, table
from lossforge.report.charts import SERIES, Line, Mark, Strip, line_chart, strip_plot
from lossforge.report.critical_difference import critical_difference_chart
from lossforge.report.facts import Facts, State, cost_of, number
from lossforge.report.loss import pull_points

LINES = 6
"""losses whose gradients are drawn into one chart"""


def verdict(facts: Facts) -> str:
    """Return in a sentence which loss did best, and how sure one can be."""
    settings = by_setting(facts.result)
    if len(settings) > 1 and "overall" in facts.result:
        over_all = facts.result["overall"]
        best, second = sorted(zip(over_all["ranks"], over_all["names"], strict=True))[:2]
        width = over_all["critical_difference"]
        chance = "" if second[0] - best[0] >= width else ", so that may be chance"
        return (
            f"Over {len(settings)} tasks and networks, {best[1]} has the best mean rank, "
            f"{best[0]:.2f}; next is {second[1]} with {second[0]:.2f}. Mean ranks differ from "
            f"{width:.2f} on (Nemenyi's test){chance}."
        )
    told = [_of_setting(setting, lines, facts) for setting, lines in settings]
    return " ".join(told[:3]) + (" …" if len(told) > 3 else "")


def sections(facts: Facts) -> list[Section]:
    """Return the parts of a comparison's page."""
    charts = []
    for (task, model), lines in by_setting(facts.result):
        strips = [Strip(entry(line), line["tests"], int(line["tuned"])) for line in lines]
        about = f"{facts.metric} on test data of {task}: " + "; ".join(
            f"{entry(line)} {number(line['test'])}" for line in lines
        )
        chart = strip_plot(strips, f"{facts.metric} on test data", about)
        charts.append(figure(f"{task} with {model}", chart))
    how = (
        f"One dot a network, a line at the mean; the {facts.better} the {facts.metric}, the "
        "better. All losses train from the same initial weights on the same batches."
    )
    parts = [Section("Results on test data", (paragraph(how), flow(charts)))]
    parts += rank_sections(facts.result)
    parts.append(Section("Tables", (flow([*map(table, facts.tables)]),)))
    gradients = _pulls(facts)
    return [*parts, *([Section("What the losses do", (flow([gradients]),))] if gradients else [])]


def by_setting(result: State) -> list[tuple[tuple[str, str], list[State]]]:
    """Return the entries of each task and network."""
    grouped = groupby(result["lines"], key=lambda line: (line["task"], line["model"]))
    return [(setting, list(lines)) for setting, lines in grouped]


def entry(line: State) -> str:
    """Return what an entry is called: the loss, and its rate where it was tuned."""
    rate = f" at its best rate ({line['learning_rate']:.3g})" if line["tuned"] else ""
    return f"{line['loss']}{rate}"


def _of_setting(setting: tuple[str, str], lines: list[State], facts: Facts) -> str:
    known = [line for line in lines if line["valid"] is not None]
    if not known:
        return f"On {setting[0]} with {setting[1]} every training diverged."
    best = min(known, key=lambda line: cost_of(facts.result, float(line["valid"])))
    told = (
        f"On {setting[0]} with {setting[1]}, {entry(best)} does best on validation data, with a "
        f"test {facts.metric} of {number(best['test'])}"
    )
    against = best.get("against")
    if not against:
        return f"{told}."
    rival = next(
        (line for line in lines if line["loss"] == against["rival"] and line is not best), None
    )
    than = f" against {number(rival['test'])} of {against['rival']}" if rival else ""
    p = against.get("p_holm")
    sure = "too few seeds for a test" if p is None else f"p = {p:.2g} after Holm's correction"
    chance = "" if p is not None and p <= 0.05 else ", which may be chance"
    return f"{told}{than}{chance} ({sure})."


def rank_sections(result: State) -> list[Section]:
    """Return the critical-difference diagram of a result; nothing where nothing was ranked."""
    if "overall" not in result:
        return []
    found = result["overall"]
    chart = critical_difference_chart(
        found["names"], found["ranks"], found["groups"], found["critical_difference"]
    )
    note = "Bars connect losses whose mean ranks do not differ (Nemenyi's test, 0.05)."
    drawn = flow([figure("Mean ranks, the best on the left", chart, note)])
    return [Section("Over all tasks and networks", (drawn,))]


def _pulls(facts: Facts) -> Markup | None:
    """Return the pull of each loss on the target's logit, or on the output, in one chart."""
    losses = dict(list(facts.losses.items())[:LINES])
    if not losses:
        return None
    kind = next(iter(losses.values())).kind.row_kind
    known = default_loss(kind)
    losses.setdefault(str(known), known)
    lines, classes = [], kind.row_size(facts.classes)
    for index, (name, given) in enumerate(losses.items()):
        try:
            loss, _ = of_one_row(deepcopy(given).double().requires_grad_(False), classes)
            factor = learning_rate_factor(loss, classes)
            factor = factor if factor > 0 else 1.0
            points = pull_points(loss, classes, factor)
        except LossforgeError:
            continue
        told = name if 0.995 < factor < 1.005 else f"{name} (÷ {factor:.3g})"
        lines.append(Line(told, points, index % SERIES, dashed=name == str(known)))
    is_bounded = kind.predicts_probabilities
    chart = line_chart(
        lines,
        kind.words.position,
        kind.words.pull,
        "how strongly a step under each loss moves the output to its target",
        marks=[Mark(1 / classes, f"equal probabilities, 1/{classes}")] if is_bounded else [],
        zero=True,
        trim=True,
        span=(0.0, 1.0) if is_bounded else None,
    )
    note = (
        "How strongly a step moves the output to its target, divided by the rate factor: so all "
        "begin alike."
    )
    return figure("Pull", chart, note)
