import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.searching import BaseTraining, make_problems
from lossforge.tasks import load


def test_a_seed_gives_the_same_initialization_and_batches():
    (problem,) = make_problems(load("iris"), "linear")
    first, again, other = (BaseTraining(batch_size=8).setup(problem, seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, first.parameters, again.parameters))
    assert not all(map(torch.equal, first.parameters, other.parameters))
    drawn = [setup.batches().draw()[0] for setup in (first, again, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    # Each call begins the stream anew.
    assert torch.equal(first.batches().draw()[0], drawn[0])


@pytest.mark.parametrize(
    "wrong", [{"learning_rate": 0.0}, {"momentum": 2.0}, {"weight_decay": -1.0}, {"batch_size": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        BaseTraining(**wrong)


def test_tasks_of_one_kind_make_a_problem_each():
    tasks = [load("iris"), load("wine")]
    assert [problem.task for problem in make_problems(tasks, "linear")] == tasks
    with pytest.raises(ConfigurationError, match="one kind"):
        make_problems([load("iris"), load("diabetes")], "linear")
