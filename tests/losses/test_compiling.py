"""What PyTorch records of a loss holds for other labels; what it cannot record is refused."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.losses import HANDCRAFTED, Loss, NeuralLoss, SymbolicLoss

CLASSIFICATION = [
    *(kind() for kind in HANDCRAFTED.values() if kind.of_kind == "classification"),
    SymbolicLoss("-2*y*log(p) + abs(y - p)"),
    NeuralLoss(),
]


def batch(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=draws), torch.randint(0, 3, (rows,), generator=draws)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", CLASSIFICATION, ids=str)
def test_a_trace_holds_for_other_labels(loss: Loss):
    traced = torch.jit.trace(loss, batch(8, 0), check_trace=False)
    outputs, labels = batch(8, 1)
    labels[::3] = loss.ignore_index
    assert traced(outputs, labels).item() == pytest.approx(loss(outputs, labels).item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", CLASSIFICATION, ids=str)
def test_an_export_holds_for_other_labels(loss: Loss):
    exported = torch.export.export(loss, batch(8, 0)).module()
    outputs, labels = batch(8, 1)
    labels[::3] = loss.ignore_index
    assert exported(outputs, labels).item() == pytest.approx(loss(outputs, labels).item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", CLASSIFICATION[-3:], ids=str)
def test_scripting_is_refused_with_what_to_do_instead(loss: Loss):
    with pytest.raises(ConfigurationError, match=r"torch.jit.script cannot compile losses; use"):
        torch.jit.script(loss)


@pytest.mark.parametrize("loss", CLASSIFICATION, ids=str)
def test_classes_that_are_ruled_out_leave_the_loss_finite(loss: Loss):
    if loss.is_separable and str(loss).startswith(("label_smoothing", "squared_outputs")):
        pytest.skip("it is infinite by its definition, as in PyTorch")
    outputs = torch.tensor([[-torch.inf, 0.0, 1.0], [0.5, 0.0, 1.0]], requires_grad=True)
    value = loss(outputs, torch.tensor([1, 2]))
    (slope,) = torch.autograd.grad(value, outputs)
    assert value.isfinite()
    assert slope.isfinite().all()
    without = loss(outputs[:1, 1:], torch.tensor([0])).item()
    if str(loss) in ("cross_entropy", "focal:gamma=2"):
        assert loss(outputs[:1], torch.tensor([1])).item() == pytest.approx(without)
