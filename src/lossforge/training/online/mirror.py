"""How a `torch.optim` optimizer's next step depends on the gradient: what an online loss needs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError
from lossforge.training.optimizers import SGD, Adam, Optimizer, State, Tensors

REFUSED = ("maximize", "amsgrad", "dampening", "differentiable")
"""options whose steps are not mirrored"""


@final
@dataclass(frozen=True)
class Group:
    """The parameters that share an optimizer's options."""

    parameters: Tensors
    options: Mapping[str, Any]
    rule: type[torch.optim.Optimizer]

    def mirrored(self) -> Optimizer:
        """Return the update rule with the options as they are now."""
        options = self.options
        rate, decay = float(options["lr"]), float(options["weight_decay"])
        if self.rule is torch.optim.SGD:
            return SGD(rate, float(options["momentum"]), bool(options["nesterov"]), decay)
        decoupled = bool(
            self.rule is torch.optim.AdamW or options.get("decoupled_weight_decay", False)
        )
        first, second = (float(beta) for beta in options["betas"])
        return Adam(rate, (first, second), float(options["eps"]), decay, decoupled)


@final
class Mirror:
    """A view of an optimizer that tells how its next step depends on the gradient.

    Args:
        optimizer: `torch.optim.SGD`, `Adam` or `AdamW`, of any number of parameter groups.

    Raises:
        ConfigurationError: it is another optimizer, or an option is set that is not mirrored.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        rule = type(optimizer)
        if rule not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
            raise ConfigurationError(
                f"an online loss needs torch.optim.SGD, Adam or AdamW, not {rule.__name__}"
            )
        for group in optimizer.param_groups:
            for option in REFUSED:
                if group.get(option):
                    raise ConfigurationError(
                        f"an online loss cannot follow {rule.__name__} with {option}; unset it"
                    )
        self._optimizer, self._rule = optimizer, rule

    def parameters(self) -> Tensors:
        """Return the parameters of all groups, in order."""
        return [theta for group in self._groups() for theta in group.parameters]

    @property
    def is_sgd(self) -> bool:
        """Whether a step is linear in the gradient, by one number a parameter."""
        return self._rule is torch.optim.SGD

    def gains(self) -> list[float]:
        """Return SGD's dU/dg for each parameter in order."""
        found: list[float] = []
        for group in self._groups():
            rule = group.mirrored()
            assert isinstance(rule, SGD)
            found += [rule.gain] * len(group.parameters)
        return found

    def sensitivity(self, gradients: Tensors) -> list[Tensor | float]:
        """Return dU/dg of the step about to be taken, elementwise, for each parameter in order."""
        slopes: list[Tensor | float] = []
        remaining = iter(gradients)
        for group in self._groups():
            own = [next(remaining) for _ in group.parameters]
            parameters = [theta.detach() for theta in group.parameters]
            slopes += group.mirrored().sensitivity(parameters, own, self._state(group))
        return slopes

    def _groups(self) -> Iterator[Group]:
        for group in self._optimizer.param_groups:
            learned = [theta for theta in group["params"] if theta.requires_grad]
            yield Group(learned, group, self._rule)

    def _state(self, group: Group) -> State:
        """Return what the optimizer remembers; SGD's steps depend on none of it."""
        if self._rule is torch.optim.SGD or not group.parameters:
            return State()
        saved = [self._optimizer.state.get(theta, {}) for theta in group.parameters]
        if not saved[0]:
            zeros = [torch.zeros_like(theta) for theta in group.parameters]
            return State(slots=(zeros, zeros))
        means = [state["exp_avg"] for state in saved]
        squares = [state["exp_avg_sq"] for state in saved]
        return State(int(saved[0]["step"]), (means, squares))
