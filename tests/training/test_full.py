import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.losses import CrossEntropy, SymbolicLoss
from lossforge.models import initialize, resolve
from lossforge.tasks import load
from lossforge.training.full import FixedLoss, FullTraining, Recipe, evaluate

SMALL = {"steps": 60, "check_every": 20, "learning_rate": 0.1}


def begin(recipe: Recipe, loss=None, seed: int = 0) -> tuple[FullTraining, nn.Module]:
    task = load("iris")
    module = initialize(resolve("mlp:width=8,depth=1", task), seed)
    trainee = recipe.make_trainee(module)
    objective = FixedLoss(trainee, loss or CrossEntropy())
    return FullTraining(recipe, task, trainee, objective, seed), module


def run(training: FullTraining):
    return training.run(lambda: None, lambda *_: None)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "multistep"])
def test_a_network_learns(optimizer, schedule):
    rate = 0.1 if optimizer == "sgd" else 0.02
    training, _ = begin(
        Recipe(**SMALL | {"optimizer": optimizer, "schedule": schedule, "learning_rate": rate})
    )
    outcome = run(training)
    assert outcome.test < 0.4
    assert [step for step, _ in outcome.curve] == [20, 40, 60]
    assert outcome.valid == min(score for _, score in outcome.curve)


def test_schedules():
    cosine = Recipe(steps=100, learning_rate=0.2, schedule="cosine")
    assert [cosine.rate(s) for s in (0, 50, 100)] == pytest.approx([0.2, 0.1, 0.0])
    steps = Recipe(steps=100, learning_rate=0.2, schedule="multistep")
    assert [steps.rate(s) for s in (0, 49, 50, 74, 75)] == pytest.approx(
        [0.2, 0.2, 0.02, 0.02, 0.002]
    )


def test_the_best_weights_are_tested_and_otherwise_the_last():
    best, best_module = begin(Recipe(**SMALL | {"learning_rate": 0.9}))
    outcome = run(best)
    trainee = Recipe().make_trainee(best_module)
    assert evaluate(trainee, load("iris").valid, load("iris")) == pytest.approx(outcome.valid)
    assert evaluate(trainee, load("iris").test, load("iris")) == pytest.approx(outcome.test)
    last, _ = begin(Recipe(**SMALL | {"learning_rate": 0.9, "keep_best": False}))
    outcome = run(last)
    assert outcome.valid == outcome.curve[-1][1]


def test_patience_stops_early():
    training, _ = begin(Recipe(steps=2000, check_every=1, learning_rate=1e-9, patience=3))
    assert len(run(training).curve) == 4


def test_divergence_is_an_outcome():
    training, _ = begin(Recipe(**SMALL), SymbolicLoss("1e20*square(square(p - y))"))
    outcome = run(training)
    assert outcome.failure
    assert outcome.test == outcome.valid == float("inf")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_restored_training_ends_like_an_uninterrupted_one(optimizer):
    recipe = Recipe(**SMALL | {"optimizer": optimizer, "schedule": "cosine"})
    whole, module = begin(recipe)
    states = []
    expected = whole.run(lambda: states.append(whole.state()), lambda *_: None)
    for state in states[:-1]:
        again, other = begin(recipe, seed=0)
        again.restore(state)
        assert run(again) == expected
        for a, b in zip(module.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_test_rows_are_looked_at_once_and_last(monkeypatch):
    looked = []
    real = evaluate

    def spy(trainee, split, task):
        looked.append("test" if split is task.test else "valid")
        return real(trainee, split, task)

    monkeypatch.setattr("lossforge.training.full.evaluate", spy)
    training, _ = begin(Recipe(**SMALL))
    run(training)
    assert looked == ["valid"] * 3 + ["test"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"check_every": 0},
        {"learning_rate": 0.0},
        {"momentum": 0.0},
        {"weight_decay": -1.0},
        {"milestones": (0.5, 1.5)},
        {"clip_norm": 0.0},
        {"patience": -1},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        Recipe(**wrong)


@pytest.mark.parametrize("steps", [20, 101, 1000])
def test_one_cycle_is_that_of_pytorch(steps):
    recipe = Recipe(steps=steps, learning_rate=0.3, schedule="one_cycle")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.3)
    peer = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, steps, cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < steps:
            peer.step()
    assert [recipe.rate(step) for step in range(steps)] == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_cycle_of_few_steps_has_rates_that_can_be_used(steps):
    recipe = Recipe(steps=steps, learning_rate=0.3, schedule="one_cycle")
    assert all(0 < recipe.rate(step) <= 0.3 for step in range(steps))


def test_sgd_has_the_numbers_of_its_plain_loop():
    """In one pass over all tensors, or in a loop over them: a result must not depend on it."""
    recipe = Recipe(momentum=0.9, nesterov=True, weight_decay=5e-4)
    reached = []
    for foreach in (None, False):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(7, 33), nn.ReLU(), nn.Linear(33, 5))
        optimizer = recipe.make_optimizer(module.parameters())
        if foreach is not None:
            optimizer.param_groups[0]["foreach"] = foreach
        for _ in range(20):
            optimizer.zero_grad()
            module(torch.randn(16, 7)).square().mean().backward()
            optimizer.step()
        reached.append([parameter.detach().clone() for parameter in module.parameters()])
    for ours, plain in zip(*reached, strict=True):
        assert torch.equal(ours, plain)
