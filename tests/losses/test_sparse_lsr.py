import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses import SparseLSR, load, save, sparse_lsr

seeds = st.integers(0, 10_000)
smoothings = st.floats(0, 1)
SHAPES = [(5,), (4, 5), (4, 5, 3), (2, 5, 3, 2)]


def draw(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    classes = shape[0] if len(shape) == 1 else shape[1]
    labels = shape[:1] + shape[2:] if len(shape) > 1 else ()
    return logits, torch.randint(classes, labels, generator=generator)


@given(seed=seeds, smoothing=smoothings, classes=st.integers(2, 40), gap=st.floats(-30, 30))
def test_it_is_label_smoothing_where_the_other_classes_are_equal(
    seed: int, smoothing: float, classes: int, gap: float
):
    _, labels = draw((6, classes), seed)
    logits = gap * F.one_hot(labels, classes).double() + 7.0
    theirs = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    ours = sparse_lsr(logits, labels, smoothing, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@given(seed=seeds, smoothing=smoothings, classes=st.integers(2, 40))
def test_it_is_nowhere_above_label_smoothing(seed: int, smoothing: float, classes: int):
    logits, labels = draw((6, classes), seed)
    theirs = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    assert (sparse_lsr(logits, labels, smoothing, reduction="none") <= theirs + 1e-10).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_without_smoothing_it_is_cross_entropy(
    shape: tuple[int, ...], weighted: bool, reduction: str
):
    logits, labels = draw(shape)
    weight = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64) if weighted else None
    ours, theirs = (x.clone().requires_grad_() for x in (logits, logits))
    options = {"weight": weight, "ignore_index": 1, "reduction": reduction}
    labels = labels.where(labels != 2, 1)
    if labels.dim() == 0:
        labels = torch.tensor(3)
    values = (
        sparse_lsr(ours, labels, 0.0, **options),
        F.cross_entropy(theirs, labels, **options),
    )
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    slopes = [
        torch.autograd.grad(v.sum(), z)[0] for v, z in zip(values, (ours, theirs), strict=True)
    ]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_probabilities_as_targets_are_taken_as_cross_entropy_does(weighted: bool, reduction: str):
    logits, _ = draw((4, 5, 3))
    targets = draw((4, 5, 3), 1)[0].softmax(1)
    weight = torch.rand(5, dtype=torch.float64) if weighted else None
    ours = sparse_lsr(logits, targets, 0.0, weight=weight, reduction=reduction)
    theirs = F.cross_entropy(logits, targets, weight=weight, reduction=reduction)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@given(seed=seeds, smoothing=smoothings)
def test_a_certain_probability_is_a_label(seed: int, smoothing: float):
    logits, labels = draw((6, 5), seed)
    sure = F.one_hot(labels, 5).double()
    torch.testing.assert_close(
        sparse_lsr(logits, sure, smoothing), sparse_lsr(logits, labels, smoothing)
    )


@pytest.mark.parametrize(("shape", "scale"), [*((shape, 1.0) for shape in SHAPES), ((4, 5), 40.0)])
def test_derivatives_are_those_of_finite_differences(shape: tuple[int, ...], scale: float):
    logits, labels = draw(shape)
    weight = torch.tensor([0.5, 2.0, 0.3, 1.0, 3.0], dtype=torch.float64)
    logits = (scale * logits).requires_grad_()

    def loss(z: torch.Tensor) -> torch.Tensor:
        return sparse_lsr(z, labels, 0.3, weight=weight, ignore_index=4)

    labels = labels.where(labels != 4, 0) if labels.dim() == 0 else labels
    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradgradcheck(loss, logits)


def test_derivatives_by_probabilities_are_those_of_finite_differences():
    logits, _ = draw((3, 4))
    targets = draw((3, 4), 1)[0].softmax(1)
    assert torch.autograd.gradcheck(lambda z: sparse_lsr(z, targets, 0.3), logits.requires_grad_())


@pytest.mark.parametrize("smoothing", [0.01, 0.1, 0.5])
def test_overconfidence_is_penalized(smoothing: float):
    gaps = torch.tensor([5.0, 20.0, 100.0, 1e4])
    logits = torch.stack([gaps, *torch.zeros(3, 4)], dim=1).requires_grad_()
    values = sparse_lsr(logits, torch.zeros(4, dtype=torch.long), smoothing, reduction="none")
    share = smoothing * 3 / 4
    torch.testing.assert_close(values[1:], share * gaps[1:], rtol=1e-5, atol=1e-5)
    (slope,) = torch.autograd.grad(values.sum(), logits)
    # The gradient pushes the target's logit down by b, and the others up.
    torch.testing.assert_close(slope[1:, 0], torch.full((3,), share), rtol=1e-5, atol=0.0)
    assert (slope[1:, 1:] < 0).all()


@given(seed=seeds, scale=st.sampled_from([1.0, 100.0, 1e4]))
def test_single_precision_agrees_with_double(seed: int, scale: float):
    logits, labels = draw((6, 9), seed)
    single = (scale * logits).float().requires_grad_()
    double = single.detach().double().requires_grad_()
    values = [sparse_lsr(z, labels, 0.2, reduction="none") for z in (single, double)]
    torch.testing.assert_close(values[0].double(), values[1], rtol=3e-6, atol=3e-6)
    slopes = [
        torch.autograd.grad(v.sum(), z)[0] for v, z in zip(values, (single, double), strict=True)
    ]
    torch.testing.assert_close(slopes[0].double(), slopes[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype):
    logits, labels = draw((4, 5, 3))
    half = logits.to(dtype).requires_grad_()
    value = sparse_lsr(half, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, sparse_lsr(half.detach().float(), labels))
    assert torch.autograd.grad(value, half)[0].dtype == dtype


def test_autocast_changes_nothing():
    logits, labels = draw((4, 5))
    logits = logits.float()
    with torch.autocast("cpu", torch.bfloat16):
        value = sparse_lsr(logits, labels)
    assert torch.equal(value, sparse_lsr(logits, labels))


def test_an_empty_batch_sums_to_nothing():
    empty, labels = torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long)
    assert sparse_lsr(empty, labels, reduction="sum").item() == 0.0
    assert sparse_lsr(empty, labels, reduction="none").shape == (0,)


def test_ignored_labels_give_no_gradient_even_where_logits_are_infinite():
    logits = torch.tensor([[0.0, 1.0], [-torch.inf, 0.0]], requires_grad=True)
    value = sparse_lsr(logits, torch.tensor([0, -100]))
    torch.testing.assert_close(value, sparse_lsr(logits[:1], torch.tensor([0])))
    (slope,) = torch.autograd.grad(value, logits)
    assert slope[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("outputs", "targets", "weight"),
    [
        (torch.zeros(2, 1), torch.zeros(2, dtype=torch.long), None),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), None),
        (torch.zeros(2, 3), torch.zeros(2), None),
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), torch.ones(2)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    outputs: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor | None
):
    with pytest.raises(DataError):
        sparse_lsr(outputs, targets, weight=weight)


