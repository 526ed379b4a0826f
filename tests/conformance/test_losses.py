"""One suite over every loss: what a training loop may rely on."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import DataError
from lossforge.losses import HANDCRAFTED, Loss, NeuralLoss, SymbolicLoss, taylor_loss
from lossforge.losses.neural import ADALFL_NETWORK, ML3_NETWORK, Architecture
from lossforge.losses.resolve import resolve_loss as resolve_name
from lossforge.tasks.kinds import KINDS, Kind


def residual(kind: str, form: str = "") -> NeuralLoss:
    network = Architecture((4,), "softplus", "softplus", residual=True, form=form)
    loss = NeuralLoss(network, kind=kind)
    loss.set_scale(2)
    nn.init.constant_(loss.layers[-1], 0.5)
    return loss


LOSSES: dict[str, Loss] = {name: make() for name, make in HANDCRAFTED.items()} | {
    "symbolic": SymbolicLoss("-y*log(p)"),
    "symbolic with softplus": SymbolicLoss("aq(p - y, sqrt(p))*tanh(p - y)", softplus=True),
    "symbolic regression": SymbolicLoss("sqrt(abs(0.7*y - p))", kind="regression"),
    "taylor": taylor_loss([0.1, -0.2, 0.3, 1.0, -0.5, 0.6, -0.7, 0.8]),
    "taylor regression": taylor_loss([0.1, 0.2, 0.3, 1.0, 0, -0.6, 0, 0], "regression"),
    "ml3": NeuralLoss(ML3_NETWORK),
    "adalfl": NeuralLoss(ADALFL_NETWORK, kind="regression"),
    "residual": residual("classification"),
    "residual of a form": residual("classification", "label_smoothing"),
    "residual regression": residual("regression"),
}
each = pytest.mark.parametrize("name", LOSSES)


def pair(loss: Loss, shape: tuple[int, ...], scale: float = 1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    outputs = scale * torch.randn(shape, generator=generator, dtype=dtype)
    if loss.kind.name == "regression":
        return outputs, torch.randn(shape, generator=generator, dtype=dtype)
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    return outputs, labels


def reduced(loss: Loss, reduction: str, outputs: Tensor, targets: Tensor) -> Tensor:
    before, loss.reduction = loss.reduction, reduction
    try:
        return loss(outputs, targets)
    finally:
        loss.reduction = before


@each
@pytest.mark.parametrize("shape", [(6, 3), (1, 2), (4, 3, 5), (2, 3, 4, 5)])
def test_reductions_agree(name, shape):
    loss = LOSSES[name]
    outputs, targets = pair(loss, shape)
    values = reduced(loss, "none", outputs, targets)
    assert values.shape == (shape if loss.kind.name == "regression" else (shape[0], *shape[2:]))
    torch.testing.assert_close(reduced(loss, "sum", outputs, targets), values.sum())
    torch.testing.assert_close(reduced(loss, "mean", outputs, targets), values.mean())


@each
def test_positions_are_examples(name):
    loss = LOSSES[name]
    outputs, targets = pair(loss, (2, 3, 4))
    flat_targets = targets.movedim(1, -1).reshape(8, 3) if targets.dim() == 3 else targets.flatten()
    flat = reduced(loss, "none", outputs.movedim(1, -1).reshape(8, 3), flat_targets)
    found = reduced(loss, "none", outputs, targets)
    found = found.movedim(1, -1) if found.dim() == 3 else found
    torch.testing.assert_close(found.flatten(), flat.flatten())


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_value_and_two_derivatives_are_finite(name, dtype, scale):
    loss = LOSSES[name]
    outputs, targets = pair(loss, (8, 3), scale, dtype)
    leaf = outputs.requires_grad_()
    value = loss(leaf, targets)
    (slope,) = torch.autograd.grad(value, leaf, create_graph=True)
    assert value.isfinite()
    assert slope.isfinite().all()
    if slope.requires_grad:
        (curvature,) = torch.autograd.grad(slope.sum(), leaf, materialize_grads=True)
        assert curvature.isfinite().all()


@each
def test_the_slope_is_the_derivative(name):
    loss = LOSSES[name]
    outputs, targets = pair(loss, (3, 4))
    loss = loss.double() if any(True for _ in loss.parameters()) else loss
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), outputs.requires_grad_())
    loss.float()


def kinds_of(loss: Loss) -> list[Kind]:
    return [make() for make in KINDS.values() if make().shares_losses_with(loss.kind)]


def served() -> list[tuple[str, Kind]]:
    return [(name, kind) for name, loss in LOSSES.items() for kind in kinds_of(loss)]


@pytest.mark.parametrize(("name", "kind"), served(), ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_both_derivatives_are_right_for_every_kind_and_label(name, kind, reduction):
    """With and without weights, and with and without positions that do not count."""
    loss = LOSSES[name].for_kind(kind).double().requires_grad_(False)
    loss.reduction = reduction
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64).requires_grad_()
    targets = targets_of(kind, outputs.shape, generator)
    some = targets.clone()
    some.view(-1)[0] = -100
    for weight in (None, torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)):
        loss.weight = weight
        for each in (targets,) if kind.ignored_label is None else (targets, some):
            call = partial(loss, targets=each)
            assert torch.autograd.gradcheck(call, outputs, fast_mode=True)
            assert torch.autograd.gradgradcheck(call, outputs, fast_mode=True)


def targets_of(kind: Kind, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if kind.has_class_dimension:
        return torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    if kind.predicts_probabilities:
        return torch.randint(2, shape, generator=generator)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", HANDCRAFTED)
@pytest.mark.parametrize("outputs", [1, 4])
def test_the_curvature_is_the_derivative_of_the_slope(name, outputs):
    loss = LOSSES[name]
    leaf, targets = pair(loss, (3, outputs))
    targets = targets % 2 if outputs == 1 and loss.kind.name == "classification" else targets
    assert torch.autograd.gradgradcheck(lambda x: loss(x, targets), leaf.requires_grad_())


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(name, dtype):
    loss = LOSSES[name]
    outputs, targets = pair(loss, (6, 3), dtype=torch.float32)
    half = outputs.to(dtype)
    targets = targets.to(dtype) if loss.kind.name == "regression" else targets
    exact = targets.float() if loss.kind.name == "regression" else targets
    torch.testing.assert_close(
        loss(half, targets).float(), loss(half.float(), exact), rtol=1e-2, atol=1e-2
    )


@each
def test_shapes_that_do_not_fit_are_refused(name):
    loss = LOSSES[name]
    outputs, targets = pair(loss, (6, 3))
    for wrong in (targets[:5], torch.zeros(6, 4), torch.zeros(2, 3, 3)):
        with pytest.raises(DataError):
            loss(outputs, wrong)


@each
def test_it_is_saved_and_loaded(name, tmp_path):
    loss = LOSSES[name]
    lf.save(loss, tmp_path / "loss.json")
    again = lf.load(tmp_path / "loss.json")
    outputs, targets = pair(loss, (6, 3), dtype=torch.float32)
    assert torch.equal(loss(outputs, targets), again(outputs, targets))
    assert (str(again), again.kind) == (str(loss), loss.kind)


@each
def test_one_output_is_enough(name):
    loss = LOSSES[name]
    outputs, targets = pair(loss, (6, 1))
    if loss.kind.name == "classification":
        targets = torch.tensor([0, 1, 1, 0, 1, 0])
    assert loss(outputs, targets).isfinite()
    with_dimension = targets if loss.kind.name == "regression" else targets.double().unsqueeze(1)
    torch.testing.assert_close(loss(outputs, targets), loss(outputs, with_dimension))


@each
def test_probabilities_serve_as_targets(name):
    loss = LOSSES[name]
    if loss.kind.name == "regression":
        pytest.skip("for classification")
    outputs, labels = pair(loss, (6, 3))
    onehot = nn.functional.one_hot(labels, 3).double()
    torch.testing.assert_close(loss(outputs, onehot), loss(outputs, labels))


@pytest.mark.parametrize("name", HANDCRAFTED)
def test_a_single_output_learns_which_of_two_classes(name):
    loss = LOSSES[name]
    if loss.kind.name == "regression":
        pytest.skip("for classification")
    inputs = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    targets = (inputs[:, 0] > 0).long()
    logit = nn.Linear(1, 1)
    nn.init.zeros_(logit.weight)
    nn.init.zeros_(logit.bias)
    optimizer = torch.optim.SGD(logit.parameters(), 0.05)
    for _ in range(100):
        optimizer.zero_grad()
        loss(logit(inputs), targets).backward()
        optimizer.step()
    assert ((logit(inputs)[:, 0] > 0) == (targets == 1)).all()
    # The classes are alike: what is right by as much for either costs as much.
    sides = reduced(loss, "none", torch.tensor([[-1.3], [1.3]]), torch.tensor([0, 1]))
    torch.testing.assert_close(sides[0], sides[1])


@pytest.mark.parametrize("name", HANDCRAFTED)
def test_the_registry_is_all_that_a_loss_needs(name, capsys):
    make = HANDCRAFTED[name]
    assert getattr(lf.losses, make.__name__) is make
    assert str(resolve_name(str(make()))) == str(make())
    assert main(["list", "losses"]) == 0
    assert name in capsys.readouterr().out


@pytest.mark.parametrize("name", [*HANDCRAFTED, "symbolic", "symbolic regression"])
def test_training_under_it_lowers_it(name):
    loss = LOSSES[name]
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    targets = inputs[:, :3] if loss.kind.name == "regression" else inputs[:, :3].argmax(1)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    values = []
    for _ in range(150):
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]
