"""What is learned: loss functions, called as ``loss(outputs, targets)``."""

from lossforge.losses.fused_linear import sparse_lsr_linear
from lossforge.losses.handcrafted import (
    HANDCRAFTED,
    Absolute,
    CrossEntropy,
    Focal,
    Handcrafted,
    Huber,
    LabelSmoothing,
    SparseLSR,
    Squared,
    default_loss,
)
from lossforge.losses.loss import ElementwiseLoss, Loss, Reduction
from lossforge.losses.neural import ADALFL_NETWORK, ML3_NETWORK, Architecture, NeuralLoss
from lossforge.losses.population import (
    LossPopulation,
    ModulePopulation,
    SymbolicPopulation,
    as_population,
)
from lossforge.losses.sparse_lsr import sparse_lsr
from lossforge.losses.storage import load, save
from lossforge.losses.symbolic import SymbolicLoss
from lossforge.losses.taylor import taylor_loss

__all__ = [
    "ADALFL_NETWORK",
    "HANDCRAFTED",
    "ML3_NETWORK",
    "Absolute",
    "Architecture",
    "CrossEntropy",
    "ElementwiseLoss",
    "Focal",
    "Handcrafted",
    "Huber",
    "LabelSmoothing",
    "Loss",
    "LossPopulation",
    "ModulePopulation",
    "NeuralLoss",
    "Reduction",
    "SparseLSR",
    "Squared",
    "SymbolicLoss",
    "SymbolicPopulation",
    "as_population",
    "default_loss",
    "load",
    "save",
    "sparse_lsr",
    "sparse_lsr_linear",
    "taylor_loss",
]
