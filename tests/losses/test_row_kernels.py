"""The kernels on a GPU where there is one, and else in Triton's interpreter."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses import SparseLSR, sparse_lsr

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
seeds = st.integers(0, 10_000)

with pytest.MonkeyPatch.context() as patch:
    # Triton looks at this while it is imported.
    patch.setenv("TRITON_INTERPRET", str(int(DEVICE == "cpu")))
    pytest.importorskip("triton", reason="needs triton, which PyTorch for CUDA brings")


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRITON_INTERPRET", str(int(DEVICE == "cpu")))


def draw(shape: tuple[int, ...], seed: int, scale: float = 3.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator)
    labels = torch.randint(shape[1], shape[:1] + shape[2:], generator=generator)
    return logits.to(DEVICE).requires_grad_(), labels.to(DEVICE)


def both(logits: torch.Tensor, labels: torch.Tensor, **options: object) -> list[torch.Tensor]:
    """Values and gradients by the kernel, and in double precision by PyTorch."""
    exact = logits.detach().double().requires_grad_()
    found = []
    for z, kernel in ((logits, "triton"), (exact, "torch")):
        value = sparse_lsr(z, labels, 0.2, kernel=kernel, **options)
        (slope,) = torch.autograd.grad(value.sum(), z)
        found += [value.double(), slope.double()]
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=seeds,
    classes=st.sampled_from([2, 3, 17, 5000]),
    scale=st.sampled_from([0.1, 3.0, 100.0, 1e4]),
    reduction=st.sampled_from(["mean", "sum", "none"]),
)
def test_values_and_gradients_are_those_of_double_precision(
    seed: int, classes: int, scale: float, reduction: str
):
    logits, labels = draw((3, classes), seed, scale)
    value, slope, exact_value, exact_slope = both(logits, labels, reduction=reduction)
    torch.testing.assert_close(value, exact_value, rtol=3e-6, atol=3e-6)
    torch.testing.assert_close(slope, exact_slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 5, 3, 2), (0, 4)])
def test_any_further_dimensions_will_do(shape: tuple[int, ...]):
    logits, labels = draw(shape, 0)
    weight = torch.linspace(0.5, 2, shape[1], device=DEVICE)
    value, slope, *exact = both(
        logits, labels, weight=weight.double(), ignore_index=1, reduction="none"
    )
    torch.testing.assert_close([value, slope], exact, rtol=1e-5, atol=1e-6)


def test_logits_need_not_be_contiguous():
    logits, labels = draw((6, 4), 0)
    turned = logits.detach().T.contiguous().T.requires_grad_()
    for ours, theirs in zip(both(turned, labels)[:2], both(logits, labels)[:2], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype):
    logits, labels = draw((4, 50), 0)
    half = logits.detach().to(dtype).requires_grad_()
    value = sparse_lsr(half, labels, kernel="triton")
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, sparse_lsr(half.detach().float(), labels))
    (slope,) = torch.autograd.grad(value, half)
    (exact,) = torch.autograd.grad(sparse_lsr(half, labels), half)
    assert slope.dtype == dtype
    torch.testing.assert_close(slope, exact, rtol=1e-2, atol=1e-4)


def test_it_can_be_differentiated_twice():
    logits, labels = draw((3, 4), 0)
    direction = torch.randn(3, 4, device=DEVICE)
    curves = []
    for kernel in ("triton", "torch"):
        value = sparse_lsr(logits, labels, 0.3, kernel=kernel)
        (slope,) = torch.autograd.grad(value, logits, create_graph=True)
        curves.append(torch.autograd.grad((slope * direction).sum(), logits)[0])
    torch.testing.assert_close(*curves, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # log(0) = -inf is meant
@pytest.mark.parametrize("label", [0, 1])
def test_where_the_target_is_certain_or_impossible_values_and_slopes_are_finite(label: int):
    logits = torch.tensor([[1.0, -torch.inf, -torch.inf]], device=DEVICE, requires_grad=True)
    value = sparse_lsr(logits, torch.tensor([label], device=DEVICE), kernel="triton")
    (slope,) = torch.autograd.grad(value, logits)
    assert value.isfinite()
    assert slope.isfinite().all()


def test_nan_logits_give_nan_in_their_row():
    logits = torch.tensor([[torch.nan, 0.0], [1.0, 0.0]], device=DEVICE)
    labels = torch.tensor([1, 1], device=DEVICE)
    values = sparse_lsr(logits, labels, reduction="none", kernel="triton")
    assert values.isnan().tolist() == [True, False]


def test_double_precision_is_refused():
    with pytest.raises(DataError, match="single or half precision"):
        sparse_lsr(torch.zeros(2, 3).double(), torch.zeros(2, dtype=torch.long), kernel="triton")


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(ConfigurationError, match="needs a GPU"):
        SparseLSR(kernel="triton")(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))
