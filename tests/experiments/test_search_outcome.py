"""What a search's result holds: of one task as it is, of several their means and a row for each."""

import pytest

from lossforge.experiments.arguments import as_task
from lossforge.experiments.closing import Contender, Contenders
from lossforge.experiments.search_outcome import TaskOutcome, closing_result
from lossforge.losses import CrossEntropy
from lossforge.searching import SearchResult

FOUND = SearchResult(CrossEntropy(), 0.25, 12)


def outcome(task: str, learned: float, default: float, metric: str | None = None) -> TaskOutcome:
    """Return an outcome on a task, by the costs under two losses."""

    def contender(name, cost):
        return Contender(name, 0.01, (cost, cost), (cost, cost + 0.1))

    both = contender("learned", learned), contender("cross_entropy", default)
    contenders = Contenders(*both, None, ())
    return TaskOutcome(as_task(task, "cpu", metric=metric), contenders, None, 0)


def test_one_task_has_no_list_of_tasks():
    result = closing_result([outcome("iris", 0.1, 0.3)], FOUND, 0.01)
    assert "tasks" not in result
    assert (result["outputs"], result["metric"]) == (3, "error_rate")
    assert (result["valid"], result["baseline"]["valid"]) == (0.1, 0.3)
    assert result["recommended"]["name"] == "learned"


def test_of_several_tasks_metrics_are_means_and_each_has_a_row():
    both = [outcome("iris", 0.1, 0.3), outcome("wine", 0.5, 0.2)]
    result = closing_result(both, FOUND, 0.01)
    assert result["valid"] == pytest.approx(0.3)
    assert result["test"] == pytest.approx(0.35)
    assert result["tests"] == pytest.approx([0.3, 0.4])
    assert result["baseline"]["tests"] == pytest.approx([0.25, 0.35])
    assert [row["task"] for row in result["tasks"]] == ["iris", "wine"]
    recommended = [row["recommended"]["name"] for row in result["tasks"]]
    assert recommended == ["learned", "cross_entropy"]
    assert not {"rivals", "recommended", "outputs"} & set(result)


def test_a_row_is_what_a_search_on_that_task_alone_would_have():
    both = [outcome("iris", 0.1, 0.3), outcome("wine", 0.5, 0.2)]
    alone = closing_result(both[1:], FOUND, 0.01)
    row = closing_result(both, FOUND, 0.01)["tasks"][1]
    assert {key: alone[key] for key in row if key != "task"} == {
        key: value for key, value in row.items() if key != "task"
    }


def test_values_are_of_the_metric_where_more_is_better():
    result = closing_result([outcome("iris", 0.1, 0.3, "accuracy")] * 2, FOUND, 0.01)
    assert result["maximized"] is True
    assert result["valid"] == pytest.approx(0.9)
