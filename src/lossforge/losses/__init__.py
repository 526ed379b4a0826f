"""What is learned: loss functions, called as ``loss(outputs, targets)``."""

from lossforge.losses.handcrafted import (
    HANDCRAFTED,
    Absolute,
    CrossEntropy,
    Focal,
    Handcrafted,
    Huber,
    LabelSmoothing,
    Squared,
    default_loss,
)
from lossforge.losses.loss import ElementwiseLoss, Loss, Reduction
from lossforge.losses.population import (
    LossPopulation,
    ModulePopulation,
    SymbolicPopulation,
    as_population,
)
from lossforge.losses.storage import load, save
from lossforge.losses.symbolic import SymbolicLoss

__all__ = [
    "HANDCRAFTED",
    "Absolute",
    "CrossEntropy",
    "ElementwiseLoss",
    "Focal",
    "Handcrafted",
    "Huber",
    "LabelSmoothing",
    "Loss",
    "LossPopulation",
    "ModulePopulation",
    "Reduction",
    "Squared",
    "SymbolicLoss",
    "SymbolicPopulation",
    "as_population",
    "default_loss",
    "load",
    "save",
]
