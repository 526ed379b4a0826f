"""Searches from Python: what is chosen and recommended, and that several tasks find one loss."""

from statistics import fmean

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.experiments import SearchReport
from lossforge.experiments.closing import Closing
from lossforge.experiments.search_run import copies_weights, weighted_like
from lossforge.methods import EvoMAL
from lossforge.searching import Calibrated, RatedLoss
from lossforge.tasks import load


def test_the_front_trades_size_against_fitness(searched):
    front = searched.result["front"]
    sizes = [member["size"] for member in front]
    fitness = [member["fitness"] for member in front]
    assert sizes == sorted(set(sizes))
    assert fitness == sorted(fitness, reverse=True)


def test_the_loss_is_the_one_that_is_told(searched):
    assert str(searched.loss) == searched.result["loss"]
    assert searched.recommended["name"] in ("learned", *(each["name"] for each in searched.rivals))


def test_nothing_that_was_found_is_better_on_validation_data_than_what_is_recommended(searched):
    offered = [*searched.rivals, searched.recommended]
    valid = [each["valid"] for each in offered if each.get("valid") is not None]
    assert searched.recommended["valid"] == min(valid)


TWO = {"population": 4, "generations": 1, "meta_steps": 2, "fitness_steps": 6}
TWO |= {"filter_steps": 10, "compare_seeds": 2, "compare_steps": 5, "rival_steps": 6}


@pytest.fixture(scope="module")
def on_two(tmp_path_factory) -> SearchReport:
    out = tmp_path_factory.mktemp("two") / "run"
    return lf.search("evomal", ["iris", "wine"], "linear", out=out, progress=False, **TWO)


def test_several_tasks_find_one_loss_and_each_is_compared(on_two):
    result = on_two.result
    assert result["task"] == "iris,wine"
    assert [row["task"] for row in result["tasks"]] == ["iris", "wine"]
    for part in ("valid", "test"):
        assert result[part] == pytest.approx(fmean(row[part] for row in result["tasks"]))
    assert [each.name for each in on_two.tasks] == ["iris", "wine"]
    for each in on_two.tasks:
        assert each.rivals[0]["name"] == "cross_entropy"
        assert each.result["loss"] == result["loss"] == str(on_two.loss)
        assert each.result["calibration"]["training steps"] > 0


@pytest.fixture(scope="module")
def alone() -> SearchReport:
    return lf.search("evomal", "wine", "linear", progress=False, **TWO)


def test_each_task_is_calibrated_as_it_is_alone(on_two, alone):
    assert (
        on_two.on("wine").result["calibration"]["losses"] == (alone.result["calibration"]["losses"])
    )


def test_the_search_is_that_of_the_method_on_both_tasks(on_two):
    searched = {name: TWO[name] for name in ("population", "generations")}
    searched |= {name: TWO[name] for name in ("meta_steps", "fitness_steps", "filter_steps")}
    method = lf.EvoMAL.preset("quick").with_options(**searched)
    found = method.run(["iris", "wine"], "linear", 0, progress=False)
    assert str(found.loss) == on_two.result["loss"]


def test_what_is_said_of_several_tasks_names_them(on_two):
    titles = [table.title for table in on_two.tables()]
    assert sum(" on iris " in title for title in titles) == 2
    assert sum(" on wine " in title for title in titles) == 2
    assert [line.split(",")[0] for line in on_two.verdict().splitlines()] == ["on iris", "on wine"]
    assert len(on_two.recommendation().splitlines()) == 2
    assert {row["task"] for row in on_two.rows()} == {"iris", "wine"}
    assert "iris" in (page := (on_two.path / "report.html").read_text())
    assert "On iris: Use" in page
    assert "iris: one dot a network" in page
    assert on_two.command().startswith("lossforge search evomal --task iris wine ")


def test_what_only_one_task_has_is_asked_for_by_its_name(on_two):
    with pytest.raises(ConfigurationError, match=r'report\.on\("iris"\)'):
        _ = on_two.recommended
    with pytest.raises(UnknownNameError, match="did you mean 'wine'"):
        on_two.on("wien")


def test_a_search_on_several_tasks_goes_on(on_two, tmp_path, monkeypatch):
    closed, close = [], Closing.__call__

    def stop_at_second(self, *arguments):
        closed.append(self)
        if len(closed) == 2:
            raise KeyboardInterrupt
        return close(self, *arguments)

    monkeypatch.setattr(Closing, "__call__", stop_at_second)
    with pytest.raises(KeyboardInterrupt, match="lossforge resume"):
        lf.search("evomal", ["iris", "wine"], "linear", out=tmp_path / "run", progress=False, **TWO)
    monkeypatch.undo()
    resumed = lf.resume(tmp_path / "run", progress=False)
    assert resumed.result | {"seconds": 0} == on_two.result | {"seconds": 0}


def test_a_list_of_one_task_is_that_task(alone):
    again = lf.search("evomal", ["wine"], "linear", progress=False, **TWO)
    assert again.result | {"seconds": 0} == alone.result | {"seconds": 0}
    assert again.run.config == alone.run.config


def test_candidates_take_over_the_weights_of_the_best_handcrafted_loss():
    task = load("breast_cancer").with_metric("f1")

    def calibrated(name: str) -> Calibrated:
        best, other = (RatedLoss(each, 0.1, 10, (0.1,)) for each in (name, "cross_entropy"))
        return Calibrated((best, other), other, other)

    method = EvoMAL.preset("quick")
    assert method.class_weights == "rival"
    for name, weights in (
        ("cross_entropy:weight=balanced", "balanced"),
        ("focal:gamma=2,weight=balanced", "balanced"),
        ("cross_entropy:weight=root", "root"),
        ("label_smoothing:smoothing=0.1", "none"),
    ):
        assert weighted_like(method, calibrated(name), task).class_weights == weights
    assert weighted_like(method, None, task).class_weights == "none"
    own = method.with_options(class_weights="root")
    assert weighted_like(own, calibrated("cross_entropy:weight=balanced"), task) is own
    plain = load("breast_cancer")
    assert not copies_weights(method, plain)
    assert weighted_like(method, calibrated("cross_entropy"), plain) is method


def test_weights_that_count_the_classes_of_one_task_are_refused_for_several_before_any_training():
    with pytest.raises(ConfigurationError, match="class_weights balanced counts the classes"):
        lf.search("evomal", ["iris", "wine"], "linear", class_weights="balanced", progress=False)
