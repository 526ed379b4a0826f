import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses import fused_linear, sparse_lsr, sparse_lsr_linear

CLASSES, WIDTH = 13, 4


def draw(rows: int = 9, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(rows, WIDTH), (CLASSES, WIDTH), (CLASSES,)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    labels = torch.randint(CLASSES, (rows,), generator=generator)
    return *(tensor.requires_grad_() for tensor in tensors), labels


@given(
    rows=st.integers(0, 12),
    seed=st.integers(0, 1000),
    block_bytes=st.sampled_from([1, 300, 1000, 10**6]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    rows_at_once=st.sampled_from([1, 5, 2048]),
    options=st.sampled_from(["plain", "bias", "all"]),
)
def test_it_is_the_loss_of_the_linear_layer_with_its_gradients(
    rows: int, seed: int, block_bytes: int, reduction: str, rows_at_once: int, options: str
):
    hidden, weight, bias, labels = draw(rows, seed)
    rest = None if options == "plain" else bias
    inputs = (hidden, weight) if rest is None else (hidden, weight, bias)
    class_weight = torch.linspace(0.5, 2, CLASSES).double() if options == "all" else None
    ignored = int(labels[0]) if options == "all" and rows > 1 else -100
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_linear, "ROWS", rows_at_once)
        fused = sparse_lsr_linear(
            hidden,
            weight,
            labels,
            0.2,
            rest,
            class_weight=class_weight,
            ignore_index=ignored,
            reduction=reduction,
            block_bytes=block_bytes,
        )
        slopes = torch.autograd.grad(fused.sum(), inputs)
    whole = sparse_lsr(
        F.linear(hidden, weight, rest),
        labels,
        0.2,
        weight=class_weight,
        ignore_index=ignored,
        reduction=reduction,
    )
    expected = torch.autograd.grad(whole.sum(), inputs)
    torch.testing.assert_close(fused, whole, rtol=1e-12, atol=1e-12, equal_nan=True)
    for mine, theirs in zip(slopes, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12, equal_nan=True)


def test_gradients_are_those_of_finite_differences():
    hidden, weight, bias, labels = draw()
    assert torch.autograd.gradcheck(
        lambda *x: sparse_lsr_linear(x[0], x[1], labels, 0.2, x[2], block_bytes=300),
        (hidden, weight, bias),
    )


def test_only_what_is_asked_for_is_differentiated():
    hidden, weight, _, labels = draw()
    loss = sparse_lsr_linear(hidden.detach(), weight, labels)
    (slope,) = torch.autograd.grad(loss, weight)
    assert slope.shape == weight.shape


def test_a_second_derivative_is_refused_aloud():
    hidden, weight, _, labels = draw()
    loss = sparse_lsr_linear(hidden, weight, labels)
    (slope,) = torch.autograd.grad(loss, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("scale", [1e3, 1e5])
def test_single_precision_holds_at_huge_logits(scale: float):
    hidden, weight, _, labels = (x.detach() for x in draw())
    hidden, weight = (scale * hidden).float(), weight.float()
    fused = sparse_lsr_linear(hidden, weight, labels, 0.1, block_bytes=100)
    whole = sparse_lsr(hidden.double() @ weight.double().T, labels, 0.1)
    assert fused.item() == pytest.approx(whole.item(), rel=1e-5)


def test_autocast_computes_the_product_in_half_precision():
    hidden, weight, bias, labels = (x.detach() for x in draw())
    leaves = [x.float().requires_grad_() for x in (hidden, weight, bias)]
    with torch.autocast("cpu", torch.bfloat16):
        fused = sparse_lsr_linear(leaves[0], leaves[1], labels, 0.1, leaves[2], block_bytes=100)
        whole = sparse_lsr(F.linear(*leaves), labels, 0.1)
    assert fused.dtype == torch.float32
    torch.testing.assert_close(fused, whole, rtol=1e-2, atol=0.0)
    slopes = [torch.autograd.grad(loss, leaves) for loss in (fused, whole)]
    for mine, theirs in zip(*slopes, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, theirs, rtol=0.1, atol=0.02)


class _Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation gives."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(results) if isinstance(x, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return results


def test_no_tensor_is_larger_than_a_block_or_a_gradient():
    rows, classes, width, block_bytes = 64, 4096, 8, 2**16
    hidden = torch.randn(rows, width, requires_grad=True)
    weight = torch.randn(classes, width, requires_grad=True)
    with _Largest() as seen:
        sparse_lsr_linear(hidden, weight, torch.arange(rows), block_bytes=block_bytes).backward()
    assert seen.numbers == max(block_bytes // 4, classes * width)


@pytest.mark.parametrize(
    ("hidden", "weight", "targets"),
    [((3, 2), (5, 3), (3,)), ((3, 2), (5, 2), (4,)), ((3, 2), (1, 2), (3,)), ((2,), (5, 2), ())],
)
def test_shapes_that_do_not_fit_are_refused(hidden, weight, targets):
    labels = torch.zeros(targets, dtype=torch.long)
    with pytest.raises(DataError, match="do not fit"):
        sparse_lsr_linear(torch.zeros(hidden), torch.zeros(weight), labels)


@pytest.mark.parametrize(
    "options", [{"smoothing": -0.1}, {"reduction": "median"}, {"block_bytes": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, object]):
    hidden, weight, _, labels = draw()
    with pytest.raises(ConfigurationError):
        sparse_lsr_linear(hidden, weight, labels, **options)
