"""A card is made from runs: every figure is the runs' own."""

import shlex

import pytest

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import ConfigurationError, RunError
from lossforge.experiments import open_run
from lossforge.zoo import make_card

TINY = ["--population", "6", "--generations", "1", "--meta-steps", "2", "--fitness-steps", "10"]
TINY += ["--filter-steps", "5", "--compare-seeds", "2", "--compare-steps", "10", "--rivals"]
RIVALS = ["cross_entropy", "label_smoothing:smoothing=0.1"]
SHORT = ["--model", "linear", "--steps", "10", "--check-every", "5", "--seeds", "3"]
SHORT += ["--tune", "all", "--factors", "1", "3", "--tuning-seeds", "1", "--quiet"]
TASKS = ["wine", "breast_cancer", "iris"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    search = ["search", "evomal", "--task", "iris", "--model", "linear", "--seed", "1", "--quiet"]
    assert main([*search, *TINY, "--out", str(folder / "search")]) == 0
    losses = [str(folder / "search" / "loss.json"), *RIVALS]
    compare = ["compare", "--losses", *losses, "--task", *TASKS, *SHORT]
    assert main([*compare, "--out", str(folder / "compare")]) == 0
    return folder


def test_every_figure_is_the_runs_own(runs):
    card = make_card("evomal-iris", runs / "search", [runs / "compare"])
    found, compared = open_run(runs / "search").result, open_run(runs / "compare").result
    assert card.origin.test == found["tuned"]["test"]
    assert card.formula == found["loss"]
    assert (card.origin.seed, card.origin.task, card.classes) == (1, "iris", 3)
    assert [check.task for check in card.checks] == TASKS
    for check in card.checks:
        lines = [line for line in compared["lines"] if line["task"] == check.task]
        own = next(line for line in lines if line["tuned"] and line["loss"] not in RIVALS)
        assert (check.test, check.rate) == (own["test"], own["learning_rate"])
        assert check.difference == pytest.approx(own["against"]["mean"])
        assert own["against"]["rival"].startswith(check.rival)
        rivals = [line for line in lines if line["tuned"] and line["loss"] in RIVALS]
        best = min(rivals, key=lambda line: line["valid"])
        assert (check.rival, check.rival_test) == (best["loss"], best["test"])


def test_the_commands_name_the_loss_by_its_name_in_the_zoo(runs):
    words = shlex.split(make_card("a-name", runs / "search", [runs / "compare"]).check_command)
    assert words[:6] == ["lossforge", "compare", "--losses", "zoo:a-name", *RIVALS]
    assert not [word for word in words if str(runs) in word]


def test_what_does_not_fit_is_told(runs, tmp_path):
    with pytest.raises(RunError, match="is no search"):
        make_card("a", runs / "compare", [runs / "compare"])
    with pytest.raises(RunError, match="is no comparison"):
        make_card("a", runs / "search", [runs / "search"])
    lf.compare(RIVALS, "iris", "linear", seeds=2, steps=5, out=tmp_path / "b", progress=False)
    with pytest.raises(RunError, match="does not compare that loss"):
        make_card("a", runs / "search", [tmp_path / "b"])
    with pytest.raises(ConfigurationError, match="needs checks on 2 tasks"):
        make_card("a", runs / "search", [])
    losses = [runs / "search" / "loss.json", *RIVALS]
    untuned = {"seeds": 2, "steps": 5, "out": tmp_path / "c", "progress": False}
    lf.compare(losses, ["iris", "wine"], "linear", **untuned)
    with pytest.raises(RunError, match="--tune all"):
        make_card("a", runs / "search", [tmp_path / "c"])
