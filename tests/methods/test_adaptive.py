"""Losses of one number that is learned in training."""

import copy
import json

import pytest
import torch
from torch import nn

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.losses import CalibratedCrossEntropy, CrossEntropy, ParametricLoss
from lossforge.losses.parametric import FORMS
from lossforge.methods import AdaLFL
from lossforge.methods.adaptive import AdaptiveNumber, adaptive_names
from lossforge.methods.training_config import TrainingConfig
from lossforge.tasks import load
from lossforge.training.full import Recipe

EPSILON = 1e-4
TASK_LOSSES = {"plain": CrossEntropy(), "calibrated": CalibratedCrossEntropy()}


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (12,), generator=generator)
    inputs = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    return inputs + nn.functional.one_hot(labels, 4), labels


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.3, momentum=0.9, nesterov=True)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 0.05, eps=0.01)


@pytest.mark.parametrize("task_loss", TASK_LOSSES)
@pytest.mark.parametrize("make", [sgd, adam])
@pytest.mark.parametrize("form", FORMS)
def test_the_hypergradient_agrees_with_central_differences(form, make, task_loss):
    begun, objective = network(), TASK_LOSSES[task_loss]
    loss = ParametricLoss(form, start=0.3).double()
    train, valid = batch(1), batch(2)

    def outcome(raw: float) -> float:
        """Return T after two steps, the first as `loss` has it and the second under `raw`."""
        model, moved = copy.deepcopy(begun), copy.deepcopy(loss)
        optimizer = make(model)
        for step, place in enumerate((loss.raw.item(), raw)):
            nn.init.constant_(moved.raw, place)
            optimizer.zero_grad()
            inputs, targets = batch(5) if step == 0 else train
            moved(model(inputs), targets).backward()
            optimizer.step()
        return objective(model(valid[0]), valid[1]).item()

    settings = AdaLFL(warm_up_steps=0, meta_learning_rate=1e-30)
    model = copy.deepcopy(begun)
    adapt = settings.attach(model, make(model), outputs=3, loss=loss, task_loss=objective)
    adapt.step(batch(5), valid)
    found = adapt.step(train, valid)
    raw = loss.raw.item()
    expected = (outcome(raw + EPSILON) - outcome(raw - EPSILON)) / (2 * EPSILON)
    assert abs(expected) > 1e-6
    assert found.hypergradient[0].item() == pytest.approx(expected, rel=1e-5)
    assert found.task_loss == pytest.approx(outcome(raw), rel=1e-9)


def test_the_loss_that_is_attached_is_a_copy():
    loss, model = ParametricLoss("rate"), network()
    adapt = AdaLFL(meta_learning_rate=0.1).attach(model, sgd(model), loss=loss)
    adapt.step(batch(1), batch(2))
    assert loss.numbers() == {"factor": 1.0}
    assert adapt.loss.numbers() != {"factor": 1.0}


def test_only_a_loss_network_is_warmed_up():
    model = network()
    adapt = AdaLFL().attach(model, sgd(model), loss=ParametricLoss("rate"))
    with pytest.raises(ConfigurationError, match="needs no warm-up"):
        adapt.warm_up([batch(1)], [batch(2)])


def test_losses_that_cannot_be_learned_are_refused():
    model = network()
    with pytest.raises(ConfigurationError, match="no parameters"):
        AdaLFL().attach(model, sgd(model), loss=CrossEntropy())
    with pytest.raises(ConfigurationError, match="for regression"):
        AdaLFL().attach(model, sgd(model), loss=ParametricLoss("rate", "regression"))


def test_names_carry_options():
    settings, loss = AdaptiveNumber.named(
        "adaptive:label_smoothing:meta_learning_rate=0.2,start=0.3", "classification"
    )
    assert settings.meta_learning_rate == 0.2
    assert loss.numbers()["smoothing"] == pytest.approx(0.3)
    assert settings.within(AdaLFL(clip_norm=2.0)).clip_norm == 2.0


@pytest.mark.parametrize(
    "name",
    [
        "adaptive:",
        "adaptive:nothing",
        "adaptive:focal:gamma=2",
        "adaptive:focal:every=0",
        "adaptive:rate:meta_learning_rate=0",
    ],
)
def test_wrong_names_are_told_before_training(name):
    with pytest.raises(LossforgeError):
        lf.train("iris", name, "linear", steps=2, progress=False)


def test_a_form_for_classification_does_not_serve_regression():
    with pytest.raises(ConfigurationError, match="for classification"):
        lf.train("diabetes", "adaptive:focal", "linear", steps=2, progress=False)


@pytest.mark.parametrize("name", adaptive_names())
def test_training_tells_the_number_over_time(name, tmp_path, capsys):
    words = ["--task", "iris", "--model", "linear", "--steps", "60", "--out", f"{tmp_path}/a"]
    assert main(["train", "--loss", name, *words]) == 0
    assert "learned: " in capsys.readouterr().out
    result = json.loads((tmp_path / "a/result.json").read_text())
    ((number, value),) = result["learned"].items()
    moments = json.loads((tmp_path / "a/adaptation.json").read_text())["moments"]
    assert [moment["step"] for moment in moments] == [0, 50]
    assert moments[0]["numbers"][number] == pytest.approx(
        ParametricLoss(name.partition(":")[2]).numbers()[number]
    )
    assert value != moments[0]["numbers"][number]
    assert lf.load(tmp_path / "a").numbers() == {number: pytest.approx(value)}


def test_the_objective_decides_where_the_number_goes():
    def learned(task_loss: str) -> float:
        recipe = Recipe(steps=150, check_every=150, learning_rate=0.1, momentum=0.0, nesterov=False)
        config = TrainingConfig("adaptive:label_smoothing", recipe, AdaLFL(), task_loss=task_loss)
        training = config.begin(load("digits"), "mlp:width=32", 0, None)
        training.run(lambda: None, lambda *told: None)
        return training.objective.adapt.loss.numbers()["smoothing"]

    # Plain cross-entropy punishes unsure predictions, so it undoes what label smoothing does.
    assert learned("cross_entropy") < 0.01
    assert learned("calibrated_cross_entropy") > 0.1
    assert learned("") == learned("calibrated_cross_entropy")


def test_compare_knows_them_by_name():
    report = lf.compare(
        ["cross_entropy", "adaptive:rate"],
        "iris",
        "linear",
        seeds=2,
        steps=20,
        tune="handcrafted",
        factors=(1.0,),
        tuning_seeds=1,
        task_loss="calibrated_cross_entropy",
        progress=False,
    )
    lines = report.result["lines"]
    names = [line["loss"] for line in lines]
    assert names.count("adaptive:rate") == 1  # it is no rival whose rate would be tuned
