"""The page of a few-shot meta-learning, or of an ablation of several."""

from collections.abc import Mapping, Sequence
from typing import Any

from lossforge.report.blocks import Section, figure, flow, paragraph, table
from lossforge.report.charts import Interval, Line, interval_chart, line_chart
from lossforge.report.facts import Facts, State


def verdict(facts: Facts) -> str:
    """Return in a sentence how well new tasks are learned."""
    rows = _rows(facts.result)
    is_accuracy = facts.result["metric"] == "accuracy"
    unit = " %" if is_accuracy else ""
    best = (max if is_accuracy else min)(rows, key=lambda row: float(row["test"]))
    ways, shots, _ = facts.result["shape"]
    where = f"{ways}-way {shots}-shot tasks of {facts.result['task']} that were never seen"
    told = (
        f"On {where}, {best['method']} has {_article(facts.metric)} {facts.metric} of "
        f"{best['test']:.2f} ± {best['interval']:.2f}{unit} (95 % interval)"
    )
    if len(rows) == 1:
        return f"{told}."
    others = sorted((row for row in rows if row is not best), key=lambda row: row["test"],
                    reverse=is_accuracy)  # fmt: skip
    second = others[0]
    apart = abs(best["test"] - second["test"]) > best["interval"] + second["interval"]
    also = "" if apart else ": the intervals overlap, so that may be chance"
    return (
        f"{told}, the best of {len(rows)} methods; next is {second['method']} with "
        f"{second['test']:.2f} ± {second['interval']:.2f}{unit}{also}."
    )


def sections(facts: Facts) -> list[Section]:
    """Return the parts of a few-shot page."""
    rows = _rows(facts.result)
    intervals = [
        Interval(f"{row['method']}: {row['loss']}", row["test"], row["interval"], 0) for row in rows
    ]
    about = f"{facts.metric} on meta-test tasks: " + "; ".join(
        f"{row['method']} {row['test']:.2f} ± {row['interval']:.2f}" for row in rows
    )
    chart = interval_chart(intervals, f"{facts.metric} on meta-test tasks", about)
    drawn = figure("Mean and 95 % interval over new tasks", chart)
    parts = [Section("Results on new tasks", (flow([drawn, *map(table, facts.tables)]),))]
    lines = _curves(facts, rows, "step")
    if lines:
        chart = line_chart(
            lines, "meta-step", f"{facts.metric} on validation tasks",
            f"the {facts.metric} on validation tasks by meta-step", whole_x=True,
        )  # fmt: skip
        told = paragraph("The learner of the best evaluation on validation tasks was tested.")
        figures = [figure("On validation tasks", chart)]
        lines = _curves(facts, rows, "seconds")
        if lines:
            chart = line_chart(
                lines, "seconds of learning", f"{facts.metric} on validation tasks",
                f"the {facts.metric} on validation tasks by seconds of learning",
            )  # fmt: skip
            figures.append(figure("On validation tasks, by time without evaluations", chart))
        parts.append(Section("Meta-learning", (told, flow(figures))))
    return parts


def _rows(result: State) -> list[Mapping[str, Any]]:
    return list(result.get("variants") or [result])


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def _curves(facts: Facts, rows: Sequence[Mapping[str, Any]], by: str) -> list[Line]:
    """Return the metric on validation tasks of each method, from the histories of its run.

    Args:
        facts: of the run.
        rows: of the methods.
        by: what the lines go along, "step" or "seconds".
    """
    lines = []
    for index, row in enumerate(rows):
        history = facts.history_of(row["method"]) if len(rows) > 1 else facts.history
        points = [
            (float(each[by]), float(each["valid"]))
            for each in history
            if each.get("valid") is not None and by in each
        ]
        if points:
            is_marked = len(points) <= 30
            lines.append(Line(str(row["method"]), points, index, marked=is_marked))
    return lines
