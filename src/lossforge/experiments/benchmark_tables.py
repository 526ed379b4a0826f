"""From the cells of a benchmark to its statistics and tables.

Learned losses are held against two references on each task and network: the best handcrafted loss
at its best learning rate, and the default loss at its best one. The unit is a repetition. Runs that
diverged are the worst there is. P-values are corrected by Holm's method over all tests against one
reference, on all tasks and networks.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import fmean
from typing import final

from lossforge.experiments.benchmark_cell import DEFAULT_TUNED, REFERENCES, RIVAL
from lossforge.experiments.measured import costs, direction, is_maximized
from lossforge.experiments.statistics import (
    Paired,
    Probabilities,
    bayesian_signed_rank,
    difference,
    friedman,
    holm,
    mean_and_deviation,
    paired_comparison,
)
from lossforge.experiments.summary import LEAST_SETTINGS, Overall
from lossforge.experiments.tables import Table, number, p_value
from lossforge.files import plain
from lossforge.methods import State
from lossforge.randomness import derive_seed

AGAINST = (RIVAL, DEFAULT_TUNED)
"""what learned losses are held against"""

SIGNIFICANT = 0.05

CSV_COLUMNS = ("task", "model", "entry", "seed", "loss", "rate", "valid", "test", "failure")


@final
@dataclass(frozen=True)
class Entry:
    """A method on one task and network, over the repetitions.

    Attributes:
        task: by name.
        model: by name.
        name: of the method, or of the reference.
        metric: that is measured.
        maximized: whether more of it is better.
        seeds: of the repetitions.
        losses: that were tested, one a repetition.
        rates: of the networks' optimizer; None where nothing was found.
        valids: the costs by the metric on validation rows.
        tests: the costs on test rows; infinity for a run that diverged.
        failures: why runs failed; None for those that did not.
    """

    task: str
    model: str
    name: str
    metric: str
    seeds: tuple[int, ...]
    losses: tuple[str, ...]
    rates: tuple[float | None, ...]
    valids: tuple[float, ...]
    tests: tuple[float, ...]
    failures: tuple[str | None, ...]
    maximized: bool = False

    @property
    def setting(self) -> tuple[str, str]:
        """The task and the network."""
        return self.task, self.model

    @property
    def is_reference(self) -> bool:
        """Whether others are held against it."""
        return self.name in REFERENCES

    def summary(self) -> State:
        """Return the entry as plain data, with the values of the metric in place of its costs."""
        valids, tests = map(self._shown, (self.valids, self.tests))
        mean, deviation = mean_and_deviation(tests)
        content = asdict(self) | {"valids": valids, "tests": tests}
        content |= {"valid": fmean(valids), "test": mean, "deviation": deviation}
        if not content.pop("maximized"):
            return plain(content)  # type: ignore[no-any-return]
        return plain(content | {"maximized": True})  # type: ignore[no-any-return]

    def _shown(self, costs: Sequence[float]) -> tuple[float, ...]:
        return tuple(1 - each for each in costs) if self.maximized else tuple(costs)

    @classmethod
    def from_rows(cls, rows: Sequence[State]) -> "Entry":
        """Return the entry of rows that differ in their seeds."""
        first = rows[0]
        return cls(
            first["task"],
            first["model"],
            first["entry"],
            first["metric"],
            tuple(row["seed"] for row in rows),
            tuple(row["loss"] for row in rows),
            tuple(row["rate"] for row in rows),
            tuple(costs(first, [row["valid"] for row in rows])),
            tuple(costs(first, [row["test"] for row in rows])),
            tuple(row["failure"] for row in rows),
            is_maximized(first),
        )


def rows_of(cells: Iterable[State]) -> list[State]:
    """Return the tested networks of cells, a row each, with the cell's task, network and seed."""
    return [
        {key: cell[key] for key in ("task", "model", "seed", "metric", "maximized") if key in cell}
        | row
        for cell in cells
        for row in cell["rows"]
    ]


def entries_of(cells: Sequence[State]) -> list[Entry]:
    """Return the entries of cells, those of one task and network together, references first.

    Args:
        cells: results, in the order of settings.
    """
    rows = rows_of(cells)
    settings = dict.fromkeys((row["task"], row["model"]) for row in rows)
    names = [*REFERENCES, *(row["entry"] for row in rows if row["entry"] not in REFERENCES)]
    found = []
    for setting in settings:
        for name in dict.fromkeys(names):
            some = [r for r in rows if (r["task"], r["model"]) == setting and r["entry"] == name]
            if some:
                found.append(Entry.from_rows(sorted(some, key=lambda row: row["seed"])))
    return found


