"""How a `torch.optim` optimizer's next step depends on the gradient."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, optim

from lossforge.errors import ConfigurationError
from lossforge.training.hypergradient.jacobian import Gradients
from lossforge.training.optimizers import Adam, State, Tensors

ELEMENTWISE: tuple[type[optim.Optimizer], ...] = (
    *(optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.NAdam, optim.RAdam),
    *(optim.Adamax, optim.Adadelta, optim.ASGD),
)
"""Optimizers that change each number by its own gradient alone, and smoothly."""

TINY = 1e-18
"""Stands for a gradient of zero, at which the square root of its square has no derivative."""


@final
@dataclass(frozen=True)
class _Group:
    """The parameters that share an optimizer's options, as far as they learn."""

    parameters: Tensors
    options: Mapping[str, Any]


@final
class OptimizerResponse:
    """Tells how an optimizer's next step depends on the gradient.

    Args:
        optimizer: elementwise, of any number of parameter groups; with options of any value.

    Raises:
        ConfigurationError: it is another optimizer.

    Examples:
        >>> theta = torch.ones(2, requires_grad=True)
        >>> OptimizerResponse(optim.SGD([theta], 0.1)).slopes([torch.ones(2)])
        [0.1]
    """

    def __init__(self, optimizer: optim.Optimizer):
        if type(optimizer) not in ELEMENTWISE:
            known = ", ".join(rule.__name__ for rule in ELEMENTWISE)
            raise ConfigurationError(
                f"an online loss cannot follow {type(optimizer).__name__}; use one of "
                f"torch.optim's {known}"
            )
        self._optimizer, self._rule = optimizer, type(optimizer)

    def parameters(self) -> Tensors:
        """Return the parameters of all groups that ask for gradients, in order."""
        return [theta for group in self._groups() for theta in group.parameters]

    @property
    def is_linear(self) -> bool:
        """Whether the response is one number a parameter, as SGD's."""
        return self._rule is optim.SGD

    def gains(self) -> list[float]:
        """Return SGD's dU/dg for each parameter in order."""
        return [
            self._gain(group.options, theta)
            for group in self._groups()
            for theta in group.parameters
        ]

    def slopes(self, gradients: Gradients) -> list[Tensor | float]:
        """Return dU/dg of the step about to be taken, elementwise, for each parameter in order.

        Args:
            gradients: with which it will be taken; None where the optimizer will pass over a
                parameter.
        """
        if self.is_linear:
            pairs = zip(self.gains(), gradients, strict=True)
            return [0.0 if g is None else gain for gain, g in pairs]
        found: list[Tensor | float] = []
        remaining = iter(gradients)
        for group in self._groups():
            for theta in group.parameters:
                g = next(remaining)
                found.append(0.0 if g is None else self._slope(group.options, theta, g))
        return found

    def _groups(self) -> Iterator[_Group]:
        for group in self._optimizer.param_groups:
            learned = [theta for theta in group["params"] if theta.requires_grad]
            yield _Group(learned, group)

    def _gain(self, options: Mapping[str, Any], theta: Tensor) -> float:
        momentum, rate = float(options["momentum"]), float(options["lr"])
        started = self._optimizer.state.get(theta, {}).get("momentum_buffer") is not None
        share = 1 - float(options["dampening"]) if momentum and started else 1.0
        gain = rate * (1 + momentum * share if options["nesterov"] else share)
        return -gain if options["maximize"] else gain

    def _slope(self, options: Mapping[str, Any], theta: Tensor, g: Tensor) -> Tensor:
        dense = g.to_dense() if g.is_sparse else g
        if float(options["lr"]) == 0 and self._rule is not optim.ASGD:  # whose rate is a state
            return torch.zeros_like(dense)
        plain = self._rule in (optim.Adam, optim.AdamW)
        if plain and not options["amsgrad"] and not options["maximize"]:
            return self._slope_of_adam(options, theta, dense)
        return self._slope_by_differentiation(options, theta, dense)

    def _slope_of_adam(self, options: Mapping[str, Any], theta: Tensor, g: Tensor) -> Tensor:
        first, second = (float(beta) for beta in options["betas"])
        decoupled = self._rule is optim.AdamW or options.get("decoupled_weight_decay", False)
        rule = Adam(
            float(options["lr"]),
            (first, second),
            float(options["eps"]),
            float(options["weight_decay"]),
            bool(decoupled),
        )
        saved = self._optimizer.state.get(theta, {})
        state = rule.init([theta])
        if saved:
            state = State(int(saved["step"]), ([saved["exp_avg"]], [saved["exp_avg_sq"]]))
        (slope,) = rule.sensitivity([theta.detach()], [g], state)
        assert isinstance(slope, Tensor)
        return slope

    def _slope_by_differentiation(
        self, options: Mapping[str, Any], theta: Tensor, g: Tensor
    ) -> Tensor:
        """Differentiate PyTorch's own step, on copies of the parameter and of its state."""
        leaf = torch.where(g == 0, TINY, g.detach()).requires_grad_()
        moved = theta.detach().clone()
        rule: Any = self._rule
        copied: optim.Optimizer = rule([moved], differentiable=True)
        plainly = {"differentiable": True, "foreach": False, "fused": None}
        kept = {key: value for key, value in options.items() if key != "params"}
        copied.param_groups[0].update(kept | {k: v for k, v in plainly.items() if k in options})
        saved = self._optimizer.state.get(theta, {})
        if saved:
            copied.state[moved] = {
                key: value.detach().clone() if isinstance(value, Tensor) else value
                for key, value in saved.items()
            }
        moved.grad = leaf
        copied.step()
        if not moved.requires_grad:
            return torch.zeros_like(leaf)
        # Every number moves by its own gradient alone: the sum's gradient is the diagonal.
        (slope,) = torch.autograd.grad(moved.sum(), leaf, materialize_grads=True)
        return -slope
