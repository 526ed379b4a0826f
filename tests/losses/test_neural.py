import hashlib
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import lossforge as lf
from lossforge.errors import ConfigurationError, FileFormatError
from lossforge.losses import (
    ADALFL_NETWORK,
    ML3_NETWORK,
    Architecture,
    LabelSmoothing,
    NeuralLoss,
    default_loss,
)
from lossforge.losses.neural import smooth_leaky_relu

RESIDUAL = Architecture((4,), "softplus", "smooth_leaky_relu", residual=True)
ARCHITECTURES = [
    ML3_NETWORK,
    ADALFL_NETWORK,
    Architecture((3,), "softplus", "relu", average=True),
    RESIDUAL,
]
SMOOTHED = replace(RESIDUAL, form="label_smoothing")


def draw(architecture: Architecture, seed: int = 1, **options) -> NeuralLoss:
    generator = torch.Generator().manual_seed(seed)
    loss = NeuralLoss(architecture, generator, **options)
    if architecture.residual:
        loss.set_scale(2.5)
        torch.nn.init.normal_(loss.layers[-1], generator=generator)
    return loss


def reference(loss: NeuralLoss, y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """The network written out for one output at a time."""
    functions = {"relu": F.relu, "softplus": F.softplus, "smooth_leaky_relu": smooth_leaky_relu}
    values = torch.empty_like(p)
    for index, (target, prediction) in enumerate(zip(y.flatten(), p.flatten(), strict=True)):
        x = torch.stack([target, prediction])
        for layer in loss.layers[:-1]:
            x = functions[loss.architecture.activation](layer @ x)
        values.view(-1)[index] = functions[loss.architecture.output](loss.layers[-1] @ x)[0]
    values = values.mean(1) if loss.architecture.average else values.sum(1)
    if loss.architecture.residual:
        usual = -y * p.log() if loss.kind.name == "classification" else (y - p) ** 2
        values = values + 2.5 * usual.sum(1)
    return values


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_it_is_a_network_of_each_output(architecture, kind):
    loss = draw(architecture, kind=kind).double()
    outputs = torch.randn(5, 3, dtype=torch.float64)
    if kind == "classification":
        targets = torch.tensor([0, 2, 1, 1, 0])
        y, p = F.one_hot(targets, 3).double(), outputs.softmax(1)
    else:
        targets = y = torch.randn(5, 3, dtype=torch.float64)
        p = outputs
    found = loss.per_example(outputs, targets)
    if kind == "regression":  # each output is a row of its own
        y, p = y.reshape(-1, 1), p.reshape(-1, 1)
    torch.testing.assert_close(found.flatten(), reference(loss, y, p))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_its_curve_is_its_share_of_an_output(kind):
    loss = draw(RESIDUAL, kind=kind).double()
    p = torch.rand(5, 3, dtype=torch.float64).softmax(1)
    y = F.one_hot(torch.tensor([0, 2, 1, 1, 0]), 3).double()
    torch.testing.assert_close(loss.elementwise(y, p).sum(1), reference(loss, y, p))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_residual_loss_begins_as_the_usual_one(kind):
    loss = NeuralLoss(RESIDUAL, kind=kind)
    outputs = torch.randn(6, 3, requires_grad=True)
    targets = torch.randn(6, 3) if kind == "regression" else torch.randint(3, (6,))
    slopes = [
        torch.autograd.grad(one(outputs, targets), outputs)[0] for one in (loss, default_loss(kind))
    ]
    torch.testing.assert_close(*slopes)


def test_a_residual_loss_does_not_give_up_a_class_that_seems_impossible():
    outputs = torch.tensor([[40.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(draw(RESIDUAL)(outputs, torch.tensor([1])), outputs)
    torch.testing.assert_close(slope, torch.tensor([[2.5, -2.5]]))


@pytest.mark.parametrize("shape", [(6, 4), (6, 1), (2, 3, 5)])
def test_a_form_stands_in_the_default_losss_place(shape):
    loss = NeuralLoss(SMOOTHED).double()
    loss.set_scale(3)
    loss.set_number(0.3)
    outputs = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(max(2, shape[1]), (shape[0], *shape[2:]))
    ours, theirs = (
        torch.autograd.grad(value, outputs)[0]
        for value in (loss(outputs, labels), 3 * LabelSmoothing(0.3)(outputs, labels))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    assert loss.numbers() == {"scale": pytest.approx(3), "smoothing": pytest.approx(0.3)}


def test_derivatives_by_the_outputs_and_by_everything_learned_are_right():
    loss = draw(SMOOTHED).double()
    outputs, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    names = list(loss.state_dict())

    def value(outputs: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        learned = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(loss, learned, (outputs, labels))

    places = [outputs, *loss.state_dict().values()]
    places = [place.detach().clone().requires_grad_() for place in places]
    assert "usual.raw" in names
    assert torch.autograd.gradcheck(value, places)
    assert torch.autograd.gradgradcheck(value, places)


def test_a_form_belongs_to_a_residual_loss_and_is_one_that_is_known():
    for wrong in ({"form": "label_smoothing"}, {"form": "x", "residual": True}):
        with pytest.raises(ConfigurationError, match="form must be one of"):
            Architecture(**wrong)
    with pytest.raises(ConfigurationError, match="not regression"):
        NeuralLoss(SMOOTHED, kind="regression")


def test_a_form_is_saved_with_its_number(tmp_path):
    loss = draw(SMOOTHED)
    loss.set_number(0.2)
    lf.save(loss, tmp_path / "loss.json")
    again = lf.load(tmp_path / "loss.json")
    outputs, labels = torch.randn(6, 3), torch.randint(3, (6,))
    assert torch.equal(loss(outputs, labels), again(outputs, labels))
    assert str(again) == str(loss)
    assert str(loss).startswith("2.5 label_smoothing with smoothing=0.2 + network 2-4-1")


def test_the_published_forms():
    assert [tuple(w.shape) for w in draw(ML3_NETWORK).layers] == [(50, 2), (50, 50), (1, 50)]
    assert [tuple(w.shape) for w in draw(ADALFL_NETWORK).layers] == [(40, 2), (40, 40), (1, 40)]
    assert (draw(ML3_NETWORK)(torch.randn(9, 4), torch.zeros(9, dtype=torch.long)) >= 0).all()


def test_smooth_leaky_relu_is_steep_above_and_leaks_below():
    x = torch.tensor([-50.0, 0.0, 50.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(smooth_leaky_relu(x).sum(), x)
    expected = torch.tensor([0.01, 0.505, 1.0], dtype=torch.float64)
    torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_is_saved_and_loaded(architecture, tmp_path):
    loss = draw(architecture, seed=7, kind="regression")
    lf.save(loss, tmp_path / "loss.json")
    again = lf.load(tmp_path / "loss.json")
    outputs, targets = torch.randn(2, 6, 3)
    assert torch.equal(loss(outputs, targets), again(outputs, targets))
    assert str(again) == str(loss)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loss.json", "loss.safetensors"]


def test_damaged_or_foreign_weights_are_refused(tmp_path):
    lf.save(draw(ML3_NETWORK), tmp_path / "loss.json")
    lf.save(draw(ML3_NETWORK, seed=2), tmp_path / "other.json")
    weights = tmp_path / "loss.safetensors"
    content = weights.read_bytes()
    for damaged in (content[:-1], (tmp_path / "other.safetensors").read_bytes(), b""):
        weights.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="damaged or another loss's"):
            lf.load(tmp_path / "loss.json")
    weights.unlink()
    with pytest.raises(FileFormatError, match="missing"):
        lf.load(tmp_path / "loss.json")


@pytest.mark.parametrize("content", [b"not tensors", b""])
def test_weights_that_are_no_tensors_are_refused(tmp_path, content):
    lf.save(draw(ML3_NETWORK), tmp_path / "loss.json")
    old = hashlib.sha256((tmp_path / "loss.safetensors").read_bytes()).hexdigest()
    (tmp_path / "loss.safetensors").write_bytes(content)
    document = (tmp_path / "loss.json").read_text()
    document = document.replace(old, hashlib.sha256(content).hexdigest())
    (tmp_path / "loss.json").write_text(document)
    with pytest.raises(FileFormatError, match="does not fit"):
        lf.load(tmp_path / "loss.json")


def test_impossible_forms_are_refused():
    with pytest.raises(ConfigurationError, match="hidden"):
        Architecture(hidden=())
    with pytest.raises(ConfigurationError, match="hidden"):
        Architecture(hidden=(5, 0))
    with pytest.raises(ConfigurationError, match="activation"):
        Architecture(output="swish")  # type: ignore[arg-type]


def test_weights_follow_the_generator_and_ask_for_no_gradient():
    assert torch.equal(draw(ML3_NETWORK, 3).layers[1], draw(ML3_NETWORK, 3).layers[1])
    assert not torch.equal(draw(ML3_NETWORK, 3).layers[1], draw(ML3_NETWORK, 4).layers[1])
    assert not any(weights.requires_grad for weights in draw(ML3_NETWORK).parameters())