@final
@dataclass(frozen=True)
class Versus:
    """A learned loss held against a reference on one task and network.

    Attributes:
        entry: the learned loss.
        reference: what it is held against.
        paired: their difference over repetitions; None where there is one.
        likely: how likely the learned loss is better, equivalent or worse.
        p_holm: the signed-rank p-value, corrected; None where it is not applicable.
        rope: half the width of the region of practical equivalence, in the metric's unit.
    """

    entry: Entry
    reference: Entry
    paired: Paired | None
    likely: Probabilities
    p_holm: float | None
    rope: float

    @property
    def verdict(self) -> str:
        """What the numbers say, in a word or two."""
        gap = _mean_gap(self.entry, self.reference)
        if self.p_holm is not None and self.p_holm < SIGNIFICANT and gap != 0:
            return "better" if gap < 0 else "worse"
        return "equivalent" if abs(gap) <= self.rope else "undecided"

    def summary(self) -> State:
        """Return the comparison as plain data."""
        summary: State = plain(
            {
                "task": self.entry.task,
                "model": self.entry.model,
                "entry": self.entry.name,
                "reference": self.reference.name,
                "difference": _mean_gap(self.entry, self.reference),
                "p_wilcoxon": self.paired.p_wilcoxon if self.paired else None,
                "p_holm": self.p_holm,
                "pairs": len(self.entry.tests),
                "reason": self.paired.reason if self.paired else "one repetition is no test",
                "bayesian": asdict(self.likely),
                "verdict": self.verdict,
            }
        )
        return summary


def compare_with(entries: Sequence[Entry], reference: str, rope: float, seed: int) -> list[Versus]:
    """Hold all learned losses against a reference, and correct for all tests together.

    Args:
        entries: of all tasks and networks.
        reference: name of the entry that the others are held against.
        rope: half the width of the region of practical equivalence.
        seed: of the posteriors' draws.
    """
    from numpy.random import default_rng

    pairs = []
    for setting, group in groupby(entries, key=lambda entry: entry.setting):
        some = list(group)
        against = next((entry for entry in some if entry.name == reference), None)
        learned = [entry for entry in some if not entry.is_reference]
        pairs += [(setting, entry, against) for entry in learned if against is not None]
    tests = [paired_comparison(entry.tests, against.tests) for _, entry, against in pairs]
    corrected = holm([None if paired is None else paired.p_wilcoxon for paired in tests])
    found = []
    for (setting, entry, against), paired, p_holm in zip(pairs, tests, corrected, strict=True):
        gaps = [difference(a, b) for a, b in zip(entry.tests, against.tests, strict=True)]
        draw = default_rng(derive_seed(seed, "benchmark", *setting, entry.name, reference))
        likely = bayesian_signed_rank(gaps, rope, draw)
        found.append(Versus(entry, against, paired, likely, p_holm, rope))
    return found


def over_settings(entries: Sequence[Entry], rope: float, seed: int) -> Overall | None:
    """Rank the entries over tasks and networks; None where there are fewer than three of them."""
    from numpy.random import default_rng

    by_setting = [list(group) for _, group in groupby(entries, key=lambda entry: entry.setting)]
    names = tuple(entry.name for entry in by_setting[0])
    if len(by_setting) < LEAST_SETTINGS or len(names) < 2:
        return None
    means = [[fmean(entry.tests) for entry in some] for some in by_setting]
    rival = names.index(RIVAL)
    likely = []
    for index, name in enumerate(names):
        gaps = [difference(row[index], row[rival]) for row in means]
        draw = default_rng(derive_seed(seed, "benchmark", name, "overall"))
        likely.append(bayesian_signed_rank(gaps, rope, draw))
    return Overall(names, friedman(means), tuple(likely), rope)


def summary_table(settings: Sequence[State]) -> Table:
    """Return a table with a row for each task and network, and a column for each entry."""
    names = list(dict.fromkeys(e["name"] for each in settings for e in each["entries"]))
    rows = []
    for each in settings:
        by_name = {entry["name"]: entry for entry in each["entries"]}
        means = {name: by_name[name]["test"] for name in by_name}
        finite = [mean for mean in means.values() if mean is not None]
        best = (max if is_maximized(each) else min)(finite, default=None)
        cells = []
        for name in names:
            entry = by_name.get(name)
            text = "" if entry is None else _mean_text(entry)
            mark = "*" if entry is not None and best is not None and means[name] == best else ""
            cells.append(f"{text}{mark}")
        rows.append((each["task"], each["model"], *cells))
    return Table(
        "test metric, mean ± deviation over repetitions",
        ("task", "network", *names),
        tuple(rows),
        text_columns=2,
        notes=(f"* marks the best of a row; {_better(settings)}.",),
    )


def setting_table(setting: State) -> Table:
    """Return the table of one task and network."""
    rows = [
        (
            entry["name"],
            _span(entry["rates"]),
            number(entry["test"]),
            number(math.nan if entry["deviation"] is None else entry["deviation"]),
            number(entry["valid"]),
            str(sum(failure is not None for failure in entry["failures"])),
        )
        for entry in setting["entries"]
    ]
    higher = f" ({direction(setting)})" if is_maximized(setting) else ""
    title = f"{setting['metric']} on {setting['task']} with {setting['model']}{higher}"
    repetitions = len(setting["entries"][0]["tests"])
    return Table(
        f"{title}, {setting['steps']} steps, {repetitions} repetitions",
        ("entry", "rate", "test", "deviation", "valid", "failed"),
        tuple(rows),
        notes=tuple(
            f"{RIVAL}: {_tally(entry['losses'])}."
            for entry in setting["entries"]
            if entry["name"] == RIVAL
        ),
    )


