"""Which way of computing a hypergradient suits a network; chosen by what was measured."""

import warnings

import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.training.hypergradient.compute import Strategy
from lossforge.training.hypergradient.dense import ForwardTransport, ReverseTransport
from lossforge.training.hypergradient.low_rank import is_low_rank
from lossforge.training.hypergradient.transport import Start, Transport
from lossforge.training.optimizers import SGD

PROBE_ROWS = 4


class SlowPathWarning(UserWarning):
    """A faster way of computing was not possible; the number is the same."""


def choose_strategy(start: Start, inputs: torch.Tensor, inner_steps: int = 1) -> Strategy:
    """Return the fastest exact strategy for a network.

    Low rank where all parameters stand in linear layers and the optimizer is SGD; else forward mode
    for convolutions and the reversed reverse pass for all other networks, each falling back to the
    other, with a `SlowPathWarning`, where an operator does not support it.

    Args:
        start: of the inner steps.
        inputs: a batch of the task.
        inner_steps: K.

    Raises:
        ConfigurationError: the network cannot be differentiated in any of these ways.
    """
    if inner_steps > 1:
        return "unroll"
    rows = inputs[:PROBE_ROWS]
    if isinstance(start.optimizer, SGD) and is_low_rank(start.network, start.parameters, rows):
        return "low_rank"
    convolves = any(isinstance(part, nn.Conv2d) for part in start.network.module.modules())
    order: tuple[Strategy, Strategy] = (
        ("forward", "reverse") if convolves else ("reverse", "forward")
    )
    failures = {}
    for strategy in order:
        failure = _failure(strategy, start, rows)
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


def _failure(strategy: Strategy, start: Start, inputs: torch.Tensor) -> str | None:
    """Return why a transport fails on a few rows, None if it does not."""
    transports: dict[str, type[Transport]] = {
        "forward": ForwardTransport,
        "reverse": ReverseTransport,
    }
    try:
        transport = transports[strategy](start, inputs)
        transport(torch.ones_like(transport.outputs)[None], inputs, torch.ones_like)
    except (RuntimeError, NotImplementedError) as error:
        return str(error).splitlines()[0]
    return None
