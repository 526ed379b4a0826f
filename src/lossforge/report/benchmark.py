"""The page of a benchmark: methods by tasks by networks by repetitions."""

from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from lossforge.report.blocks import Section, figure, flow, paragraph, table
from lossforge.report.charts import Strip, strip_plot
from lossforge.report.comparison import rank_sections
from lossforge.report.facts import Facts, number
from lossforge.report.heat_map import heat_map_chart

Row = Mapping[str, Any]


def verdict(facts: Facts) -> str:
    """Return in a sentence how often learned losses beat the best handcrafted ones."""
    against = facts.result.get("against") or {}
    if not against:
        return "Nothing was held against the handcrafted losses."
    reference, found = next(iter(against.items()))
    if not found:
        return f"No method was held against {reference}."
    count = len({(row["task"], row["model"]) for row in found})
    told = []
    for name in dict.fromkeys(row["entry"] for row in found):
        verdicts = Counter(row["verdict"] for row in found if row["entry"] == name)
        told.append(f"{name}: {', '.join(f'{n} {word}' for word, n in sorted(verdicts.items()))}")
    where = f"{count} tasks and networks" if count > 1 else "one task and network"
    return f"Against {reference}, on {where}: {'; '.join(told)}."


def sections(facts: Facts) -> list[Section]:
    """Return the parts of a benchmark's page."""
    charts = []
    for setting in facts.result["settings"]:
        metric = str(setting["metric"]).replace("_", " ")
        strips = [
            Strip(entry["name"], entry["tests"], int(not _is_learned(entry["name"], facts)))
            for entry in setting["entries"]
        ]
        told = "; ".join(f"{e['name']} {number(e['test'])}" for e in setting["entries"])
        chart = strip_plot(strips, f"{metric} on test data", f"{metric} on test data: {told}")
        charts.append(figure(f"{setting['task']} with {setting['model']}", chart))
    better = "higher" if facts.result.get("maximized") else "lower"
    how = f"One dot a repetition, a line at the mean; the {better}, the better."
    return [
        Section("Results on test data", (paragraph(how), flow(charts))),
        *_differences(facts),
        *rank_sections(facts.result),
        Section("Tables", (flow([*map(table, facts.tables)]),)),
    ]


def _is_learned(name: str, facts: Facts) -> bool:
    return name in facts.result.get("methods", ())


def _differences(facts: Facts) -> list[Section]:
    """Return a heat map for each reference: what each method gains on each task and network."""
    charts = []
    for reference, found in (facts.result.get("against") or {}).items():
        if not found:
            continue
        settings = list(dict.fromkeys((row["task"], row["model"]) for row in found))
        gaps = {(row["entry"], row["task"], row["model"]): row["difference"] for row in found}
        names = list(dict.fromkeys(row["entry"] for row in found))
        tasks = {task: len(list(some)) for task, some in groupby(task for task, _ in settings)}
        columns = [task if tasks[task] == 1 else f"{task}, {model}" for task, model in settings]
        values = [[gaps.get((name, *setting)) for setting in settings] for name in names]
        about = f"differences of the metric on test data from {reference}"
        chart = heat_map_chart(names, columns, values, about)
        note = "Negative, blue: the method is better than what it is held against."
        if facts.result.get("maximized"):
            note += " The differences are of one minus the metric."
        charts.append(figure(f"Difference from {reference}", chart, note))
    return [Section("Against handcrafted losses", (flow(charts),))] if charts else []