def versus_table(
    reference: str, found: Sequence[State], rope: float, *, of_costs: bool = False
) -> Table:
    """Return the table of all learned losses against a reference.

    Args:
        reference: its name.
        found: a row for each learned loss.
        rope: half the width of the region of practical equivalence.
        of_costs: whether more of a metric is better, so that a note tells what gaps are of.
    """
    rows, reasons = [], []
    for each in found:
        likely = each["bayesian"]
        shares = (f"{likely[k]:.2f}" for k in ("first_better", "equivalent", "second_better"))
        gap = each["difference"]
        rows.append(
            (
                each["task"],
                each["entry"],
                "diverged" if gap is None else f"{gap:+.4f}",
                p_value(each["p_wilcoxon"]),
                p_value(each["p_holm"]),
                *shares,
                each["verdict"],
            )
        )
        reasons += [f"{each['reason']}."] if each["reason"] else []
    return Table(
        f"learned losses against: {reference}",
        ("task", "method", "gap", "p", "Holm", "better", "equal", "worse", "verdict"),
        tuple(rows),
        text_columns=2,
        notes=(
            "p is of Wilcoxon's signed-rank test over repetitions, corrected by Holm's method over "
            f"all {len(rows)} tests of this table; better, equal and worse are probabilities "
            f"(Bayesian signed-rank, equal within {rope:g}).",
            *(["A gap is of one minus the metric: below 0 is better."] if of_costs else []),
            *_power_note(found),
            *dict.fromkeys(reasons),
        ),
    )


def cost_table(costs: Sequence[State]) -> Table:
    """Return what each method cost a repetition."""
    rows = [
        (
            each["entry"],
            *(
                "-" if each[key] is None else f"{each[key]:.0f}"
                for key in ("candidates", "search_steps", "tuning_steps", "seconds")
            ),
        )
        for each in costs
    ]
    return Table(
        "cost of a repetition, mean over all tasks and networks",
        ("method", "candidates", "search steps", "tuning steps", "seconds"),
        tuple(rows),
        notes=(
            "Steps are training steps summed over networks: of the fitness runs of a search, and "
            "of the choice of losses and learning rates.",
        ),
    )


def costs_of(cells: Sequence[State]) -> list[State]:
    """Return each cell entry's mean costs."""
    found = []
    for name in dict.fromkeys(cell["entry"] for cell in cells):
        some = [cell for cell in cells if cell["entry"] == name]
        costs: State = {"entry": name}
        for key in ("candidates", "search_steps", "tuning_steps", "seconds"):
            known = [cell[key] for cell in some if cell[key] is not None]
            costs[key] = round(fmean(known), 3) if known else None
        found.append(costs)
    return found


def csv_of(cells: Sequence[State]) -> str:
    """Return a line for each tested network, as CSV; a diverged run's metrics are empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows_of(cells))
    return stream.getvalue()


def _power_note(found: Sequence[State]) -> list[str]:
    """Say where even the clearest outcome could not pass Holm's correction."""
    made = [each for each in found if each["p_wilcoxon"] is not None]
    if not made:
        return []
    pairs = max(each["pairs"] for each in made)
    least = 2.0 ** (1 - pairs)
    if least * len(made) < SIGNIFICANT:
        return []
    return [f"{pairs} repetitions cannot reach p < {SIGNIFICANT} in a table of {len(made)} tests."]


def _mean_gap(entry: Entry, reference: Entry) -> float:
    """Return the mean difference; NaN where runs diverged on both sides."""
    gaps = [difference(a, b) for a, b in zip(entry.tests, reference.tests, strict=True)]
    infinite = {gap for gap in gaps if math.isinf(gap)}
    return math.nan if len(infinite) > 1 else fmean(gaps)


def _mean_text(entry: State) -> str:
    if entry["test"] is None:
        return "diverged"
    deviation = entry["deviation"]
    spread = "" if deviation is None else f" ± {deviation:.4f}"
    return f"{entry['test']:.4f}{spread}"


def _span(rates: Sequence[float | None]) -> str:
    """Return the least and the greatest of several learning rates."""
    known = sorted({rate for rate in rates if rate is not None})
    if not known:
        return "-"
    return f"{known[0]:.3g}" if len(known) == 1 else f"{known[0]:.3g} to {known[-1]:.3g}"


def _tally(losses: Sequence[str]) -> str:
    """Return which losses there are, and how often, the most frequent first."""
    counts = Counter(losses)
    return ", ".join(f"{loss} ({count})" for loss, count in counts.most_common())


def _better(settings: Sequence[State]) -> str:
    """Say which values are better; settings may be measured by metrics of both directions."""
    found = list(dict.fromkeys(map(direction, settings)))
    return found[0] if len(found) == 1 else "which is better depends on the metric"
