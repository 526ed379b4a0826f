"""Products with J through thin factors against the same by forward mode."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from lossforge.training.hypergradient import low_rank
from lossforge.training.hypergradient.jacobian import forward_product
from lossforge.training.hypergradient.low_rank import (
    LowRankPass,
    SteppedPopulation,
    is_low_rank,
)

ROWS = {"few": 3, "many": 40}


class Tied(nn.Module):
    """A layer used twice, one without a bias, and a scale that is in no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3, bias=False)
        self.scale = nn.Parameter(torch.full((4,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.layer(x).tanh() * self.scale).tanh())


class Branching(nn.Module):
    """Goes through another layer where the batch is large."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.small, self.large = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).tanh()
        return self.large(hidden) if len(x) > 10 else self.small(hidden)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3))


NETWORKS = {"perceptron": perceptron, "normed": normed, "tied": Tied, "branching": Branching}


def function_of(module: nn.Module, x: Tensor):
    names = [name for name, _ in module.named_parameters()]
    return lambda theta: functional_call(module, dict(zip(names, theta, strict=True)), (x,))


def begin(name: str, rows: int) -> tuple[nn.Module, list[Tensor], Tensor, Tensor]:
    torch.manual_seed(0)
    module = NETWORKS[name]().double()
    x, valid = torch.randn(rows, 4).double(), torch.randn(7, 4).double()
    return module, list(module.parameters()), x, valid


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_autograd(name, rows):
    module, parameters, x, _ = begin(name, rows)
    function = function_of(module, x)
    cotangent = torch.randn(rows, 3).double()
    expected = torch.autograd.grad(
        function(parameters), parameters, cotangent, allow_unused=True, materialize_grads=True
    )
    thin = LowRankPass(function, parameters)
    found = thin.transposed(cotangent)
    dense = thin.dense(thin.gradient_along(cotangent))
    of_value = thin.dense(thin.gradient((thin.graph * cotangent).sum()))
    for theirs, *ours in zip(expected, found, dense, of_value, strict=True):
        for one in ours:
            torch.testing.assert_close(torch.zeros_like(theirs) if one is None else one, theirs)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_product_is_that_of_forward_mode(name, rows):
    """With w the gradient of a validation pass, scaled for each parameter."""
    module, parameters, x, valid = begin(name, rows)
    gains = [0.1 * (1 + at) for at in range(len(parameters))]
    training = LowRankPass(function_of(module, x), parameters)
    training.at_layers(torch.randn(rows, 3).double())
    passed = LowRankPass(function_of(module, valid), parameters)
    value = passed.graph.square().sum()
    v = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
    w = [g * gain for g, gain in zip(v, gains, strict=True)]
    _, expected = forward_product(function_of(module, x), parameters, w)
    torch.testing.assert_close(training.product(passed, passed.gradient(value), gains), expected)


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class Discarded(Unused):
    def forward(self, x: Tensor) -> Tensor:
        self.unused(x)
        return self.used(x)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (perceptron, True),
        *((build, False) for build in (normed, Tied, Unused, Discarded, Branching)),
    ],
)
def test_only_plain_perceptrons_are_low_rank_throughout(build, expected):
    module = build()
    assert (
        is_low_rank(function_of(module, torch.randn(5, 4)), list(module.parameters())) is expected
    )


def outer(outputs: Tensor) -> Tensor:
    """The gradients of the sums of fourth powers."""
    return 4 * outputs**3


def one_by_one(
    module: nn.Module, x: Tensor, valid: Tensor, cotangents: Sequence[Tensor], rate: float
) -> list[Tensor]:
    """J w after a real step of each network."""
    parameters = list(module.parameters())
    found = []
    for cotangent in cotangents:
        gradient = torch.autograd.grad(function_of(module, x)(parameters), parameters, cotangent)
        moved = [
            (theta - rate * g).detach().requires_grad_()
            for theta, g in zip(parameters, gradient, strict=True)
        ]
        outputs = function_of(module, valid)(moved)
        v = torch.autograd.grad(outputs, moved, outer(outputs.detach()))
        _, tangent = forward_product(
            function_of(module, x), [p.detach() for p in parameters], [rate * g for g in v]
        )
        found.append(tangent)
    return found


@pytest.mark.parametrize("elements", [1, 1 << 20], ids=["one by one", "together"])
@given(st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=8)
def test_a_stepped_population_is_its_networks_one_by_one(elements, count, seed):
    torch.manual_seed(seed)
    module = perceptron().double()
    x, valid = torch.randn(5, 4).double(), torch.randn(7, 4).double()
    cotangents = torch.randn(count, 5, 3).double()
    parameters = list(module.parameters())
    training = LowRankPass(function_of(module, x), parameters, row_wise=True)
    stepped = SteppedPopulation(training, parameters, 1.0, 0.2, cotangents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(low_rank, "CHUNK_ELEMENTS", elements)
        found = stepped.products(function_of(module, valid), outer)
    expected = one_by_one(module, x, valid, list(cotangents), 0.2)
    torch.testing.assert_close(found, torch.stack(expected))
