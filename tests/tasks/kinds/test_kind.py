"""What every kind has: rows, (y, p), the maps between derivatives, and metrics."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import DataError
from lossforge.tasks.kinds import KINDS, as_kind

EACH = [make() for make in KINDS.values()]
SHAPES = [(4, 3), (4, 1), (2, 3, 5), (2, 3, 4, 5)]
each = pytest.mark.parametrize("kind", EACH, ids=str)
of_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def targets_for(kind, shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    if kind.name == "classification":
        return torch.randint(max(2, shape[1]), (shape[0], *shape[2:]), generator=draw)
    if kind.name == "multilabel":
        return torch.randint(2, shape, generator=draw)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


@each
@given(st.integers(0, 99), st.sampled_from([1, 2, 5]))
def test_pull_back_and_push_forward_are_the_jacobian_s(kind, seed, classes):
    draw = torch.Generator().manual_seed(seed)
    outputs, direction, cotangent = torch.randn(3, 4, classes, generator=draw, dtype=torch.float64)
    p, tangent = torch.func.jvp(kind.predictions, (outputs,), (direction,))
    torch.testing.assert_close(kind.push_forward(direction, p), tangent)
    _, vjp = torch.func.vjp(kind.predictions, outputs)
    torch.testing.assert_close(kind.pull_back(cotangent, p), vjp(cotangent)[0])


@each
@of_shape
def test_rows_are_linear_and_from_rows_is_the_adjoint(kind, shape):
    outputs = torch.randn(shape, dtype=torch.float64)
    rows = kind.rows(outputs, targets_for(kind, shape))
    assert rows.outputs.shape[-1] == kind.row_size(shape[1])
    found, back = torch.func.vjp(lambda f: kind.to_rows(f, outputs.shape), outputs)
    assert torch.equal(found, rows.outputs)
    cotangent = torch.randn_like(found)
    torch.testing.assert_close(rows.restored(cotangent), back(cotangent)[0])
    torch.testing.assert_close(rows.flattened(2 * outputs), 2 * rows.outputs)


@each
@of_shape
def test_networks_in_a_stack_have_the_rows_of_each(kind, shape):
    outputs, targets = torch.randn(6, *shape), targets_for(kind, shape)
    assert not kind.is_common(outputs, targets)
    assert kind.is_common(outputs[0], targets)
    stacked = kind.rows(outputs, targets)
    assert stacked.shape == outputs.shape[1:]
    for one, alone in zip(outputs, stacked.outputs, strict=True):
        assert torch.equal(kind.rows(one, targets).outputs, alone)
    assert torch.equal(kind.rows(outputs[0], targets).targets, stacked.targets)
    scores = kind.scores(outputs, targets)
    assert torch.equal(scores[2], kind.scores(outputs[2], targets))
    assert stacked.restored(stacked.outputs).shape == outputs.shape


@each
@of_shape
def test_a_network_that_fits_is_told_by_its_shape(kind, shape):
    assert kind.output_shape(shape[1], targets_for(kind, shape)) == shape


@pytest.mark.parametrize(
    ("targets", "outputs", "kind", "says"),
    [
        (torch.tensor([3]), torch.zeros(1, 3), "classification", "outside 0 to 2"),
        (torch.tensor([-1]), torch.zeros(1, 3), "classification", "outside 0 to 2"),
        (torch.tensor([2]), torch.zeros(1, 1), "classification", "outside 0 to 1"),
        (torch.tensor([0.0]), torch.zeros(1, 3), "classification", r"\.long\(\)"),
        (torch.tensor([0, 1]), torch.zeros(1, 3), "classification", "do not fit"),
        (torch.tensor([0, 1]), torch.zeros(2), "classification", r"unsqueeze\(1\)"),
        (torch.zeros(4), torch.zeros(4, 2), "regression", "do not fit"),
        (torch.zeros(4, 1), torch.zeros(4), "regression", "do not fit"),
        (torch.zeros(4, 3), torch.zeros(4, 2), "regression", "do not fit"),
        (torch.tensor([[2, 0]]), torch.zeros(1, 2), "multilabel", "outside 0 to 1"),
        (torch.tensor([[1.5, 0]]), torch.zeros(1, 2), "multilabel", "outside 0 to 1"),
        (torch.tensor([1]), torch.zeros(1, 2), "multilabel", "do not fit"),
    ],
)
def test_targets_that_do_not_fit_are_told(targets, outputs, kind, says):
    with pytest.raises(DataError, match=says):
        as_kind(kind).rows(outputs, targets)


@each
def test_half_precision_becomes_single(kind):
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        outputs = torch.zeros(4, 3, dtype=dtype)
        assert kind.rows(outputs, targets_for(kind, (4, 3))).outputs.dtype == expected


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "expected"),
    [
        ("classification", [[0.3], [-0.3]], [1, 1], 0.5),
        ("classification", [[2.0, 1.0], [0.0, 1.0]], [1, 1], 0.5),
        ("classification", [[2.0, 1.0], [0.0, 1.0]], [[0.1, 0.9], [0.2, 0.8]], 0.5),
        ("classification", [[-1.0], [2.0]], [0, 0], 0.5),
        ("classification", [[[2.0, 0.0], [1.0, 1.0]]], [[1, 1]], 0.5),
        ("regression", [[3.0, 1.0]], [[0.0, 0.0]], 5.0),
        ("regression", [[1.0], [3.0]], [1.0, 1.0], 2.0),
        ("regression", [[1.0, 5.0], [3.0, 5.0]], [[1.0, 5.0], [1.0, 5.0]], 1.0),
        ("multilabel", [[1.0, -1.0], [3.0, 5.0]], [[1, 1], [0, 1]], 0.5),
    ],
)
def test_the_metric_is_the_mean_of_the_rows_scores(kind, outputs, targets, expected):
    found = as_kind(kind).scores(torch.tensor(outputs), torch.tensor(targets))
    assert found.mean().item() == pytest.approx(expected)
    measures = as_kind(kind).measures(torch.tensor(outputs), torch.tensor(targets))
    assert measures[as_kind(kind).metric] == pytest.approx(expected)
