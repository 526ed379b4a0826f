"""How networks are trained under a loss, and how a loss learns from it."""

from lossforge.training.cohort import Cohort, Setup, Stacking, form_cohort
from lossforge.training.metrics import metric_per_example
from lossforge.training.network import Network
from lossforge.training.optimizers import SGD, Adam, Optimizer, State

__all__ = [
    "SGD",
    "Adam",
    "Cohort",
    "Network",
    "Optimizer",
    "Setup",
    "Stacking",
    "State",
    "form_cohort",
    "metric_per_example",
]
