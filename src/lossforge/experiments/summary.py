"""From the outcomes of a grid to its tables: who is held against whom, and how sure one can be."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import Any, final

from lossforge.experiments.grid import Line
from lossforge.experiments.statistics import (
    Friedman,
    Paired,
    Probabilities,
    bayesian_signed_rank,
    difference,
    friedman,
    holm,
    mean_and_deviation,
    paired_comparison,
)
from lossforge.experiments.tables import Table, number, p_value
from lossforge.experiments.units import scale_note
from lossforge.files import plain
from lossforge.randomness import derive_seed
from lossforge.tasks.metrics import Metric

ROPE = 0.01
"""region of practical equivalence: metrics that differ by no more are as good as equal"""


LEAST_SETTINGS = 3
"""pairs of task and network below which mean ranks say nothing"""


@final
@dataclass(frozen=True)
class Compared:
    """An entry held against its rival.

    Attributes:
        line: the entry.
        rival: what it is held against; None where it is the rival itself.
        paired: their difference; None for the rival, and where there is one seed.
        p_holm: the signed-rank p-value, corrected for all tests of the table; None where it is
            not applicable.
    """

    line: Line
    rival: Line | None = None
    paired: Paired | None = None
    p_holm: float | None = None

    def summary(self, metric: Metric) -> dict[str, Any]:
        """Return the entry as plain data, with the values of a metric in place of its costs."""
        line = self.line.shown(metric)
        mean, deviation = mean_and_deviation(line.tests)
        against = None
        if self.paired is not None and self.rival is not None:
            paired = self.paired.mirrored() if metric.is_maximized else self.paired
            against = asdict(paired) | {"p_holm": self.p_holm, "rival": self.rival.name}
        summary: dict[str, Any] = plain(
            {
                "task": line.task,
                "model": line.model,
                "loss": line.loss,
                "learning_rate": line.learning_rate,
                "tuned": line.is_tuned,
                "valid": fmean(line.valids),
                "test": mean,
                "deviation": deviation,
                "tests": line.tests,
                "failures": [o.failure for o in line.outcomes if o.failure is not None],
                "against": against,
            }
        )
        return summary


def rival_of(lines: Sequence[Line]) -> Line:
    """Return what the entries of one task and network are held against.

    The handcrafted loss that does best on validation data at its tuned rate; where no rate was
    tuned, the first entry.
    """
    tuned = [line for line in lines if line.is_tuned and line.is_handcrafted]
    return min(tuned, key=lambda line: fmean(line.valids)) if tuned else lines[0]


def compare_lines(lines: Sequence[Line]) -> list[Compared]:
    """Hold each entry against the rival of its task and network, and correct for all tests.

    Args:
        lines: of all tasks and networks.
    """
    compared = []
    for _, of_setting in groupby(lines, key=_setting):
        some = list(of_setting)
        rival = rival_of(some)
        for line in some:
            if line is rival:
                compared.append(Compared(line))
            else:
                paired = paired_comparison(line.tests, rival.tests)
                compared.append(Compared(line, rival, paired))
    corrected = holm([None if c.paired is None else c.paired.p_wilcoxon for c in compared])
    return [replace(c, p_holm=p) for c, p in zip(compared, corrected, strict=True)]


@final
@dataclass(frozen=True)
class Overall:
    """Entries over all tasks and networks.

    Attributes:
        names: of the entries.
        friedman: their mean ranks.
        against_rival: of each entry, how likely it is better than its rival, equivalent or worse.
        rope: half the width of the region of practical equivalence.
    """

    names: tuple[str, ...]
    friedman: Friedman
    against_rival: tuple[Probabilities, ...]
    rope: float = ROPE

    def summary(self) -> dict[str, Any]:
        """Return it as plain data."""
        test = self.friedman
        summary: dict[str, Any] = plain(
            {
                "names": self.names,
                "ranks": test.ranks,
                "friedman_p": test.p,
                "critical_difference": test.critical_difference,
                "groups": [[self.names[i] for i in group] for group in test.groups()],
                "rope": self.rope,
                "bayesian": [asdict(each) for each in self.against_rival],
            }
        )
        return summary


def overall(compared: Sequence[Compared], seed: int) -> Overall | None:
    """Rank the entries over tasks and networks; None where there are too few.

    Args:
        compared: entries of all tasks and networks.
        seed: of the posterior's draws.
    """
    from numpy.random import default_rng

    lines = [each.line for each in compared]
    by_setting = [list(some) for _, some in groupby(lines, key=_setting)]
    names = tuple(_entry(line) for line in by_setting[0])
    if len(by_setting) < LEAST_SETTINGS or len(names) < 2:
        return None
    means = [[fmean(line.tests) for line in some] for some in by_setting]
    rivals = [fmean(rival_of(some).tests) for some in by_setting]
    likely = []
    for index in range(len(names)):
        gaps = [difference(row[index], r) for row, r in zip(means, rivals, strict=True)]
        draw = default_rng(derive_seed(seed, "bayesian signed rank", index))
        likely.append(bayesian_signed_rank(gaps, ROPE, draw))
    return Overall(names, friedman(means), tuple(likely))


def setting_table(
    title: str, summaries: Sequence[dict[str, Any]], scale: float | None = None
) -> Table:
    """Return the table of one task and network.

    Args:
        title: of the table.
        summaries: of its entries, as `Compared.summary` returns them.
        scale: of a standardized regression target, in the data's own unit.
    """
    rows, reasons = [], []
    for line in summaries:
        against = line["against"]
        compared = [""] * 3
        if against is not None:
            compared = [
                _signed(against["mean"]),
                p_value(against["p_wilcoxon"]),
                p_value(against["p_holm"]),
            ]
            reasons += [against["reason"]] if against["reason"] else []
        rate = f"{line['learning_rate']:g}{'*' if line['tuned'] else ''}"
        deviation = math.nan if line["deviation"] is None else line["deviation"]
        numbers = (number(line["test"]), number(deviation), number(line["valid"]))
        rows.append((line["loss"], rate, *numbers, *compared))
    return Table(
        title,
        ("loss", "rate", "test", "deviation", "valid", "difference", "p", "p (Holm)"),
        tuple(rows),
        notes=(*(f"{reason}." for reason in dict.fromkeys(reasons)), *scale_note(scale)),
    )


def overall_table(found: dict[str, Any]) -> Table:
    """Return the table over all tasks and networks, the best mean rank first."""
    order = sorted(range(len(found["names"])), key=found["ranks"].__getitem__)
    rows = []
    for index in order:
        likely = found["bayesian"][index]
        shares = (f"{likely[k]:.2f}" for k in ("first_better", "equivalent", "second_better"))
        rows.append((found["names"][index], f"{found['ranks'][index]:.2f}", *shares))
    test = f"Friedman's p = {p_value(found['friedman_p'])}"
    return Table(
        "mean ranks over all tasks and networks",
        ("loss", "mean rank", "better", "equivalent", "worse"),
        tuple(rows),
        notes=(
            f"{test}; ranks differ from {found['critical_difference']:.2f} on (Nemenyi, 0.05).",
            "Better, equivalent, worse: probabilities against the rival of each task (Bayesian "
            f"signed-rank, equivalent within {found['rope']:g}).",
        ),
    )


def _signed(value: float | None) -> str:
    return "diverged" if value is None else f"{value:+.4f}"


def _setting(line: Line) -> tuple[str, str]:
    return line.task, line.model


def _entry(line: Line) -> str:
    return f"{line.loss}, tuned rate" if line.is_tuned else line.loss
