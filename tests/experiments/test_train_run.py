"""One training from Python: weights by validation data, the report, and what it is told."""

import json

import pytest
import torch
import torch.nn.functional as F

import lossforge as lf
from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

SMALL = {"steps": 60, "check_every": 20, "progress": False}


@pytest.fixture(scope="module")
def report():
    return lf.train("iris", "focal:gamma=1", "mlp:width=8", seed=1, **SMALL)


def test_the_result_is_that_of_the_weights_that_validation_chose(report):
    history = report.rows()
    best = min(history, key=lambda row: row["valid"])
    assert report.result["valid"] == best["valid"]
    assert report.result["step"] in [
        row["step"] for row in history if row["valid"] == best["valid"]
    ]
    test = lf.tasks.load("iris").test
    with torch.no_grad():
        wrong = report.network(test.inputs).argmax(1) != test.targets
    assert report.result["test"] == pytest.approx(wrong.double().mean().item())


def test_the_default_loss_is_the_task_s():
    assert lf.train("iris", model="linear", **SMALL).result["loss"] == "cross_entropy"
    assert lf.train("diabetes", model="linear", **SMALL).result["loss"] == "mse"


def test_a_network_may_be_a_factory_and_a_task_an_object():
    def build():
        return torch.nn.Linear(4, 3)

    report = lf.train(lf.tasks.load("iris"), "cross_entropy", build, **SMALL)
    with torch.no_grad():
        test = lf.tasks.load("iris").test
        assert F.cross_entropy(report.network(test.inputs), test.targets) < 1.2


def test_an_adaptive_loss_is_kept_and_its_adaptation_written(tmp_path):
    adalfl = AdaLFL(warm_up_steps=4, trial_steps=2, record_every=20)
    report = lf.train("iris", "adalfl", "linear", adalfl=adalfl, out=tmp_path / "run", **SMALL)
    assert report.loss.definition() == lf.load(tmp_path / "run").definition()
    written = json.loads((tmp_path / "run" / "adaptation.json").read_text())
    assert written


def test_a_loss_of_another_kind_is_told():
    with pytest.raises(ConfigurationError, match="loss for regression"):
        lf.train("iris", "mse", "linear", **SMALL)
