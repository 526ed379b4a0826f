"""Linear layers are found as a pass runs, with all that their gradients need."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.training.hypergradient.linear_layers import LinearLayers, UnknownOperatorError


def leaves_of(module: nn.Module) -> list[Tensor]:
    return list(module.parameters())


def test_a_gradient_is_the_product_of_delta_and_inputs():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2, bias=False)).double()
    parameters, x = leaves_of(module), torch.randn(6, 5, 4, dtype=torch.float64)
    with LinearLayers(parameters) as layers:
        outputs = module(x)
    cotangent = torch.randn_like(outputs)
    edges = [call.edge for call in layers.calls]
    deltas = torch.autograd.grad(outputs, edges, cotangent, retain_graph=True)
    expected = torch.autograd.grad(outputs, parameters, cotangent)
    assert [call.positions for call in layers.calls] == [(0, 1), (2,)]
    assert [call.is_first for call in layers.calls] == [True, False]
    for call, delta in zip(layers.calls, deltas, strict=True):
        assert delta.shape == call.shape
        rows = delta.flatten(0, -2)
        torch.testing.assert_close(rows.T @ call.inputs, expected[call.weight])
        if call.bias is not None:
            torch.testing.assert_close(rows.sum(0), expected[call.bias])
    assert layers.others() == []


def test_other_parameters_are_told():
    module = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    with LinearLayers(leaves_of(module)) as layers:
        module(torch.randn(5, 4))
    assert layers.others() == [2, 3]


def test_a_weight_that_is_used_elsewhere_is_refused():
    module = nn.Linear(4, 4)
    with LinearLayers(leaves_of(module)) as layers:
        _ = module(torch.randn(5, 4)) + module.weight.sum()
    with pytest.raises(NotImplementedError, match="something else"):
        layers.others()


def test_layers_of_others_are_none():
    module = nn.Linear(4, 4)
    with LinearLayers([nn.Parameter(torch.ones(2))]) as layers:
        module(torch.randn(5, 4))
    assert layers.calls == []


def test_an_input_that_was_overwritten_is_told():
    module, x = nn.Linear(4, 4), torch.randn(5, 4)
    with LinearLayers(leaves_of(module)) as layers:
        module(x)
    layers.calls[0].require_unchanged()
    x.add_(1)
    with pytest.raises(NotImplementedError, match="overwritten"):
        layers.calls[0].require_unchanged()


@pytest.mark.parametrize(
    ("run", "is_row_wise"),
    [
        (lambda layer, x: layer(x).relu(), True),
        (lambda layer, x: F.gelu(layer(torch.flatten(x, 1))), True),
        (lambda layer, x: F.gelu(layer(x.flatten(start_dim=1))), True),
        (lambda layer, x: layer(torch.flatten(x).view(1, -1)[:, :4]), False),
        (lambda layer, x: layer(x).softmax(1), False),
        (lambda layer, x: layer(x) - layer(x), False),
        (lambda layer, x: layer(x) * layer.bias, False),
        (lambda layer, x: layer(x[:, None]), False),
    ],
)
def test_what_may_mix_rows_is_refused_on_demand(run, is_row_wise):
    layer, x = nn.Linear(4, 4), torch.randn(5, 4)
    with LinearLayers(leaves_of(layer), row_wise=True):
        if is_row_wise:
            run(layer, x)
        else:
            with pytest.raises(UnknownOperatorError):
                run(layer, x)


def test_layers_may_be_computed_by_another_rule():
    module, x = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.randn(5, 4)
    seen = []

    def doubled(x: Tensor, position: int, weight: Tensor, bias: Tensor | None) -> Tensor:
        seen.append(position)
        return x @ weight.T * 2 + bias

    with LinearLayers(leaves_of(module), doubled):
        found = module(x)
    first, second = module
    expected = (x @ first.weight.T * 2 + first.bias) @ second.weight.T * 2 + second.bias
    torch.testing.assert_close(found, expected)
    assert seen == [0, 2]
