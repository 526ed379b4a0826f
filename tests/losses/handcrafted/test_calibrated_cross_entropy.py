import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import lossforge as lf
from lossforge.errors import ConfigurationError, FileFormatError
from lossforge.losses import CalibratedCrossEntropy, CrossEntropy
from lossforge.losses.handcrafted.calibrated_cross_entropy import LARGEST, inverse_temperature
from lossforge.losses.resolve import resolve_loss
from lossforge.losses.storage import from_document, to_document

LOSS = CalibratedCrossEntropy()


def mixed(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return outputs that are right more often than not, and labels."""
    generator = torch.Generator().manual_seed(seed)
    classes = max(2, shape[1])
    labels = torch.randint(classes, (shape[0], *shape[2:]), generator=generator)
    outputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    if shape[1] == 1:
        return scale * (outputs + (labels - 0.5).unsqueeze(1)), labels
    one_hot = torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)
    return scale * (outputs + one_hot), labels


@given(seed=st.integers(0, 10_000), classes=st.integers(1, 6), power=st.floats(-3, 3))
def test_no_other_temperature_does_better(seed, classes, power):
    outputs, labels = mixed((9, classes), seed, 10**power)
    grid = torch.logspace(-2, 2, 201, dtype=torch.float64)  # from 1 / LARGEST to LARGEST
    others = torch.stack([CrossEntropy()(outputs * s, labels) for s in grid])
    found = LOSS(outputs, labels)
    assert found <= others.min() * (1 + 1e-9) + 1e-12


@given(seed=st.integers(0, 10_000), classes=st.integers(1, 6))
def test_the_derivative_by_the_temperature_vanishes(seed, classes):
    outputs, labels = mixed((20, classes), seed)
    scale = inverse_temperature(outputs, labels, None)
    if not 1 / LARGEST < scale < LARGEST:
        return
    log_s = torch.tensor(scale, dtype=torch.float64).log().requires_grad_()
    (slope,) = torch.autograd.grad(CrossEntropy()(outputs * log_s.exp(), labels), log_s)
    assert abs(slope) < 1e-8


@pytest.mark.parametrize("shape", [(8, 1), (8, 4), (4, 3, 5)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_gradient_is_that_of_the_whole_minimized_function(shape, scale):
    outputs, labels = mixed(shape, 3, scale)
    # Central differences of the value find the temperature anew at each point.
    assert torch.autograd.gradcheck(lambda z: LOSS(z, labels), outputs.requires_grad_())


@pytest.mark.parametrize("right", [True, False])
def test_the_temperature_is_bounded_and_so_is_the_loss(right):
    labels = torch.tensor([0, 1, 2])
    outputs = torch.eye(3, dtype=torch.float64) * (0.2 if right else -0.2)
    expected = LARGEST if right else 1 / LARGEST
    assert inverse_temperature(outputs, labels, None) == expected
    assert torch.autograd.gradcheck(lambda z: LOSS(z, labels), outputs.requires_grad_())


@given(seed=st.integers(0, 10_000), factor=st.floats(0.2, 5))
def test_it_does_not_see_the_scale_of_the_outputs(seed, factor):
    outputs, labels = mixed((40, 3), seed)
    torch.testing.assert_close(LOSS(factor * outputs, labels), LOSS(outputs, labels))
    leaf = outputs.requires_grad_()
    (slope,) = torch.autograd.grad(LOSS(leaf, labels), leaf)
    assert abs((slope * outputs).sum()) < 1e-8


def test_single_precision_finds_the_same_temperature():
    outputs, labels = mixed((64, 10), 1)
    exact = inverse_temperature(outputs, labels, None)
    assert inverse_temperature(outputs.float(), labels, None) == pytest.approx(exact, rel=1e-6)


def test_positions_that_do_not_count_have_no_part_in_the_temperature():
    outputs, labels = mixed((4, 3, 5))
    labels[0, :3] = LOSS.ignore_index
    counts = labels != LOSS.ignore_index
    rows = outputs.movedim(1, -1)[counts]
    torch.testing.assert_close(LOSS(outputs, labels), LOSS(rows, labels[counts]))
    every = CalibratedCrossEntropy(reduction="none")(outputs, labels)
    assert every.shape == (4, 5)
    assert (every[~counts] == 0).all()
    torch.testing.assert_close(every.sum() / counts.sum(), LOSS(outputs, labels))


def test_where_no_position_counts_nothing_is_sought():
    assert inverse_temperature(torch.randn(2, 3), torch.zeros(2).long(), torch.zeros(2)) == 1


def test_values_of_examples_add_up_to_it():
    outputs, labels = mixed((6, 4))
    torch.testing.assert_close(LOSS.per_example(outputs, labels).mean(), LOSS(outputs, labels))
    one_hot = torch.nn.functional.one_hot(labels, 4).double()
    torch.testing.assert_close(LOSS(outputs, one_hot), LOSS(outputs, labels))


def test_a_single_output_is_the_logit_of_the_second_of_two_classes():
    outputs, labels = mixed((30, 1), 2)
    pair = torch.cat([torch.zeros_like(outputs), outputs], 1)
    torch.testing.assert_close(LOSS(outputs, labels), LOSS(pair, labels))


def test_outputs_that_are_not_finite_have_no_loss():
    outputs = torch.tensor([[float("nan"), 0.0]])
    assert LOSS(outputs, torch.tensor([0])).isnan()


def test_it_has_a_name_and_a_file(tmp_path):
    assert isinstance(resolve_loss("calibrated_cross_entropy"), CalibratedCrossEntropy)
    with pytest.raises(ConfigurationError, match="has no options"):
        resolve_loss("calibrated_cross_entropy:bins=3")
    lf.save(LOSS, tmp_path / "loss.json")
    assert str(lf.load(tmp_path / "loss.json")) == str(LOSS)
    with pytest.raises(FileFormatError, match="bins"):
        from_document(to_document(LOSS) | {"bins": 3}, "the file")
