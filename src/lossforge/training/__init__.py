"""How networks are trained under a loss, and how a loss learns from it."""

from lossforge.training.ensemble import (
    Ensemble,
    EnsembleConfig,
    EnsembleState,
    Stacking,
    choose_stacking,
    make_ensemble,
)
from lossforge.training.network import Network
from lossforge.training.optimizers import SGD, Adam, Optimizer, State

__all__ = [
    "SGD",
    "Adam",
    "Ensemble",
    "EnsembleConfig",
    "EnsembleState",
    "Network",
    "Optimizer",
    "Stacking",
    "State",
    "choose_stacking",
    "make_ensemble",
]
