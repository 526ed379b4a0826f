"""Who is held against whom, over repetitions; what tables say of it, in every form."""

import csv
import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.experiments.benchmark_cell import DEFAULT, DEFAULT_TUNED, REFERENCES, RIVAL
from lossforge.experiments.benchmark_tables import (
    compare_with,
    cost_table,
    costs_of,
    csv_of,
    entries_of,
    over_settings,
    setting_table,
    summary_table,
    versus_table,
)
from lossforge.experiments.statistics import holm, signed_rank_p

GOOD = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19]
BAD = [0.30, 0.32, 0.34, 0.36, 0.38, 0.40, 0.42, 0.44, 0.46, 0.48]


def row(entry, test, loss="loss"):
    test = None if math.isinf(test) else test
    failure = "diverged" if test is None else None
    return {"entry": entry, "loss": loss, "rate": 0.1, "valid": test, "test": test, "step": 1} | {
        "failure": failure
    }


def cells(task, references, **methods):
    """Return cells of one task: references in one, each method in its own, for each repetition."""
    shared = {"task": task, "model": "m", "metric": "error_rate", "candidates": 3}
    shared |= {"search_steps": 10, "tuning_steps": 5, "seconds": 2.0}
    found = []
    for seed, test in enumerate(references):
        rows = [row(name, test) for name in REFERENCES]
        found.append(shared | {"entry": "handcrafted", "seed": seed, "rows": rows})
        for name, tests in methods.items():
            one = {"entry": name, "seed": seed, "rows": [row(name, tests[seed])]}
            found.append(shared | one)
    return found


def test_entries_come_by_setting_with_references_first():
    found = entries_of([*cells("a", BAD, x=GOOD), *cells("b", GOOD, x=BAD)])
    assert [(entry.task, entry.name) for entry in found] == [
        (task, name) for task in "ab" for name in (*REFERENCES, "x")
    ]
    assert found[3].tests == tuple(GOOD)
    assert found[3].seeds == tuple(range(10))
    assert [entry.is_reference for entry in found[:4]] == [True, True, True, False]


def test_p_values_are_corrected_over_all_tasks_and_methods_of_a_reference():
    entries = entries_of([each for task in "abc" for each in cells(task, BAD, x=GOOD, y=BAD[::-1])])
    found = compare_with(entries, RIVAL, 0.01, 0)
    raw = [each.paired.p_wilcoxon for each in found]
    assert len(found) == 6
    assert raw[0] == signed_rank_p([a - b for a, b in zip(GOOD, BAD, strict=True)])
    assert [each.p_holm for each in found] == holm(raw)
    assert {each.reference.name for each in found} == {RIVAL}
    verdicts = [each.verdict for each in found]
    assert verdicts == ["better", "equivalent"] * 3


def test_verdicts_need_the_corrected_test_or_the_region():
    def verdict(tests, rope=0.01):
        (found,) = compare_with(entries_of(cells("a", BAD, x=tests)), RIVAL, rope, 0)
        return found.verdict

    assert verdict(GOOD) == "better"
    assert verdict([value * 1.5 for value in BAD]) == "worse"
    assert verdict([v + 0.1 * (-1) ** i for i, v in enumerate(BAD)]) == "equivalent"
    assert verdict([0.9, *BAD[1:]]) == "undecided"
    assert verdict([0.9, *BAD[1:]], rope=0.1) == "equivalent"


def test_a_diverged_run_is_the_worst_and_never_dropped():
    nine_wins = [math.inf, *GOOD[1:]]
    (found,) = compare_with(entries_of(cells("a", BAD, x=nine_wins)), RIVAL, 0.01, 0)
    assert found.paired.pairs == 10
    assert found.paired.p_t is None
    assert found.paired.p_wilcoxon > signed_rank_p([a - b for a, b in zip(GOOD, BAD, strict=True)])
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["difference"] is None
    assert summary["verdict"] == "undecided"
    entry = entries_of(cells("a", BAD, x=nine_wins))[-1].summary()
    assert (entry["test"], entry["failures"][0]) == (None, "diverged")


