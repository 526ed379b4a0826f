import copy

import pytest
import torch
from torch import Tensor, nn

import lossforge as lf
from lossforge.errors import ConfigurationError, FileFormatError, UnknownNameError
from lossforge.losses import Focal, LabelSmoothing, ParametricLoss, Poly1, default_loss
from lossforge.losses.parametric import FORMS
from lossforge.losses.storage import from_document, to_document

MADE = {"label_smoothing": LabelSmoothing, "focal": Focal, "poly1": Poly1}


def pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    classes = max(2, shape[1])
    return outputs, torch.randint(classes, (shape[0], *shape[2:]), generator=generator)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("shape", [(6, 4), (6, 1), (2, 3, 5)])
def test_it_is_the_handcrafted_loss_of_its_number(name, shape):
    loss = ParametricLoss(name, start=0.3).double()
    outputs, labels = pair(shape)
    torch.testing.assert_close(
        loss(outputs, labels), MADE[name](0.3)(outputs, labels), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_rate_is_a_factor_on_the_default_loss(kind):
    loss = ParametricLoss("rate", kind, start=2.5)
    outputs, labels = pair((6, 3))
    targets = labels if kind == "classification" else outputs.flip(0)
    torch.testing.assert_close(loss(outputs, targets), 2.5 * default_loss(kind)(outputs, targets))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("shape", [(6, 4), (6, 1), (2, 3, 5)])
def test_its_derivatives_by_outputs_and_number_are_right(name, shape):
    loss = ParametricLoss(name).double()
    outputs, labels = pair(shape)

    def value(outputs: Tensor, raw: Tensor) -> Tensor:
        return torch.func.functional_call(loss, {"raw": raw}, (outputs, labels))

    places = outputs.requires_grad_(), loss.raw.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(value, places)
    assert torch.autograd.gradgradcheck(value, places)


def test_positions_that_do_not_count_add_nothing():
    outputs, labels = pair((2, 3, 5))
    labels[0, :2] = -100
    counts = labels != -100
    loss = ParametricLoss("label_smoothing").double()
    rows = outputs.movedim(1, -1)[counts]
    torch.testing.assert_close(loss(outputs, labels), loss(rows, labels[counts]))


@pytest.mark.parametrize("name", FORMS)
def test_it_is_saved_and_loaded(name, tmp_path):
    loss = ParametricLoss(name)
    nn.init.constant_(loss.raw, -0.37)
    lf.save(loss, tmp_path / "loss.json")
    again = lf.load(tmp_path / "loss.json")
    outputs, labels = pair((6, 3))
    assert torch.equal(again(outputs, labels), loss(outputs, labels))
    assert str(again) == str(loss)
    assert copy.deepcopy(again).numbers() == loss.numbers()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"form": "nothing"}, {"raw": "x"}, {"raw": None}, {"color": 1}, {"kind": "regression"}),
        *({"raw": 10**400}, {"raw": 1e308}, {"raw": float("nan")}),
    ],
)
def test_damaged_files_are_refused(wrong):
    document = to_document(ParametricLoss("focal")) | wrong
    with pytest.raises(FileFormatError):
        from_document(document, "the file")


def test_mistakes_are_told():
    with pytest.raises(UnknownNameError, match="did you mean 'focal'"):
        ParametricLoss("focall")
    with pytest.raises(ConfigurationError, match="for classification"):
        ParametricLoss("focal", "regression")
    for name, start in (("label_smoothing", 1.0), ("label_smoothing", 0.0), ("poly1", -1.0)):
        with pytest.raises(ConfigurationError, match="must be"):
            ParametricLoss(name, start=start)
