"""Hypergradients: how a loss's coefficients learn from training under the loss."""

from lossforge.training.hypergradient.compute import Hypergradient, Strategy, hypergradient
from lossforge.training.hypergradient.strategy import SlowPathWarning, choose_strategy
from lossforge.training.hypergradient.transport import Batch, Start

__all__ = [
    "Batch",
    "Hypergradient",
    "SlowPathWarning",
    "Start",
    "Strategy",
    "choose_strategy",
    "hypergradient",
]