@pytest.mark.parametrize(
    "options", [{"smoothing": 1.5}, {"reduction": "median"}, {"kernel": "fast"}]
)
def test_options_out_of_range_are_refused(options: dict[str, object]):
    with pytest.raises(ConfigurationError):
        sparse_lsr(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), **options)
    with pytest.raises(ConfigurationError):
        SparseLSR(**options)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_module_is_the_function(reduction: str):
    logits, labels = draw((4, 5, 3))
    weight = torch.tensor([0.5, 2.0, 0.3, 1.0, 3.0], dtype=torch.float64)
    loss = SparseLSR(0.2, weight=weight, ignore_index=1, reduction=reduction)
    expected = sparse_lsr(logits, labels, 0.2, weight=weight, ignore_index=1, reduction=reduction)
    assert torch.equal(loss(logits, labels), expected)
    each = sparse_lsr(logits, labels, 0.2, weight=weight, ignore_index=1, reduction="none")
    loss.reduction = "none"
    assert torch.equal(loss(logits, labels), each)


@given(seed=seeds, smoothing=smoothings)
def test_a_single_output_is_the_logit_of_the_second_class(seed: int, smoothing: float):
    logits, labels = draw((6, 2), seed)
    loss = SparseLSR(smoothing)
    torch.testing.assert_close(
        loss(logits[:, 1:] - logits[:, :1], labels), loss(logits, labels), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0])])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_it_is_saved_with_its_weights(tmp_path, weight: torch.Tensor | None, ignore_index: int):
    loss = SparseLSR(0.2, weight=weight, ignore_index=ignore_index)
    save(loss, tmp_path / "loss.json")
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    loaded = load(tmp_path / "loss.json")
    assert loaded.definition() == loss.definition()
    assert torch.equal(loaded(logits, labels), loss(logits, labels))


def test_a_kernel_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "lossforge.losses.row_kernels", raising=False)
    with pytest.raises(ConfigurationError, match="needs the package triton"):
        sparse_lsr(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), kernel="triton")
