"""Learning rates that adapt by the gradient of a validation loss."""

import copy
import json

import pytest
import torch
from torch import nn

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import LossforgeError
from lossforge.losses import CrossEntropy
from lossforge.methods import AdaLFL
from lossforge.methods.adapting_rates import AdaptingRates
from lossforge.methods.adaptive import AdaptiveNumber
from lossforge.methods.training_config import TrainingConfig
from lossforge.randomness import torch_generator
from lossforge.tasks import Batches, Split, load
from lossforge.training.full import Recipe

STEP = 1e-5


def rows(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (12,), generator=generator)
    return torch.randn(12, 4, generator=generator, dtype=torch.double), labels


def begun(recipe: Recipe, **options) -> AdaptingRates:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    valid = Batches(Split(*rows(2), torch.arange(12)), 12, torch_generator(0, "adapt"))
    settings = AdaptiveNumber(**options)
    return AdaptingRates(
        recipe.make_trainee(network), CrossEntropy(), CrossEntropy(), valid, settings, 1
    )


RECIPES = {
    "sgd": Recipe(learning_rate=0.3),
    "adam": Recipe(learning_rate=0.05, optimizer="adam"),
    "clipped": Recipe(learning_rate=0.3, clip_norm=0.1),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_gradient_agrees_with_central_differences(recipe):
    def outcome(layer: int, log: float) -> float:
        objective = begun(RECIPES[recipe], meta_learning_rate=1e-30)
        objective.step(rows(1))
        with torch.no_grad():
            objective._logs = objective._logs.double()
            objective._logs[layer] = log
        objective._learn = lambda moved: None
        objective.step(rows(5))
        inputs, targets = rows(2)
        return CrossEntropy()(objective._trainee.module(inputs), targets).item()

    objective = begun(RECIPES[recipe], meta_learning_rate=1e-30)
    assert objective.layers == ["0", "2"]
    objective.step(rows(1))
    objective.step(rows(5))
    for layer in range(2):
        expected = (outcome(layer, STEP) - outcome(layer, -STEP)) / (2 * STEP)
        assert abs(expected) > 1e-5
        assert objective._logs.grad[layer].item() == pytest.approx(expected, rel=1e-4)


def test_factors_of_one_leave_training_as_it_is_without():
    recipe = RECIPES["sgd"]
    objective = begun(recipe, meta_learning_rate=1e-30)
    plain = copy.deepcopy(objective._trainee.module)
    optimizer = recipe.make_optimizer(plain.parameters())
    for seed in (1, 5, 7):
        objective.step(rows(seed))
        optimizer.zero_grad()
        inputs, targets = rows(seed)
        nn.functional.cross_entropy(plain(inputs), targets).backward()
        optimizer.step()
    for found, expected in zip(
        objective._trainee.module.parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_a_factor_is_one_on_the_learning_rate():
    twice, plain = begun(RECIPES["sgd"], start=2.0), begun(Recipe(learning_rate=0.6))
    for objective in (twice, plain):
        objective.step(rows(1))
    for found, expected in zip(
        twice._trainee.module.parameters(), plain._trainee.module.parameters(), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_rates_that_are_too_small_rise_layer_by_layer():
    objective = begun(Recipe(learning_rate=1e-3), meta_learning_rate=0.05)
    for seed in range(30):
        objective.step(rows(seed % 2))
    found = objective.numbers()
    assert min(found.values()) > 1.5
    assert len(set(found.values())) == 2
    assert [step for step, _ in objective.moments] == list(range(30))


def test_a_restored_training_ends_as_one_that_was_not_interrupted():
    def training():
        config = TrainingConfig(
            "adaptive:layer_rates", Recipe(steps=20, check_every=10), AdaLFL(record_every=5)
        )
        return config.begin(load("iris"), "mlp:width=8", 0, None)

    whole, saved = training(), []
    whole.run(lambda: saved.append(whole.state()), lambda *told: None)
    resumed = training()
    resumed.restore(saved[0])
    resumed.run(lambda: None, lambda *told: None)
    assert resumed.objective.numbers() == whole.objective.numbers()
    assert resumed.objective.moments == whole.objective.moments


def test_the_program_trains_and_compares_under_them(tmp_path, capsys):
    words = ["--task", "iris", "--model", "linear", "--steps", "60"]
    loss = "adaptive:layer_rates:meta_learning_rate=0.1"
    assert main(["train", "--loss", loss, *words, "--out", f"{tmp_path}/a"]) == 0
    assert "learned: layer " in capsys.readouterr().out
    moments = json.loads((tmp_path / "a/adaptation.json").read_text())["moments"]
    assert [moment["step"] for moment in moments] == [0, 50]
    report = lf.compare(
        ["cross_entropy", "adaptive:layer_rates"], "iris", "linear", seeds=2, steps=20,
        tune="handcrafted", factors=(1.0,), tuning_seeds=1, progress=False,
    )  # fmt: skip
    names = [line["loss"] for line in report.result["lines"]]
    assert names.count("adaptive:layer_rates") == 1


@pytest.mark.parametrize("options", ["meta_learning_rate=0", "every=0", "start=-1", "speed=3"])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(LossforgeError):
        lf.train("iris", f"adaptive:layer_rates:{options}", "linear", steps=2, progress=False)


def test_regression_too_has_rates():
    report = lf.train("diabetes", "adaptive:layer_rates", "linear", steps=5, progress=False)
    assert len(report.result["learned"]) == 1
