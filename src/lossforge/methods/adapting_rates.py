"""Hypergradient descent on learning rates alone: the control of losses that adapt in training.

A loss that adapts can act as a learning rate does. Whoever learns the rates by the same gradient,
and nothing else, tells how much of what such a loss does is that. Source: Baydin et al., "Online
Learning Rate Adaptation with Hypergradient Descent" (ICLR 2018, arXiv 1703.04782); with a factor
for each layer, and lowering T on validation rows, as Algorithms 3 and 4 of AdaLFL's TMLR version:

    (1)  θ_l ← θ_l + f_l · d_l            d_l: the optimizer's step of layer l at its own rate
    (2)  ∂T(θ) / ∂ log f_l = f_l · <∂T/∂θ_l, d_l>
    (3)  log f ← Adam(log f, Eq. 2)
"""

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from lossforge.errors import DivergedError
from lossforge.losses import Loss
from lossforge.methods.adaptive import AdaptiveNumber
from lossforge.tasks import Batches
from lossforge.training.hypergradient import TrainState, plain_step
from lossforge.training.module import Moment


@final
class AdaptingRates:
    """The objective that learns a factor on the learning rate of each layer.

    A layer is a module with parameters of its own: its weight and bias have one factor.

    Args:
        trainee: the network with its optimizer, whose rate a schedule may change.
        loss: to train under.
        task_loss: T, which the rates are to lower.
        valid: rows to lower it on.
        settings: how fast the factors adapt, and where they begin.
        record_every: steps between copies of the factors that are kept; 0 keeps none.

    Attributes:
        moments: (step, factors by layer) over time.
    """

    def __init__(
        self,
        trainee: TrainState,
        loss: Loss,
        task_loss: Loss,
        valid: Batches,
        settings: AdaptiveNumber,
        record_every: int = 0,
    ):
        self._trainee, self._loss, self._task_loss = trainee, loss, task_loss
        self._valid, self._every, self._record_every = valid, settings.every, record_every
        names = {id(theta): name for name, theta in trainee.module.named_parameters()}
        layers = [names[id(theta)].rpartition(".")[0] for theta in trainee.parameters]
        self.layers = list(dict.fromkeys(layers))
        self._of = [self.layers.index(layer) for layer in layers]
        first = torch.full((len(self.layers),), settings.start or 1.0)
        self._logs = first.log().to(trainee.parameters[0].device).requires_grad_()
        self._adam = torch.optim.Adam([self._logs], settings.meta_learning_rate)
        self._steps = 0
        self.moments: list[tuple[int, dict[str, float]]] = []

    def numbers(self) -> dict[str, float]:
        """Return the factor of each layer as it is now."""
        factors = self._logs.detach().exp().tolist()
        return {f"layer {name}": f for name, f in zip(self.layers, factors, strict=True)}

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Train for one step, and the factors for one.

        Raises:
            DivergedError: a loss, or the gradient by the factors, is not finite.
        """
        if self._record_every and self._steps % self._record_every == 0:
            self.moments.append((self._steps, self.numbers()))
        parameters, factors = self._trainee.parameters, self._logs.detach().exp()
        before = [theta.detach().clone() for theta in parameters]
        plain_step(self._trainee, self._loss, [batch])
        moved = list[Tensor]()
        with torch.no_grad():
            for theta, begun, layer in zip(parameters, before, self._of, strict=True):
                moved.append(factors[layer] * (theta - begun))
                theta.copy_(begun + moved[-1])  # Eq. (1)
        self._steps += 1
        if self._steps % self._every == 0:
            self._learn(moved)

    def _learn(self, moved: list[Tensor]) -> None:
        state, (inputs, targets) = self._trainee, self._valid.draw()
        with Moment(state.module).kept():
            value = self._task_loss(state.rerun(inputs).float(), targets)
        found = torch.autograd.grad(value, state.parameters, allow_unused=True)
        gradient = torch.zeros_like(self._logs)
        for layer, g, d in zip(self._of, found, moved, strict=True):
            if g is not None:
                gradient[layer] += (g * d).sum()  # Eq. (2)
        if not bool(gradient.isfinite().all()):
            raise DivergedError(
                f"the gradient by the learning rates is not finite at step {self._steps}; lower "
                "the learning rate or clip gradients (clip_norm)"
            )
        self._logs.grad = gradient
        self._adam.step()  # Eq. (3)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` goes on from."""
        return {
            "logs": self._logs.detach().clone(),
            "adam": self._adam.state_dict(),
            "steps": self._steps,
            "moments": self.moments,
            "valid": self._valid.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        with torch.no_grad():
            self._logs.copy_(state["logs"])
        self._adam.load_state_dict(state["adam"])
        self._steps, self.moments = state["steps"], list(state["moments"])
        self._valid.restore(state["valid"])
