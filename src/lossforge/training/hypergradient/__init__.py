"""Hypergradients: how a loss's coefficients learn from training under the loss.

Offline, for populations of losses on networks that start afresh (`hypergradient`), and online, for
one loss in a training loop of the user's own (`OnlineEngine`).
"""

from lossforge.training.hypergradient.choose import choose_strategy, preferred
from lossforge.training.hypergradient.observation import Observation
from lossforge.training.hypergradient.offline import (
    Batch,
    Hypergradient,
    Start,
    Strategy,
    hypergradient,
)
from lossforge.training.hypergradient.online import (
    OnlineEngine,
    OnlineStep,
    OnlineStrategy,
    SlowPathWarning,
)
from lossforge.training.hypergradient.response import OptimizerResponse
from lossforge.training.hypergradient.state import TrainState, plain_step
from lossforge.training.hypergradient.unroll import Point, pull_back_through

__all__ = [
    "Batch",
    "Hypergradient",
    "Observation",
    "OnlineEngine",
    "OnlineStep",
    "OnlineStrategy",
    "OptimizerResponse",
    "Point",
    "SlowPathWarning",
    "Start",
    "Strategy",
    "TrainState",
    "choose_strategy",
    "hypergradient",
    "plain_step",
    "preferred",
    "pull_back_through",
]
