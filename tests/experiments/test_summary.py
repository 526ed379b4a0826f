"""Who is held against whom, what a table says of it, and ranks over several tasks."""

import json
import math

import pytest

from lossforge.experiments.grid import Line
from lossforge.experiments.summary import (
    compare_lines,
    overall,
    overall_table,
    rival_of,
    setting_table,
)
from lossforge.tasks.metrics import as_metric
from lossforge.training.full import Outcome


def line(loss, tests, *, task="t", valid=0.5, rate=0.1, tuned=False, handcrafted=True):
    outcomes = tuple(
        Outcome(math.inf if math.isinf(test) else valid, test, 1, ()) for test in tests
    )
    return Line(task, "m", loss, rate, tuned, outcomes, handcrafted)


ERROR_RATE = as_metric("error_rate", "classification")
GOOD = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15]
BAD = [0.30, 0.32, 0.34, 0.36, 0.38, 0.40]


def test_without_tuning_the_first_entry_is_the_rival():
    lines = [line("ce", BAD), line("found", GOOD, handcrafted=False)]
    assert rival_of(lines) is lines[0]


def test_the_rival_is_the_tuned_handcrafted_loss_that_does_best_on_validation_data():
    lines = [
        line("ce", BAD),
        line("ce", BAD, tuned=True, valid=0.3),
        line("focal", GOOD, tuned=True, valid=0.2),
        line("found", GOOD, tuned=True, valid=0.1, handcrafted=False),
        line("untuned", GOOD, valid=0.1),
    ]
    assert rival_of(lines) is lines[2]
    compared = compare_lines(lines)
    assert compared[2].paired is None
    assert all(each.rival is lines[2] for each in compared if each.paired is not None)


def test_p_values_are_corrected_over_all_tasks_and_networks():
    lines = [
        line(name, tests, task=task)
        for task in ("a", "b", "c")
        for name, tests in (("ce", BAD), ("found", GOOD))
    ]
    found = [each for each in compare_lines(lines) if each.paired is not None]
    assert [each.paired.p_wilcoxon for each in found] == [2 / 64] * 3
    assert [each.p_holm for each in found] == [6 / 64] * 3


def test_a_diverged_run_counts_and_is_told():
    lines = [line("ce", BAD), line("found", [*GOOD[:5], math.inf], handcrafted=False)]
    summaries = [each.summary(ERROR_RATE) for each in compare_lines(lines)]
    against = json.loads(json.dumps(summaries, allow_nan=False))[1]["against"]
    assert (against["mean"], against["p_t"], against["pairs"]) == (None, None, 6)
    assert against["p_wilcoxon"] > 0.05
    text = setting_table("title", summaries).plain(80)
    assert "diverged" in text
    assert "no t-test" in text


def test_two_seeds_are_no_test():
    lines = [line("ce", [0.4, 0.3]), line("found", [0.2, 0.1])]
    table = setting_table("title", [each.summary(ERROR_RATE) for each in compare_lines(lines)])
    assert table.rows[1][-2:] == ("n/a", "n/a")
    assert table.notes == ("fewer than 5 pairs are no test.",)


def test_a_table_fits_eighty_columns_and_shortens_no_number():
    name = "runs/a-folder-with-a-very-long-name/of-a-run/that-found-the-loss"
    lines = [line("ce", BAD), line(name, GOOD, rate=0.0123456, tuned=True, handcrafted=False)]
    text = setting_table("title", [e.summary(ERROR_RATE) for e in compare_lines(lines)]).plain(80)
    assert max(map(len, text.splitlines())) <= 80
    for cell in ("0.0123456*", "0.1250", "-0.2250", "0.031"):
        assert cell in text


def test_ranks_over_tasks():
    lines = [
        line(name, tests, task=task)
        for task in "abcdef"
        for name, tests in (("ce", BAD), ("found", GOOD), ("middle", [0.2] * 6))
    ]
    found = overall(compare_lines(lines), 0)
    assert found is not None
    assert found.friedman.ranks == (3.0, 1.0, 2.0)
    assert found.against_rival[1].first_better > 0.9
    summary = found.summary()
    assert json.loads(json.dumps(summary)) == summary
    table = overall_table(summary)
    assert [row[0] for row in table.rows] == ["found", "middle", "ce"]
    assert overall(compare_lines(lines), 0).summary() == summary


@pytest.mark.parametrize(
    "lines", [[line("ce", BAD), line("found", GOOD)], [line("ce", BAD, task=t) for t in "abc"]]
)
def test_one_task_or_one_loss_has_no_ranks(lines):
    assert overall(compare_lines(lines), 0) is None
