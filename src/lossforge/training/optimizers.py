"""Optimizers as functions: parameters and state in, parameters and state out.

Every update is elementwise and differentiable, so it serves one network, a population stacked along
a first dimension, and a gradient through training alike. Numbers equal those of `torch.optim`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import final

import torch
from torch import Tensor

from lossforge.validation import require, require_in_range

Tensors = list[Tensor]


@final
@dataclass(frozen=True)
class State:
    """What an optimizer remembers between steps.

    Attributes:
        step: how many updates were made.
        slots: tensors shaped like the parameters, one list a remembered quantity.
    """

    step: int = 0
    slots: tuple[Tensors, ...] = ()


@dataclass(frozen=True)
class Optimizer(ABC):
    """An update rule, theta' = theta - U(gradient)."""

    learning_rate: float = 0.01
    """step size of the base network's optimizer"""

    def __post_init__(self) -> None:
        require_in_range("learning_rate", self.learning_rate, 0, exclude_low=True)

    @abstractmethod
    def init(self, parameters: Tensors) -> State:
        """Return the state before the first step."""

    @abstractmethod
    def step(self, parameters: Tensors, gradients: Tensors, state: State) -> tuple[Tensors, State]:
        """Return the parameters and the state after one update; nothing is changed in place."""

    @abstractmethod
    def sensitivity(
        self, parameters: Tensors, gradients: Tensors, state: State
    ) -> list[Tensor | float]:
        """Return dU/dg, elementwise, at the gradient of the step that `state` is about to take."""


@final
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent as in `torch.optim.SGD`.

    Examples:
        >>> sgd = SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
        >>> theta = [torch.tensor([1.0])]
        >>> theta, state = sgd.step(theta, [torch.tensor([1.0])], sgd.init(theta))
        >>> theta
        [tensor([0.8100])]
    """

    momentum: float = 0.0
    """momentum of the base network's optimizer"""
    nesterov: bool = False
    """Nesterov's form of momentum"""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_in_range("momentum", self.momentum, 0, 1)
        require_in_range("weight_decay", self.weight_decay, 0)
        require(
            not self.nesterov or self.momentum > 0,
            "nesterov needs a momentum above 0; set momentum or turn nesterov off",
        )

    def init(self, parameters: Tensors) -> State:
        """Return empty momentum buffers, none where there is no momentum."""
        return State(slots=(_zeros(parameters),) if self.momentum else ())

    def step(self, parameters: Tensors, gradients: Tensors, state: State) -> tuple[Tensors, State]:
        """Return the parameters and the momentum buffers after one update."""
        decay, rate = self.weight_decay, self.learning_rate
        if decay:
            pairs = zip(gradients, parameters, strict=True)
            gradients = [g.add(theta, alpha=decay) for g, theta in pairs]
        if self.momentum:
            pairs = zip(gradients, state.slots[0], strict=True)
            buffers = [g.add(buffer, alpha=self.momentum) for g, buffer in pairs]
            directions = buffers
            if self.nesterov:
                pairs = zip(gradients, buffers, strict=True)
                directions = [g.add(buffer, alpha=self.momentum) for g, buffer in pairs]
            slots: tuple[Tensors, ...] = (buffers,)
        else:
            directions, slots = gradients, ()
        pairs = zip(parameters, directions, strict=True)
        return [theta.sub(d, alpha=rate) for theta, d in pairs], State(state.step + 1, slots)

    @property
    def gain(self) -> float:
        """The constant dU/dg: one number, because the update is linear in the gradient."""
        return self.learning_rate * (1 + self.momentum if self.nesterov else 1)

    def sensitivity(
        self,
        parameters: Tensors,
        gradients: Tensors,
        state: State,
    ) -> list[Tensor | float]:
        """Return the constant `gain` for each parameter."""
        return [self.gain] * len(parameters)


