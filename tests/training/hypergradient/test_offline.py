"""Hypergradients against central differences of real training: torch modules, torch optimizers."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.losses import (
    CalibratedCrossEntropy,
    CrossEntropy,
    Loss,
    LossPopulation,
    ModulePopulation,
    Squared,
    SymbolicLoss,
    SymbolicPopulation,
)
from lossforge.randomness import isolated_seed
from lossforge.training import SGD, Adam, Network, Optimizer
from lossforge.training.hypergradient import Batch, Start, Strategy, hypergradient

EPSILON = 1e-5
TOLERANCE = 1e-6

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(0.3),
    "momentum": SGD(0.2, momentum=0.9),
    "nesterov": SGD(0.2, momentum=0.9, nesterov=True, weight_decay=0.01),
    # A first step of Adam is the gradient's sign but for epsilon, which is large here to matter.
    "adam": Adam(0.05, epsilon=0.01, weight_decay=0.01),
    "adamw": Adam(0.05, epsilon=0.01, weight_decay=0.01, decoupled=True),
}

CLASSIFICATION = [
    "1.1*sub(0.9*square(1.2*sub(y, 0.8*p)), 1.05*mul(y, 0.7*log(1.3*p)))",
    "0.9*tanh(1.1*mul(1.2*p, 0.9*sub(p, 1.5*y)))",
]
REGRESSION = [
    "1.1*tanh(0.3*square(0.9*sub(1.2*y, p)))",
    "0.8*aq(square(sub(1.1*y, p)), 0.5*sqrt(1.1*add(2*1, 0.3*square(p))))",
]


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def batches(count: int, shape: tuple[int, ...], kind: str) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        inputs = torch.randn(6, *shape, generator=generator, dtype=torch.float64)
        if kind == "classification":
            targets = torch.randint(3, (6,), generator=generator)
        else:
            targets = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        found.append((inputs, targets))
    return found


def population(kind: str) -> SymbolicPopulation:
    texts = CLASSIFICATION if kind == "classification" else REGRESSION
    return SymbolicPopulation([SymbolicLoss(text, kind=kind).double() for text in texts])


def torch_optimizer(optimizer: Optimizer, module: nn.Module) -> torch.optim.Optimizer:
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(
            module.parameters(),
            lr=optimizer.learning_rate,
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
            weight_decay=optimizer.weight_decay,
        )
    assert isinstance(optimizer, Adam)
    kind = torch.optim.AdamW if optimizer.decoupled else torch.optim.Adam
    return kind(
        module.parameters(),
        lr=optimizer.learning_rate,
        eps=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
    )


@dataclass(frozen=True)
class Case:
    """A network in the midst of training: `warm` batches under the task loss came before."""

    module: nn.Module
    optimizer: Optimizer
    losses: LossPopulation
    warm: list[Batch]
    train: list[Batch]
    valid: Batch
    task_loss: Loss

    def start(self) -> Start:
        """Return where our inner steps begin, reached by our own optimizers."""
        network = Network(copy.deepcopy(self.module))
        parameters = network.parameters()
        state = self.optimizer.init(parameters)
        for inputs, targets in self.warm:
            leaves = [theta.requires_grad_() for theta in parameters]
            value = self.task_loss(network(leaves, inputs), targets)
            gradient = list(torch.autograd.grad(value, leaves))
            with torch.no_grad():
                parameters, state = self.optimizer.step(leaves, gradient, state)
        return Start(network, [theta.detach() for theta in parameters], self.optimizer, state)

    def reference(self, loss: Loss) -> float:
        """Train a real module by a real optimizer and return the task loss."""
        module = copy.deepcopy(self.module)
        stepper = torch_optimizer(self.optimizer, module)
        stages = [(self.task_loss, batch) for batch in self.warm]
        stages += [(loss, batch) for batch in self.train]
        for stage, (inputs, targets) in stages:
            stepper.zero_grad()
            stage(module(inputs), targets).backward()
            stepper.step()
        inputs, targets = self.valid
        return self.task_loss(module(inputs), targets).item()

    def central_differences(self) -> Tensor:
        """Return dT/dphi [P, N] by moving one coefficient at a time."""
        gradient = torch.zeros_like(self.losses.coefficients)
        for index, position in self.positions():
            values = []
            for sign in (1, -1):
                moved = self.losses.coefficients.clone()
                moved[index, position] += sign * EPSILON
                values.append(self.reference(self.losses.with_coefficients(moved).loss(index)))
            gradient[index, position] = (values[0] - values[1]) / (2 * EPSILON)
        return gradient

    def positions(self) -> Iterator[tuple[int, int]]:
        for index in range(len(self.losses)):
            for position in range(self.losses.loss(index).coefficients.numel()):
                yield index, position


def make_case(name: str, network: str, inner_steps: int, kind: str, warm_steps: int = 0) -> Case:
    with isolated_seed(0):
        module = (dense if network == "dense" else convolutional)().double()
    shape = (4,) if network == "dense" else (1, 6, 6)
    *stream, valid = batches(warm_steps + inner_steps + 1, shape, kind)
    return Case(
        module,
        OPTIMIZERS[name],
        population(kind),
        stream[:warm_steps],
        stream[warm_steps:],
        valid,
        CrossEntropy() if kind == "classification" else Squared(),
    )


def strategies(network: str, optimizer: Optimizer, inner_steps: int) -> list[Strategy]:
    found: list[Strategy] = ["unroll", "recompute"]
    if inner_steps == 1:
        found += ["forward", "reverse"]
        if network == "dense" and isinstance(optimizer, SGD):
            found.append("low_rank")
    return found


def assert_all_strategies_agree(case: Case, network: str) -> None:
    expected = case.central_differences()
    scale = expected.abs().max()
    assert scale > 1e-4, "a test with nothing to find"
    plain = [case.reference(case.losses.loss(index)) for index in range(len(case.losses))]
    for strategy in strategies(network, case.optimizer, len(case.train)):
        found = hypergradient(
            case.start(), case.losses, case.train, case.valid, case.task_loss, strategy
        )
        assert (found.gradient - expected).abs().max() / scale < TOLERANCE, strategy
        torch.testing.assert_close(found.task_loss.tolist(), plain)


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("inner_steps", [1, 2, 5])
@pytest.mark.parametrize("network", ["dense", "convolutional"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_strategy_agrees_with_central_differences(name, network, inner_steps, kind):
    assert_all_strategies_agree(make_case(name, network, inner_steps, kind), network)


@pytest.mark.parametrize("network", ["dense", "convolutional"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_a_training_network_is_accounted_for(name, network):
    case = make_case(name, network, 1, "classification", warm_steps=3)
    assert_all_strategies_agree(case, network)


@pytest.mark.parametrize("strategy", ["low_rank", "forward", "reverse"])
def test_many_losses_at_once_are_as_one_by_one(strategy):
    case = make_case("nesterov", "dense", 1, "classification")
    arguments = (case.train, case.valid, case.task_loss, strategy)
    together = hypergradient(case.start(), case.losses, *arguments)
    for index in range(len(case.losses)):
        single = hypergradient(case.start(), case.losses.select([index]), *arguments)
        size = single.gradient.shape[1]
        torch.testing.assert_close(together.gradient[index, :size], single.gradient[0])
        torch.testing.assert_close(together.task_loss[index], single.task_loss[0])


def test_losses_of_any_class_have_hypergradients():
    case = make_case("sgd", "dense", 1, "classification")
    modules = ModulePopulation([case.losses.loss(index) for index in range(len(case.losses))])
    arguments = (case.train, case.valid, case.task_loss)
    expected = hypergradient(case.start(), case.losses, *arguments, "low_rank")
    for strategy in strategies("dense", case.optimizer, 1):
        found = hypergradient(case.start(), modules, *arguments, strategy)
        torch.testing.assert_close(found.gradient, expected.gradient)


def test_nothing_is_left_in_the_network_or_its_parameters():
    case = make_case("nesterov", "convolutional", 1, "classification")
    start = case.start()
    before = [theta.clone() for theta in start.parameters]
    buffers = start.network.buffers()
    hypergradient(start, case.losses, case.train, case.valid, case.task_loss, "forward")
    assert all(map(torch.equal, before, start.parameters))
    assert all(torch.equal(buffers[name], b) for name, b in start.network.buffers().items())
    assert all(theta.grad is None for theta in start.parameters)


def test_wrong_requests_are_refused():
    case = make_case("sgd", "dense", 2, "classification")
    with pytest.raises(ConfigurationError, match="takes one inner step, not 2"):
        hypergradient(case.start(), case.losses, case.train, case.valid, case.task_loss, "forward")
    with pytest.raises(ConfigurationError, match="at least one inner step"):
        hypergradient(case.start(), case.losses, [], case.valid, case.task_loss, "unroll")
    with pytest.raises(UnknownNameError, match="did you mean 'forward'"):
        hypergradient(case.start(), case.losses, case.train, case.valid, case.task_loss, "foward")


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_a_task_loss_whose_examples_depend_on_each_other_is_followed(inner_steps):
    # Each loss of the population has a temperature of its own.
    case = make_case("nesterov", "dense", inner_steps, "classification", warm_steps=1)
    assert_all_strategies_agree(replace(case, task_loss=CalibratedCrossEntropy()), "dense")
