"""Whatever a person may give as a task becomes one; all else is named."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossforge as lf
from lossforge.errors import ConfigurationError
from lossforge.tasks import load, task_of, tasks_of

DATA = TensorDataset(torch.randn(60, 4), torch.arange(60) % 3)
PAIRS = [DATA[i] for i in range(60)]


@pytest.mark.parametrize(
    "value", [DATA, DataLoader(DATA, 7), PAIRS], ids=lambda v: type(v).__name__
)
def test_data_sets_become_tasks(value):
    task = task_of(value)
    assert task.outputs == 3
    assert len(task.train) == 36


def test_a_tuple_has_the_three_splits():
    task = task_of((DATA, PAIRS[:20], DataLoader(DATA)))
    assert [len(split) for split in (task.train, task.valid, task.test)] == [60, 20, 60]
    assert len(task_of((DATA, PAIRS[:20])).test) == 15


def test_tasks_and_names_stay_what_they_are():
    iris = load("iris")
    assert task_of(iris) is iris
    assert [task.name for task in tasks_of(("iris", iris))] == ["iris", "iris"]
    assert tasks_of(DATA)[0].outputs == 3


@pytest.mark.parametrize("value", [None, 3, torch.zeros(3), {"x": 1}, [], [1, 2], (DATA,), b"iris"])
def test_all_else_is_refused_in_a_line(value):
    with pytest.raises(ConfigurationError) as caught:
        task_of(value)
    assert str(caught.value).startswith(f"the task is a {type(value).__name__}; give a name")
    assert "\n" not in str(caught.value)


def test_every_way_in_takes_data_sets():
    sets = (DATA, DATA, DATA)
    assert lf.train(sets, model="linear", steps=3, progress=False).result["task"] == "dataset"
    method = lf.RandomSearch(population=2, generations=1).with_options(fitness_steps=3)
    found = method.run(DATA, "linear", progress=False)
    assert 0 <= found.valid <= 1
