"""Which way of computing a hypergradient suits a network; chosen by what was measured."""

import math
import warnings

import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.models.calling import Inputs
from lossforge.randomness import RandomState
from lossforge.training.hypergradient.jacobian import gradients, suspects
from lossforge.training.hypergradient.low_rank import is_low_rank
from lossforge.training.hypergradient.offline import (
    ForwardStep,
    OneStep,
    ReverseStep,
    Start,
    Strategy,
)
from lossforge.training.hypergradient.online import OnlineStrategy, SlowPathWarning
from lossforge.training.module import differentiable
from lossforge.training.optimizers import SGD

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

STEPS: dict[Strategy, type[OneStep]] = {"forward": ForwardStep, "reverse": ReverseStep}


def preferred(module: nn.Module) -> tuple[OnlineStrategy, ...]:
    """Return the strategies for online learning, the faster first.

    Forward mode is faster on convolutions, the reversed reverse pass on all else (measured on 2
    CPU cores).
    """
    if any(isinstance(part, _CONVOLUTIONS) for part in module.modules()):
        return ("forward", "reverse")
    return ("low_rank", "reverse", "forward")


def choose_strategy(start: Start, inputs: Inputs, inner_steps: int = 1) -> Strategy:
    """Return the fastest exact strategy for a network.

    Low rank where all parameters stand in linear layers and the optimizer is SGD; else forward mode
    for convolutions and the reversed reverse pass for all other networks, each falling back to the
    other, with a `SlowPathWarning`, where an operator does not support it or its gradient is not
    that of plain training.

    Args:
        start: of the inner steps.
        inputs: a batch of the task.
        inner_steps: K.

    Raises:
        ConfigurationError: the network cannot be differentiated in any of these ways.
    """
    if inner_steps > 1:
        return "unroll"
    with RandomState().replayed(), differentiable():
        if isinstance(start.optimizer, SGD) and is_low_rank(
            lambda theta: start.network(theta, inputs), start.parameters
        ):
            return "low_rank"
        failures = {}
        for strategy in preferred(start.network.module):
            if strategy == "low_rank":
                continue
            failure = _failure(STEPS[strategy], start, inputs)
            if failure is None:
                return strategy
            failures[strategy] = failure
            warnings.warn(
                f"the network does not support {strategy}-mode hypergradients ({failure})",
                SlowPathWarning,
                stacklevel=2,
            )
    raise ConfigurationError(
        f"the network can be differentiated neither by forward mode ({failures['forward']}) "
        f"nor twice in reverse ({failures['reverse']}); replace the operator named"
    )


def _failure(step: type[OneStep], start: Start, inputs: Inputs) -> str | None:
    """Return why a step fails, None if it does not.

    <c, J g> must be |g|^2 for g = J^T c, of each parameter for itself as far as it matters.
    """
    randomness = RandomState()
    try:
        with differentiable():
            taken = step(start, inputs)
            cotangent = torch.linspace(
                -1, 1, taken.outputs.numel(), dtype=taken.outputs.dtype, device=taken.outputs.device
            ).view_as(taken.outputs)
            found = taken.transposed(cotangent, is_last=True)
            direction = [
                torch.zeros_like(theta) if g is None else g
                for g, theta in zip(found, start.parameters, strict=True)
            ]
            reached = float((taken.product(direction).double() * cotangent.double()).sum())
            with randomness.replayed(), torch.enable_grad():
                leaves = [theta.detach().requires_grad_() for theta in start.parameters]
                plain = gradients(start.network(leaves, inputs), leaves, cotangent)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        return str(error).strip().splitlines()[0]
    expected = sum(float(g.double().square().sum()) for g in plain if g is not None)
    if not math.isclose(reached, expected, rel_tol=0.01, abs_tol=1e-12):
        names = suspects(taken.graph, start.network.module) if taken.graph is not None else ()
        likely = f", likely because of {', '.join(names)}" if names else ""
        return f"its gradient is not that of plain training{likely}"
    return None
