"""The contract of labels that every loss keeps: PyTorch's, value and gradient."""

import pytest
import torch
from torch import Tensor, nn

import lossforge as lf
from lossforge.errors import ConfigurationError, DataError
from lossforge.losses import (
    Absolute,
    CrossEntropy,
    Focal,
    Huber,
    LabelSmoothing,
    NeuralLoss,
    SparseLSR,
    Squared,
    SymbolicLoss,
    default_loss,
)
from lossforge.tasks.kinds import Classification, MultiLabel

REDUCTIONS = ("none", "mean", "sum")
SHAPES = [(5, 4), (1, 2), (3, 4, 6), (2, 3, 4, 5)]
of_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
reduced = pytest.mark.parametrize("reduction", REDUCTIONS)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def assert_equal(
    ours: nn.Module, theirs: nn.Module, outputs: Tensor, targets: Tensor, rtol: float = 1e-7
) -> None:
    """Assert that values and gradients are the same."""
    found, expected = (loss(outputs.requires_grad_(), targets) for loss in (ours, theirs))
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol, equal_nan=True)
    slopes = [torch.autograd.grad(value.sum(), outputs)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=rtol, atol=rtol, equal_nan=True)


@of_shape
@reduced
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore_index", [-100, -1, 1, 255])
def test_labels_are_torch_s(shape, reduction, smoothing, weighted, ignore_index):
    outputs = draw(*shape)
    labels = torch.randint(shape[1], (shape[0], *shape[2:]))
    labels.view(-1)[::3] = ignore_index
    labels.view(-1)[-1] = 0  # one counts
    weight = draw(shape[1]).exp() if weighted else None
    theirs = nn.CrossEntropyLoss(
        weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=smoothing
    )
    options = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    assert_equal(LabelSmoothing(smoothing, **options), theirs, outputs, labels)
    if smoothing == 0:
        assert_equal(CrossEntropy(**options), theirs, outputs, labels)
        assert_equal(SparseLSR(0.0, **options), theirs, outputs, labels)
        # A search's log is smooth near 0.
        assert_equal(SymbolicLoss("-y*log(p)", **options), theirs, outputs, labels, rtol=1e-3)


@of_shape
@reduced
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_torch_s(shape, reduction, smoothing, weighted):
    outputs, targets = draw(*shape), draw(*shape).exp().softmax(1)
    weight = draw(shape[1]).exp() if weighted else None
    theirs = nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=smoothing)
    ours = LabelSmoothing(smoothing, weight=weight, reduction=reduction)
    assert_equal(ours, theirs, outputs, targets)
    if smoothing == 0:
        assert_equal(CrossEntropy(reduction, weight=weight), theirs, outputs, targets)
        assert_equal(SparseLSR(0.0, weight=weight, reduction=reduction), theirs, outputs, targets)


@of_shape
@reduced
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_several_labels_are_torch_s(shape, reduction, weighted, soft):
    outputs = draw(*shape)
    targets = draw(*shape).sigmoid() if soft else (draw(*shape) > 0).double()
    weight = draw(shape[1]).exp() if weighted else None
    along = None if weight is None else weight.view(-1, *[1] * (len(shape) - 2))
    theirs = nn.BCEWithLogitsLoss(along, reduction=reduction)
    ours = CrossEntropy(reduction, weight=weight).for_kind(MultiLabel())
    assert_equal(ours, theirs, outputs, targets)
    if not soft:
        whole = targets.long()
        torch.testing.assert_close(ours(outputs, whole), theirs(outputs, targets))


@of_shape
@reduced
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_the_weight_of_presence_is_torch_s(shape, reduction, weighted, soft):
    outputs = draw(*shape)
    targets = draw(*shape).sigmoid() if soft else (draw(*shape) > 0).double()
    presence, weight = draw(shape[1]).exp(), draw(shape[1]).flip(0).exp() if weighted else None
    places = (-1, *[1] * (len(shape) - 2))
    theirs = nn.BCEWithLogitsLoss(
        None if weight is None else weight.view(places),
        pos_weight=presence.view(places),
        reduction=reduction,
    )
    options = {"weight": weight, "pos_weight": presence, "reduction": reduction}
    assert_equal(CrossEntropy(**options).for_kind(MultiLabel()), theirs, outputs, targets)
    if not soft:
        served = SparseLSR(0.0, **options).for_kind(MultiLabel())
        assert_equal(served, theirs, outputs, targets.long().double())