def test_equal_differences_are_not_applicable():
    (found,) = compare_with(entries_of(cells("a", BAD, x=BAD)), RIVAL, 0.01, 0)
    assert (found.paired.p_wilcoxon, found.p_holm) == (None, None)
    table = versus_table(RIVAL, [found.summary()], 0.01)
    assert table.rows[0][3:5] == ("n/a", "n/a")
    assert "all differences are equal." in table.notes
    assert found.likely.equivalent == 1


def test_a_table_says_where_no_outcome_could_pass():
    five = [each for task in "abc" for each in cells(task, BAD[:5], x=GOOD[:5])]
    summaries = [each.summary() for each in compare_with(entries_of(five), RIVAL, 0.01, 0)]
    notes = versus_table(RIVAL, summaries, 0.01).notes
    assert any("5 repetitions cannot reach p < 0.05 in a table of 3 tests" in n for n in notes)
    ten = [each for task in "abc" for each in cells(task, BAD, x=GOOD)]
    summaries = [each.summary() for each in compare_with(entries_of(ten), RIVAL, 0.01, 0)]
    assert not any("cannot" in note for note in versus_table(RIVAL, summaries, 0.01).notes)


def test_ranks_over_tasks_are_held_against_the_rival():
    found = over_settings(
        entries_of([each for task in "abcdef" for each in cells(task, BAD, x=GOOD)]), 0.01, 0
    )
    assert found.names == (DEFAULT, DEFAULT_TUNED, RIVAL, "x")
    assert found.friedman.ranks == (3.0, 3.0, 3.0, 1.0)
    assert found.against_rival[3].first_better > 0.9
    assert found.against_rival[2].equivalent == 1
    assert over_settings(entries_of(cells("a", BAD, x=GOOD)), 0.01, 0) is None


def setting(some, task="a"):
    entries = [entry.summary() for entry in entries_of(some)]
    return {"task": task, "model": "m", "metric": "error_rate", "steps": 5, "entries": entries}


def test_tables_hold_every_entry_and_fit_the_terminal():
    some = cells("a", BAD, **{"evomal:population=24,generations=10": GOOD})
    table = setting_table(setting(some))
    assert len(table.rows) == 4
    assert table.notes == (f"{RIVAL}: loss (10).",)
    wide = summary_table([setting(some)])
    assert wide.rows[0][-1] == "0.1450 ± 0.0303*"
    assert wide.rows[0][2] == "0.3900 ± 0.0606"
    for each in (table, cost_table(costs_of(some))):
        assert max(map(len, each.plain(80).splitlines())) <= 80


def test_costs_are_means_over_cells():
    costs = {each["entry"]: each for each in costs_of(cells("a", BAD, x=GOOD))}
    assert costs["x"]["search_steps"] == 10
    some = [{**cell, "search_steps": None} for cell in cells("a", BAD, x=GOOD)]
    assert costs_of(some)[1]["search_steps"] is None
    assert cost_table(costs_of(some)).rows[1][2] == "-"


def test_csv_has_a_line_for_each_network_and_nothing_for_what_diverged():
    text = csv_of(cells("a", BAD[:2], **{"a, b": [0.25, math.inf]}))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2 * 4
    mine = [line for line in rows if line["entry"] == "a, b"]
    assert [line["test"] for line in mine] == ["0.25", ""]
    assert [line["failure"] for line in mine] == ["", "diverged"]


metrics = st.lists(st.floats(0.01, 1), min_size=5, max_size=5)


@given(metrics, metrics)
def test_a_comparison_turned_round_has_the_same_p_and_the_opposite_difference(first, second):
    def compared(references, tests):
        (found,) = compare_with(entries_of(cells("a", references, x=tests)), RIVAL, 0.0, 0)
        return found

    one, other = compared(first, second), compared(second, first)
    assert one.paired.p_wilcoxon == pytest.approx(other.paired.p_wilcoxon)
    assert one.paired.mean == pytest.approx(-other.paired.mean)


@given(metrics)
def test_the_order_of_repetitions_does_not_matter(tests):
    some = cells("a", BAD[:5], x=tests)
    found, turned = (compare_with(entries_of(s), RIVAL, 0.01, 0) for s in (some, some[::-1]))
    assert found[0].summary() == turned[0].summary()
