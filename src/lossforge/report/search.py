"""The page of a search."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from markupsafe import Markup

from lossforge.report.archive import candidates_of
from lossforge.report.blocks import Section, TableLike, figure, flow, paragraph, table
from lossforge.report.charts import (
    Candidate,
    Line,
    Share,
    Strip,
    front_chart,
    line_chart,
    share_bar,
    strip_plot,
)
from lossforge.report.facts import Facts, State, cost_of, is_learned_level, number, on_each_task
from lossforge.report.loss import loss_sections

LEARNED = "learned"
"""what a search's result calls the loss that it found"""

FATES = (
    ("in full", "trained to the end", 0),
    ("stopped", "stopped early by racing", 1),
    ("diverged", "diverged", 5),
    ("equal in form", "equal to another in form", 2),
    ("equal in gradient", "equal to another in its gradient", 3),
    ("rejected", "rejected: cannot fit a few rows", 4),
)
"""what became of candidates: the name in the result, what it means, and its color"""


def verdict(result: State) -> str:
    """Return in a sentence for each task whether what was found is worth using.

    Args:
        result: of a search.

    Examples:
        >>> rows = [{"name": "cross_entropy", "rate": 0.01, "test": 0.05, "tests": []}]
        >>> scores = {"valid": 0.05, "test": 0.06}
        >>> result = {"metric": "error_rate", "rate": 0.01, "rivals": rows} | scores
        >>> best = {"name": "cross_entropy", "rate": 0.01, "valid": 0.04}
        >>> verdict(result | {"recommended": best})
        'Use cross_entropy at learning rate 0.01 (test error rate 0.05): the search found ...
    """
    found = on_each_task(result)
    if len(found) == 1:
        return _verdict_of_one(found[0])
    return " ".join(f"On {each['task']}: {_verdict_of_one(each)}" for each in found)


def _verdict_of_one(result: State) -> str:
    metric = str(result["metric"]).replace("_", " ")
    recommended, rivals = result.get("recommended"), result.get("rivals") or []
    baseline = result.get("baseline")
    if recommended is None:
        assert baseline is not None
        return (
            f"The learned loss has a test {metric} of {number(result['test'])}, "
            f"{baseline['name']} of {number(baseline['test'])}."
        )
    rate = f"learning rate {recommended['rate']:.3g}"
    if recommended["name"] != LEARNED:
        row = _at(rivals or [baseline], recommended)
        told = f" (test {metric} {number(row['test'])})" if row else ""
        why = (
            "it is the simpler of two, and the learned loss is level with it"
            if is_learned_level(result)
            else "the search found nothing better"
        )
        return f"Use {recommended['name']} at {rate}{told}: {why} on validation data."
    own = _at([_learned(result), *([result["tuned"]] if result.get("tuned") else [])], recommended)
    score = number(own["test"] if own else result["test"])
    best = _best(rivals, result) or baseline
    assert best is not None
    at = f" at its best learning rate, {best['rate']:.3g}" if "rate" in best else ""
    return (
        f"Use the learned loss at {rate}: its test {metric} is {score}, and that of the best "
        f"handcrafted loss, {best['name']}{at}, {number(best['test'])}."
    )


def sections(facts: Facts) -> list[Section]:
    """Return the parts of a search's page."""
    result, loss = facts.result, next(iter(facts.losses.values()), None)
    parts = []
    if loss is not None:
        parts = loss_sections(loss, facts.classes, f"a search on {result['task']}")
    runs = [_runs(facts, each) for each in on_each_task(result)]
    shown = flow([*runs, *map(table, _closing(facts))])
    parts.append(Section("Results on test data", (paragraph(facts.sentence), shown)))
    front = _front(facts)
    if front:
        parts.append(Section("Pareto front", tuple(front)))
    parts.append(Section("The search", (flow([*_progress(facts), *_saved(facts)]),)))
    return parts


def _learned(result: State) -> State:
    keys = ("rate", "valid", "test", "tests")
    return {"name": LEARNED} | {key: result.get(key) for key in keys}


def _at(rows: Sequence[State | None], wanted: State) -> State | None:
    """Return the row of a loss at a learning rate."""
    return next(
        (
            row
            for row in rows
            if row and row["name"] == wanted["name"] and row.get("rate") in (wanted["rate"], None)
        ),
        None,
    )


