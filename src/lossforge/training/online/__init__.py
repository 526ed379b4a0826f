"""Training of a user's own model under a loss that learns along the way."""

from lossforge.training.online.mirror import Mirror
from lossforge.training.online.step import (
    OnlineStep,
    OnlineStrategy,
    choose_online_strategy,
    online_step,
    plain_step,
)
from lossforge.training.online.trainee import Inputs, Trainee

__all__ = [
    "Inputs",
    "Mirror",
    "OnlineStep",
    "OnlineStrategy",
    "Trainee",
    "choose_online_strategy",
    "online_step",
    "plain_step",
]
