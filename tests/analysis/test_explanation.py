"""Explanations say what is known of known losses, warn of bad ones, and are plain data."""

import json
from dataclasses import replace

import pytest
from torch import Tensor

from lossforge.analysis.explanation import explain
from lossforge.analysis.plots import draw_portrait
from lossforge.errors import ConfigurationError
from lossforge.losses import (
    ADALFL_NETWORK,
    HANDCRAFTED,
    CrossEntropy,
    LabelSmoothing,
    Loss,
    NeuralLoss,
    SymbolicLoss,
    SymmetricCrossEntropy,
    taylor_loss,
)

EVERY = [
    *(loss() for loss in HANDCRAFTED.values()),
    NeuralLoss(ADALFL_NETWORK),
    NeuralLoss(replace(ADALFL_NETWORK, residual=True)),
    NeuralLoss(ADALFL_NETWORK, kind="regression"),
    taylor_loss([0.1, 0.2, -1.0, 0.3, 0.1, -2.0, 0.1, 0.2]),
    SymbolicLoss("1"),
    SymbolicLoss("log(y - p)", kind="regression"),
    SymbolicLoss("-y*log(p)", softplus=True),
]


@pytest.mark.parametrize("loss", EVERY, ids=str)
def test_any_loss_can_be_explained(loss):
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    found = explain(loss, classes=4)
    assert json.loads(json.dumps(found.document(), allow_nan=False))["kind"] == loss.kind.name
    assert all(label and sentence for label, sentence in found.lines())
    after = loss.state_dict()
    assert all((after[key] == before[key]).all() for key in before)
    assert all(after[key].dtype == before[key].dtype for key in before)


class Norm(Loss):
    """A user's loss that is no sum over the outputs and cannot be saved."""

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.kind.name == "classification":
            margins = outputs - outputs.gather(1, targets[:, None])
            return margins.relu().logsumexp(1)
        return (outputs - targets).square().sum(1).add(1e-6).sqrt()

    def definition(self) -> dict[str, object]:
        raise NotImplementedError

    def __str__(self) -> str:
        return "norm"


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_loss_that_is_not_elementwise_is_explained_and_drawn(kind, tmp_path):
    found = explain(Norm(kind), classes=4)
    assert found.kind.name == kind
    assert found.matches[0].residual < 0.7
    assert all(picture.exists() for picture in draw_portrait(Norm(kind), tmp_path, classes=4))


@pytest.mark.parametrize("loss", [loss() for loss in HANDCRAFTED.values()], ids=str)
def test_handcrafted_losses_deserve_no_warning_but_of_their_scale(loss):
    assert all("times as large as usual" in warning for warning in explain(loss).warnings)


@pytest.mark.parametrize(
    ("text", "kind", "warning"),
    [
        ("y*log(p)", "classification", "wrong way"),
        ("-square(y - p)", "regression", "wrong way for errors"),
        ("1", "classification", "nothing is learned"),
        ("min(abs(y - p), 0.5)", "regression", "flat for errors from 0.5"),
        ("-100*y*log(p)", "classification", "multiply the learning rate by 0.01"),
        ("square(y - p)*square(y - p)", "regression", "explode"),
        ("y*p", "classification", "not calibrated"),
        ("-y*log(p)", "classification", "below 0.0001 it pulls less than half as much as cross"),
        ("-y*log(p*p)", "classification", "below 0.01 it pulls less than half as much as cross"),
    ],
)
def test_bad_losses_are_warned_of(text, kind, warning):
    warnings = explain(SymbolicLoss(text, kind=kind)).warnings
    assert any(warning in told for told in warnings), warnings


def test_smoothing_is_told_in_words():
    told = dict(explain(LabelSmoothing(0.2)).lines())
    assert "label smoothing of 0.2" in told["when certain"]
    assert told["calibrated"].startswith("yes")


def test_the_formula_comes_with_its_latex():
    assert explain(SymbolicLoss("-y*log(p)")).latex == r"-y \, \log\left|p\right|"
    assert explain(CrossEntropy()).latex is None


def test_two_classes_are_the_least():
    with pytest.raises(ConfigurationError, match="classes must be at least 2"):
        explain(CrossEntropy(), classes=1)


def test_ties_are_told_as_ties():
    told = dict(explain(SymmetricCrossEntropy(alpha=1.0, beta=0.5)).lines())
    assert told["nearest"].startswith("symmetric_cross_entropy:alpha=1,beta=0.5, 100.0%")
    assert "as well as poly1:epsilon=2" in told["nearest"]
    assert not told["then"].startswith("poly1")
    assert "as well as" not in dict(explain(LabelSmoothing(0.2)).lines())["nearest"]


def test_a_mixture_is_told():
    loss = SymbolicLoss("-3*y*log(p) - 0.5*y*square(1 - p)*log(p)")
    told = dict(explain(loss).lines())
    assert told["mixture"].startswith("3·cross_entropy + 0.5")
    assert "mixture" not in dict(explain(LabelSmoothing(0.2)).lines())


def test_confident_mistakes_are_told_beside_the_nearest_loss():
    told = dict(explain(SymbolicLoss("-y*log(p + 0.01)")).lines())["at mistakes"]
    assert "less than 0.02" in told
    assert "with those, the nearest is" in told
    told = dict(explain(CrossEntropy()).lines())["at mistakes"]
    assert told.endswith("cross_entropy is 100.0% of its gradient")
    assert "at mistakes" not in dict(explain(SymbolicLoss("abs(y - p)", kind="regression")).lines())
