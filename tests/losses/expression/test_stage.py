"""One level in memory: values, tangents and adjoints are those of autograd."""

import pytest
import torch
from torch import Tensor

from lossforge.losses.expression import PRIMITIVES, Expression
from lossforge.losses.expression.schedule import schedule
from lossforge.losses.expression.stage import Stage

WIDTH = 4
NAMES = [name for name, primitive in PRIMITIVES.items() if primitive.merge is None]


class Case:
    """A level of one node for each function, on rows of random values and tangents."""

    def __init__(self, names: list[str]):
        torch.manual_seed(0)
        trees = [Expression((name, *("y", "p")[: PRIMITIVES[name].arity])) for name in names]
        (self.level,) = schedule(trees)
        nodes, edges = len(self.level.nodes), len(self.level.edges)
        self.sources = torch.randperm(edges)
        self.state = torch.randn(2, edges + nodes, WIDTH, dtype=torch.float64)
        self.rows = self.state[:, edges:]
        self.flow, self.adjoint = torch.empty(2, 2, edges, WIDTH, dtype=torch.float64)
        self.coefficients = torch.randn(edges, 1, dtype=torch.float64)
        self.inputs = self.state[:, :edges].clone()
        self.consumers = torch.randperm(nodes)
        self.stage = Stage(
            self.level,
            rows=self.rows,
            flow=self.flow,
            adjoint=self.adjoint,
            sources=self.sources,
            consumers=self.consumers,
        )

    def expected(self, flow: Tensor) -> Tensor:
        """Values and tangents of the nodes [2, nodes, W] from what flows along the edges."""
        names = [name for name, count in self.level.kernels for _ in range(count)]
        nodes, found = len(names), []
        for row, name in enumerate(names):
            at = [row, nodes + row][: PRIMITIVES[name].arity]
            arguments = [flow[0, i] for i in at]
            slopes = PRIMITIVES[name].first(*arguments)
            tangent = sum(slope * flow[1, i] for slope, i in zip(slopes, at, strict=True))
            found.append(torch.stack([PRIMITIVES[name].value(*arguments), tangent]))
        return torch.stack(found, 1)


each_name = pytest.mark.parametrize("names", [[name] for name in NAMES] + [NAMES], ids=str)


@each_name
@pytest.mark.parametrize("order", [1, 2])
def test_forward_writes_values_and_tangents(names, order):
    case = Case(names)
    case.stage.forward(case.state, case.coefficients, order)
    flow = case.inputs[:, case.sources] * case.coefficients
    torch.testing.assert_close(case.rows, case.expected(flow))


def test_order_zero_leaves_tangents_alone():
    case = Case(NAMES)
    before = case.rows[1].clone()
    case.stage.forward(case.state[:1], case.coefficients, 0)
    flow = case.inputs[:, case.sources] * case.coefficients
    torch.testing.assert_close(case.rows[0], case.expected(flow)[0])
    assert torch.equal(case.rows[1], before)


@each_name
def test_backward_gives_the_adjoints_of_what_flows(names):
    case = Case(names)
    nodes = len(case.level.nodes)
    arrived = torch.randn(2, nodes, WIDTH, dtype=torch.float64)
    scales = torch.randn(nodes, 1, dtype=torch.float64)
    case.stage.forward(case.state, case.coefficients, 2)
    flow = (case.inputs[:, case.sources] * case.coefficients).requires_grad_()
    values, tangents = [], []
    kinds = [name for name, count in case.level.kernels for _ in range(count)]
    for row, name in enumerate(kinds):
        at = [row, nodes + row][: PRIMITIVES[name].arity]
        arguments = [flow[0, i] for i in at]
        value = PRIMITIVES[name].value(*arguments)
        slopes = [torch.zeros(WIDTH, dtype=torch.float64)] * len(at)
        if value.requires_grad:
            slopes = torch.autograd.grad(
                value.sum(), arguments, create_graph=True, materialize_grads=True
            )
        values.append(value)
        tangents.append(sum(s * flow[1, i] for s, i in zip(slopes, at, strict=True)))
    outputs = torch.stack([torch.stack(values), torch.stack(tangents)])
    expected = torch.autograd.grad(
        outputs, flow, arrived[:, case.consumers] * scales, materialize_grads=True
    )[0]
    case.stage.backward(arrived, scales)
    torch.testing.assert_close(case.adjoint, expected)
    torch.testing.assert_close(case.flow, flow.detach() * expected)