@final
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015) as in `torch.optim.Adam`; with `decoupled`, `torch.optim.AdamW`.

    Examples:
        >>> adam = Adam(learning_rate=0.1)
        >>> theta = [torch.tensor([1.0])]
        >>> theta, state = adam.step(theta, [torch.tensor([3.0])], adam.init(theta))
        >>> theta
        [tensor([0.9000])]
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = field(default=(0.9, 0.999))
    """decay of the running means of the gradient and of its square"""
    epsilon: float = 1e-8
    """added to the denominator"""
    weight_decay: float = 0.0
    """L2 penalty, added to the gradient, or to the step with `decoupled`"""
    decoupled: bool = False
    """weight decay as in AdamW"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for beta in self.betas:
            require(0 <= beta < 1, f"betas must be from 0 to below 1, not {beta}")
        require_in_range("epsilon", self.epsilon, 0, exclude_low=True)
        require_in_range("weight_decay", self.weight_decay, 0)

    def init(self, parameters: Tensors) -> State:
        """Return zero running means."""
        return State(slots=(_zeros(parameters), _zeros(parameters)))

    def step(self, parameters: Tensors, gradients: Tensors, state: State) -> tuple[Tensors, State]:
        """Return the parameters and the running means after one update."""
        step, rate = state.step + 1, self.learning_rate
        means, squares = self._moments(self._decayed(parameters, gradients), state)
        updated = []
        for theta, mean, square in zip(parameters, means, squares, strict=True):
            kept = theta * (1 - rate * self.weight_decay) if self.decoupled else theta
            corrected = mean / self._correction(0, step)
            scale = _safe_sqrt(square / self._correction(1, step)) + self.epsilon
            updated.append(kept - rate * corrected / scale)
        return updated, State(step, (means, squares))

    def sensitivity(
        self, parameters: Tensors, gradients: Tensors, state: State
    ) -> list[Tensor | float]:
        """Return the derivative of the step just as `step` would take it, elementwise."""
        step = state.step + 1
        gradients = self._decayed(parameters, gradients)
        means, squares = self._moments(gradients, state)
        slopes: list[Tensor | float] = []
        for g, mean, square in zip(gradients, means, squares, strict=True):
            root = _safe_sqrt(square / self._correction(1, step))
            scale = root + self.epsilon
            by_mean = (1 - self.betas[0]) / self._correction(0, step) / scale
            # d root / d g; zero where the root is, as the limit from a vanishing gradient.
            by_root = torch.where(
                root > 0, (1 - self.betas[1]) * g / self._correction(1, step) / root, 0
            )
            corrected = mean / self._correction(0, step)
            slopes.append(self.learning_rate * (by_mean - corrected * by_root / scale.square()))
        return slopes

    def _decayed(self, parameters: Tensors, gradients: Tensors) -> Tensors:
        if not self.weight_decay or self.decoupled:
            return gradients
        pairs = zip(gradients, parameters, strict=True)
        return [g.add(theta, alpha=self.weight_decay) for g, theta in pairs]

    def _moments(self, gradients: Tensors, state: State) -> tuple[Tensors, Tensors]:
        first, second = self.betas
        means = [
            mean.mul(first).add(g, alpha=1 - first)
            for mean, g in zip(state.slots[0], gradients, strict=True)
        ]
        squares = [
            square.mul(second).add(g.square(), alpha=1 - second)
            for square, g in zip(state.slots[1], gradients, strict=True)
        ]
        return means, squares

    def _correction(self, which: int, step: int) -> float:
        return 1 - float(self.betas[which] ** step)


@final
@dataclass(frozen=True)
class Multistep(Optimizer):
    """SGD whose learning rate is multiplied by a factor after given steps.

    Attributes:
        learning_rate: until the first of them.
        sgd: gives momentum and weight decay.
        milestones: steps after which the learning rate is multiplied.
        factor: by which.

    Examples:
        >>> rule = Multistep(0.1, milestones=(1,), factor=0.1)
        >>> theta, state = rule.step([torch.tensor([1.0])], [torch.tensor([1.0])], State())
        >>> rule.step(theta, [torch.tensor([1.0])], state)[0]
        [tensor([0.8900])]
    """

    sgd: SGD = field(default_factory=SGD)
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def init(self, parameters: Tensors) -> State:
        """Return the state of SGD."""
        return self.sgd.init(parameters)

    def step(self, parameters: Tensors, gradients: Tensors, state: State) -> tuple[Tensors, State]:
        """Return the parameters and the state after one update at the rate of its step."""
        return self._at(state).step(parameters, gradients, state)

    def sensitivity(
        self, parameters: Tensors, gradients: Tensors, state: State
    ) -> list[Tensor | float]:
        """Return the constant gain of SGD at the rate of the step."""
        return self._at(state).sensitivity(parameters, gradients, state)

    def _at(self, state: State) -> SGD:
        passed = sum(state.step >= milestone for milestone in self.milestones)
        return replace(self.sgd, learning_rate=self.learning_rate * self.factor**passed)


def _zeros(parameters: Tensors) -> Tensors:
    return [torch.zeros_like(theta) for theta in parameters]


def _safe_sqrt(square: Tensor) -> Tensor:
    """Square root with slope 0 at 0, where the plain one has an infinite slope."""
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1).sqrt(), 0)
