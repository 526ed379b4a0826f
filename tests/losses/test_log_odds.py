import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import hessian, vmap

from lossforge.losses.log_odds import (
    log_odds_against,
    log_odds_against_each,
    loss_of_odds,
    reduced_loss,
)

sizes = st.integers(2, 9)
seeds = st.integers(0, 10_000)
scales = st.sampled_from([0.1, 1.0, 30.0, 1000.0])


def draw(seed: int, classes: int, scale: float, *, rows: int = 4) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (rows,), generator=generator)


def by_definition(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Row by row, with the target's logit left out."""
    rows = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        rest = torch.cat([row[:label], row[label + 1 :]])
        rows.append(torch.logsumexp(rest, 0) - row[label])
    return torch.stack(rows)


@given(seed=seeds, classes=sizes, scale=scales)
def test_value_and_derivatives_are_those_of_the_definition(seed: int, classes: int, scale: float):
    logits, labels = draw(seed, classes, scale)
    logits.requires_grad_()
    ours, theirs = log_odds_against(logits, labels), by_definition(logits, labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-12)
    direction = torch.randn_like(logits)
    slopes = [
        torch.autograd.grad((r**2).sum(), logits, create_graph=True)[0] for r in (ours, theirs)
    ]
    torch.testing.assert_close(*slopes, rtol=1e-11, atol=1e-11)
    curves = [torch.autograd.grad((s * direction).sum(), logits)[0] for s in slopes]
    torch.testing.assert_close(*curves, rtol=1e-10, atol=1e-9)


@given(seed=seeds, classes=sizes, scale=scales)
def test_odds_of_each_class_are_those_of_the_classes_one_by_one(
    seed: int, classes: int, scale: float
):
    logits, _ = draw(seed, classes, scale)
    each = log_odds_against_each(logits)
    for k in range(classes):
        label = torch.full((len(logits),), k)
        torch.testing.assert_close(each[:, k], by_definition(logits, label), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gap", [0.0, 1e-6, 1.0, 17.0, 40.0, 59.0, 61.0, 90.0, 200.0, 1e4, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("classes", [2, 3, 1000])
def test_single_precision_loses_nothing_at_any_gap(gap: float, sign: int, classes: int):
    logits = torch.zeros(1, classes)
    logits[0, 1] = sign * gap
    logits.requires_grad_()
    odds = log_odds_against(logits, torch.tensor([1]))
    exact = math.log(classes - 1) - sign * gap
    assert odds.item() == pytest.approx(exact, rel=1e-6, abs=3e-7)
    (slope,) = torch.autograd.grad(odds.sum(), logits)
    expected = torch.full((1, classes), 1 / (classes - 1))
    expected[0, 1] = -1.0
    torch.testing.assert_close(slope, expected, rtol=1e-6, atol=0.0)


def test_rows_beyond_the_range_of_probabilities_leave_the_others_alone():
    logits = torch.tensor([[0.0, 1.0, 2.0], [0.0, 300.0, 1.0], [3.0, 1.0, 0.0]])
    labels = torch.tensor([1, 1, 2])
    together = log_odds_against(logits, labels)
    alone = [log_odds_against(logits[i : i + 1], labels[i : i + 1]) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))


def test_masked_classes_have_no_part():
    logits = torch.tensor([[1.0, -torch.inf, 0.5]], dtype=torch.float64, requires_grad=True)
    odds = log_odds_against(logits, torch.tensor([0]))
    assert odds.item() == pytest.approx(-0.5)
    (slope,) = torch.autograd.grad(odds.sum(), logits)
    assert slope[0].tolist() == pytest.approx([-1.0, 0.0, 1.0])


@pytest.mark.parametrize("label", [0, 1])
def test_where_the_target_is_certain_or_impossible_odds_and_slopes_are_finite(label: int):
    logits = torch.tensor([[1.0, -torch.inf, -torch.inf]], requires_grad=True)
    odds = log_odds_against(logits, torch.tensor([label]))
    limits = torch.finfo(torch.float32)
    assert odds.item() == (limits.max if label else limits.min)
    (slope,) = torch.autograd.grad(odds.sum(), logits)
    assert slope.isfinite().all()


def test_nan_logits_give_nan():
    logits = torch.tensor([[torch.nan, 0.0], [1.0, 0.0]], requires_grad=True)
    loss = reduced_loss(logits, torch.tensor([1, 1]), None, 0.1, "none")
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.isnan().tolist() == [True, False]
    assert slope.isnan().tolist()[0] != [False, False]
    assert slope[1].isfinite().all()


@given(r=st.floats(-200, 200), share=st.floats(0, 0.999), classes=sizes)
def test_loss_of_odds_is_the_formula(r: float, share: float, classes: int):
    value = loss_of_odds(torch.tensor(r, dtype=torch.float64), share, classes).item()
    log_p, log_rest = (-math.log1p(math.exp(-abs(r))) - max(x, 0.0) for x in (r, -r))
    exact = -(1 - share) * log_p - share * (log_rest - math.log(classes - 1))
    assert value == pytest.approx(exact, rel=1e-12, abs=1e-12)


@given(seed=seeds, classes=sizes, scale=st.sampled_from([1.0, 100.0]))
def test_transforms_see_the_same_function(seed: int, classes: int, scale: float):
    logits, labels = draw(seed, classes, scale, rows=3)
    share, weights = 0.1, torch.ones(1, dtype=torch.float64)

    def one(row: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return reduced_loss(row[None], label[None], weights, share, "sum")

    each = reduced_loss(logits, labels, weights.expand(3), share, "none")
    torch.testing.assert_close(vmap(one)(logits, labels), each, rtol=1e-12, atol=1e-12)
    forward_over_reverse = hessian(one)(logits[0], labels[0])
    twice = torch.autograd.functional.hessian(lambda row: one(row, labels[0]), logits[0])
    torch.testing.assert_close(forward_over_reverse, twice, rtol=1e-10, atol=1e-12)


def test_nothing_of_the_logits_size_is_kept_but_one_tensor():
    logits = torch.randn(64, 50, requires_grad=True)
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        labels, weights = torch.zeros(64, dtype=torch.long), torch.ones(64)
        reduced_loss(logits, labels, weights, 0.1, "sum")
    large = {x.untyped_storage().data_ptr() for x in kept if x.numel() >= logits.numel()}
    assert len(large) == 1