def test_the_weight_of_presence_is_for_labels_alone():
    loss = CrossEntropy(pos_weight=torch.ones(3))
    with pytest.raises(DataError, match="weight of shape"):
        loss(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(DataError, match=r"must be \[labels\] or \[labels, 2\]"):
        CrossEntropy(weight=torch.ones(3, 3)).for_kind(MultiLabel())(
            torch.zeros(2, 3), torch.ones(2, 3)
        )


@pytest.mark.parametrize("shape", [*SHAPES, (7,)], ids=str)
@reduced
def test_values_are_torch_s(shape, reduction):
    outputs, targets = 2 * draw(*shape), draw(*shape).flip(0)
    assert_equal(Squared(reduction), nn.MSELoss(reduction=reduction), outputs, targets)
    assert_equal(Absolute(reduction), nn.L1Loss(reduction=reduction), outputs, targets)
    for delta in (0.3, 1.0):
        huber, smooth = (
            nn.HuberLoss(reduction, delta),
            nn.SmoothL1Loss(reduction=reduction, beta=delta),
        )
        assert_equal(Huber(delta, reduction), huber, outputs, targets)
        found = Huber(delta, reduction)(outputs, targets) / delta
        torch.testing.assert_close(found, smooth(outputs, targets))


@pytest.mark.parametrize("loss", [CrossEntropy(), SparseLSR(), SymbolicLoss("-y*log(p)")], ids=str)
def test_a_mean_over_nothing_is_torch_s(loss):
    outputs, labels = draw(2, 3), torch.full((2,), -100)
    assert loss(outputs, labels).isnan()
    assert nn.CrossEntropyLoss()(outputs, labels).isnan()
    loss.reduction = "sum"
    assert loss(outputs, labels) == 0


LOSSES = [
    CrossEntropy(),
    Focal(1.5),
    SparseLSR(0.2),
    SymbolicLoss("square(y - p) - y*log(p)"),
    NeuralLoss().double(),
    CrossEntropy(weight=torch.tensor([1.0, 2.0, 0.5])),
    Squared(),
    SymbolicLoss("abs(y - p)", kind="regression"),
    Huber(0.3).for_kind(lf.tasks.Regression()),
    Focal().for_kind(MultiLabel()),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss} {loss.kind}")
@reduced
def test_a_weight_of_two_is_a_row_that_stands_there_twice(loss, reduction):
    outputs = draw(4, 3)
    targets = (draw(4, 3) > 0).double() if loss.kind.name == "multilabel" else draw(4, 3).flip(0)
    if loss.kind.name == "classification":
        targets = torch.tensor([0, 2, 1, 1])
    counts = torch.tensor([2, 0, 1, 3])
    loss.reduction = reduction
    found = loss(outputs, targets, counts)
    repeated = loss(outputs.repeat_interleave(counts, 0), targets.repeat_interleave(counts, 0))
    if reduction == "none":
        each = loss(outputs, targets)
        factors = counts.view(-1, *[1] * (each.dim() - 1))
        torch.testing.assert_close(found, each * factors)
    else:
        torch.testing.assert_close(found, repeated)


def test_positions_have_sample_weights_too():
    outputs, labels = draw(2, 3, 4), torch.randint(3, (2, 4))
    weights = draw(2, 4).exp()
    each = CrossEntropy("none")(outputs, labels)
    found = CrossEntropy()(outputs, labels, weights)
    torch.testing.assert_close(found, (each * weights).sum() / weights.sum())
    with pytest.raises(DataError, match="sample weights of shape"):
        CrossEntropy()(outputs, labels, torch.ones(3))


def test_a_loss_that_is_no_sum_over_classes_has_the_weight_of_the_label():
    outputs, labels, weight = draw(3, 3), torch.tensor([0, 2, 2]), torch.tensor([1.0, 2.0, 3.0])
    loss = SymbolicLoss("square(y - p)", weight=weight)
    each = SymbolicLoss("square(y - p)", reduction="none")(outputs, labels)
    expected = (each * weight[labels]).sum() / weight[labels].sum()
    torch.testing.assert_close(loss(outputs, labels), expected)
    torch.testing.assert_close(
        SymbolicLoss("square(y - p)", weight=weight, reduction="sum")(
            outputs, nn.functional.one_hot(labels).double()
        ),
        (each * weight[labels]).sum(),
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("loss", LOSSES[:5], ids=str)
def test_labels_of_every_integer_type_serve(dtype, loss):
    loss.reduction = "mean"
    labels = torch.tensor([0, 2, 1])
    torch.testing.assert_close(loss(draw(3, 3), labels.to(dtype)), loss(draw(3, 3), labels))


@pytest.mark.parametrize("make", [CrossEntropy, SparseLSR, Focal])
def test_weights_of_another_number_of_classes_are_refused(make):
    with pytest.raises(DataError, match="must hold 3"):
        make(weight=torch.ones(2))(draw(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ConfigurationError, match="floating-point"):
        make(weight=[1.0, 2.0])


def test_regression_ignores_no_label():
    with pytest.raises(ConfigurationError, match="no labels"):
        Huber(ignore_index=3)
    assert Huber().ignore_index is None


def test_words_that_mean_nothing_are_refused():
    with pytest.raises(TypeError):
        Focal(wieght=torch.ones(3))


@pytest.mark.parametrize(
    "make", [CrossEntropy, Focal, lambda **o: SymbolicLoss("-y*log(p)", **o), NeuralLoss]
)
def test_weights_and_what_is_ignored_are_saved(make, tmp_path):
    loss = make(weight=torch.tensor([1.0, 2.0, 0.5]), ignore_index=2)
    lf.save(loss, tmp_path / "loss.json")
    again = lf.load(tmp_path / "loss.json")
    assert (again.kind, again.weight.tolist()) == (loss.kind, [1.0, 2.0, 0.5])
    outputs, labels = draw(4, 3).float(), torch.tensor([0, 1, 2, 0])
    assert torch.equal(again(outputs, labels), loss(outputs, labels))


def test_a_handcrafted_loss_is_saved_with_the_kind_that_it_serves(tmp_path):
    lf.save(Focal(1.0).for_kind(MultiLabel()), tmp_path / "loss.json")
    assert lf.load(tmp_path / "loss.json").kind == MultiLabel()


def test_losses_serve_their_family():
    assert default_loss(Classification(7)).ignore_index == 7
    assert SymbolicLoss("-y*log(p)").for_kind(MultiLabel(7)).kind == MultiLabel(7)
    with pytest.raises(ConfigurationError, match="mse is a loss for regression, not multilabel"):
        Squared().for_kind(MultiLabel())
