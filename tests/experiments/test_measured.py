"""Metrics that are minimized and maximized: results, tables, verdicts and pages."""

import json
import math

import pytest
import torch

import lossforge as lf
from lossforge.errors import ConfigurationError, DataError, LossforgeError
from lossforge.experiments.measured import costs, direction, is_maximized, metric_facts
from lossforge.report.facts import cost_of
from lossforge.tasks.metrics import OwnMetric, as_metric

SMALL = {"population": 4, "generations": 1, "fitness_steps": 20, "compare_steps": 20}
SMALL |= {"compare_seeds": 2, "progress": False}


def positives(outputs, labels):
    """Return the share of the positives that are found."""
    return (outputs.argmax(1)[labels == 1] == 1).float().mean()


def test_values_become_costs_and_diverged_runs_the_greatest():
    result = metric_facts(as_metric("f1", "classification"))
    assert is_maximized(result)
    assert direction(result) == "higher is better"
    assert costs(result, [1.0, 0.25, None]) == [0.0, 0.75, math.inf]
    assert cost_of(metric_facts(as_metric("mae", "regression")), 0.3) == 0.3


@pytest.mark.parametrize("name", ["f1", "auroc", "balanced_error"])
def test_a_search_optimizes_and_shows_its_metric(name, tmp_path):
    report = lf.search(
        "random", "breast_cancer", "linear", metric=name, out=tmp_path / "run", **SMALL
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metric"] == name
    assert result.get("maximized", False) is (name != "balanced_error")
    tests = torch.tensor(result["tests"], dtype=torch.float64)
    assert result["test"] == pytest.approx(float(tests.mean()))
    better = max if result.get("maximized") else min
    losses = result["calibration"]["losses"]
    long = [row["valid"] for row in losses if row["steps"] == losses[0]["steps"]]
    assert losses[0]["valid"] == better(long)
    assert {"cross_entropy:weight=balanced", "focal:gamma=5"} <= {row["name"] for row in losses}
    shown = "higher is better" in report.comparison_table().title
    assert shown is (name != "balanced_error")
    assert f"--metric {name}" in str(report.command())
    page = lf.report(tmp_path / "run").read_text(encoding="utf-8")
    assert ("the higher the" in page) is (name != "balanced_error")


def test_what_is_recommended_is_best_by_the_metric():
    report = lf.search("random", "breast_cancer", "linear", metric="auroc", **SMALL)
    best = max(row["valid"] for row in [*report.rivals, report.result["tuned"], report.result])
    # Not more than a standard error below the best.
    assert report.recommended["valid"] == pytest.approx(best, abs=0.02)


def test_a_comparison_respects_the_direction():
    losses = {"good": "cross_entropy", "bad": "squared_outputs"}
    reports = {
        name: lf.compare(
            losses, "breast_cancer", "linear", metric=name, seeds=6, steps=30, progress=False
        )
        for name in ("accuracy", "error_rate")
    }
    up, down = (reports[name].result for name in ("accuracy", "error_rate"))
    for high, low in zip(up["lines"], down["lines"], strict=True):
        assert high["tests"] == pytest.approx([1 - each for each in low["tests"]])
    assert up["lines"][1]["against"]["mean"] == pytest.approx(-down["lines"][1]["against"]["mean"])
    assert up["lines"][1]["against"]["p_wilcoxon"] == down["lines"][1]["against"]["p_wilcoxon"]
    assert up["loss"] == down["loss"]
    assert "higher is better" in reports["accuracy"].tables()[0].title


def test_a_training_keeps_its_best_weights_by_the_metric():
    report = lf.train(
        "breast_cancer", None, "linear", metric="f1", steps=60, check_every=10, progress=False
    )
    curve = [score for _, score in report.result["curve"]]
    assert report.result["valid"] == max(curve)
    assert 0.8 < report.result["test"] <= 1


def test_a_metric_of_one_s_own_is_what_a_search_optimizes(tmp_path):
    own = OwnMetric(positives, maximize=True)
    report = lf.search(
        "random", "breast_cancer", "linear", metric=own, out=tmp_path / "run", **SMALL
    )
    assert report.result["metric"] == "positives"
    assert 0.5 < report.result["test"] <= 1
    assert report.command() is None
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(LossforgeError, match="metric positives of its own; repeat that call"):
        lf.resume(tmp_path / "run")


def test_a_run_goes_on_with_its_metric(tmp_path):
    lf.search("random", "breast_cancer", "linear", metric="f1", out=tmp_path / "run", **SMALL)
    first = json.loads((tmp_path / "run" / "result.json").read_text())
    (tmp_path / "run" / "result.json").unlink()
    again = lf.resume(tmp_path / "run", progress=False)
    assert again.result | {"seconds": 0} == first | {"seconds": 0}


def test_tasks_must_share_their_metric():
    tasks = [lf.tasks.load("iris").with_metric("f1"), lf.tasks.load("wine")]
    with pytest.raises(ConfigurationError, match="measured by error_rate and f1; give them one"):
        lf.compare(["cross_entropy"], tasks, "linear", progress=False)
    with pytest.raises(ConfigurationError, match="give them one metric"):
        lf.RandomSearch().run(tasks, "linear", 0)


MISTAKES = {
    "unknown": ("f2", "no metric is named 'f2'"),
    "misspelled": ("aurocc", "did you mean 'auroc'"),
    "of values": ("r2", "r2 is no metric for classification; those are"),
    "number": (3, "the metric is a int; give a name"),
    "class": (OwnMetric, "the metric is the class OwnMetric; give an instance"),
    "no direction": (positives, "OwnMetric\\(function, maximize=True\\)"),
    "of no arguments": (OwnMetric(lambda: 0, maximize=True, name="mine"), "the metric mine failed"),
    "returns rows": (
        OwnMetric(lambda outputs, labels: outputs, maximize=True, name="mine"),
        "the metric mine failed",
    ),
    "of scikit-learn, turned round": (
        OwnMetric(lambda outputs, labels: outputs[labels], maximize=True, name="mine"),
        "the metric mine failed",
    ),
    "not a number": (
        OwnMetric(lambda outputs, labels: math.nan, maximize=True, name="mine"),
        "mine is not defined for the validation rows",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["search", "compare", "train"])
def test_mistakes_with_metrics_are_told_before_any_training(mistake, command):
    metric, says = MISTAKES[mistake]
    calls = {
        "search": lambda: lf.search("random", "iris", "linear", metric=metric, progress=False),
        "compare": lambda: lf.compare(["focal"], "iris", "linear", metric=metric, progress=False),
        "train": lambda: lf.train("iris", None, "linear", metric=metric, progress=False),
    }
    with pytest.raises(LossforgeError, match=says) as caught:
        calls[command]()
    assert "\n" not in str(caught.value)


def test_a_metric_that_a_split_does_not_define_is_told():
    task = lf.tasks.load("breast_cancer")
    valid = task.valid.take((task.valid.targets == 0).nonzero().flatten())
    with pytest.raises(DataError, match="auroc is not defined for the validation rows"):
        lf.Task("one class", task.kind, 2, task.train, valid, task.test, measured_by="auroc")