def _best(rivals: Sequence[State], result: State) -> State | None:
    """Return the rival that does best on validation data."""
    known = [row for row in rivals if row.get("valid") is not None]
    return min(known, key=lambda row: cost_of(result, float(row["valid"]))) if known else None


def _runs(facts: Facts, result: State) -> Markup:
    """Return a chart of the networks that were trained on one task.

    Args:
        facts: of the search.
        result: as if it had been on this task alone.
    """
    rows: list[State] = [_learned(result)]
    tuned = result.get("tuned")
    if tuned and tuned["rate"] != result.get("rate"):
        rows.append(tuned)
    rows += result.get("rivals") or [result["baseline"]]
    strips = []
    for row in rows:
        is_learned = row["name"] == LEARNED
        name = "the learned loss" if is_learned else row["name"]
        rate = row.get("rate")
        told = name if rate is None else f"{name} at learning rate {rate:.3g}"
        strips.append(Strip(told, row.get("tests") or [row["test"]], 0 if is_learned else 1))
    chart = strip_plot(strips, f"{facts.metric} on test data", _about(strips, facts.metric))
    title = "One dot a network, a line at the mean"
    if "tasks" in facts.result:
        title = f"{result['task']}: {title[0].lower()}{title[1:]}"
    return figure(title, chart, _how(facts))


def _how(facts: Facts) -> str:
    steps = facts.result.get("compare_steps")
    length = f" for {steps} steps" if steps else ""
    return (
        f"Networks were trained{length} from fresh seeds; the {facts.better} the {facts.metric}, "
        "the better."
    )


def _about(strips: Sequence[Strip], metric: str) -> str:
    told = []
    for strip in strips:
        values = [v for v in strip.values if v is not None]
        told.append(f"{strip.name}: {f'{fmean(values):.4g}' if values else 'diverged'}")
    return f"{metric} on test data: {'; '.join(told)}"


def _front(facts: Facts) -> list[Markup]:
    members = [
        Candidate(row["size"], row["fitness"], row["loss"])
        for row in facts.result.get("front") or []
        if row["fitness"] is not None
    ]
    if not members:
        return []
    on_front = {(each.size, each.fitness) for each in members}
    others = [each for each in candidates_of(facts) if (each.size, each.fitness) not in on_front]
    about = "the best losses by size: " + "; ".join(
        f"size {each.size}: {each.fitness:.4g}" for each in members
    )
    note = "Large dots: the best loss of each size. Point at a dot to see its formula."
    chart = front_chart(members, others, facts.metric, about)
    tables = [each for each in facts.tables if "each size" in each.title]
    return [flow([figure("Fitness against size", chart, note), *map(table, tables)])]


def _closing(facts: Facts) -> list[TableLike]:
    """Return the tables other than that of the front."""
    return [each for each in facts.tables if "each size" not in each.title]


def _progress(facts: Facts) -> list[Markup]:
    lines = [entry for entry in facts.history if entry.get("best") is not None]
    if not lines:
        return []
    points = [(float(entry["generation"]), float(entry["best"])) for entry in lines]
    went = "rose" if facts.better == "higher" else "fell"
    is_log = all(y > 0 for _, y in points) and points[0][1] > 20 * points[-1][1]
    chart = line_chart(
        [Line("", points, 0, marked=len(points) <= 60)],
        "round of the search",
        f"best {facts.metric} on validation data",
        f"the best {facts.metric} {went} from {points[0][1]:.4g} to {points[-1][1]:.4g}",
        whole_x=True,
        log_y=is_log,
    )
    return [figure("Best candidate so far", chart)]


def _saved(facts: Facts) -> list[Markup]:
    counts: dict[str, Any] = dict(facts.result.get("counts") or {})
    if not counts.get("candidates"):
        return []
    shares = [Share(told, int(counts.get(name) or 0), color) for name, told, color in FATES]
    # Losses that a filter rejected are replaced, so they are more than the candidates.
    total = sum(share.count for share in shares)
    spared = sum(share.count for share in shares if share.color in (2, 3, 4))
    trained = int(counts.get("trained") or 0)
    told = (
        f"Filters spared {spared} of {total} proposals ({spared / total:.0%}) their training; "
        f"{trained} networks were trained, for {int(counts.get('training steps') or 0):,} steps."
    )
    about = "what became of candidates: " + ", ".join(f"{s.name} {s.count}" for s in shares)
    return [figure("What became of the candidates", share_bar(shares, about), told)]
