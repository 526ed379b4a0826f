"""What is learned: loss functions, called as ``loss(outputs, targets)``."""

from lossforge.losses.fused_linear import sparse_lsr_linear as sparse_lsr_linear
from lossforge.losses.handcrafted.default import default_loss as default_loss
from lossforge.losses.handcrafted.registry import *  # noqa: F403  # whatever is registered there
from lossforge.losses.loss import ElementwiseLoss as ElementwiseLoss
from lossforge.losses.loss import Loss as Loss
from lossforge.losses.loss import Reduction as Reduction
from lossforge.losses.neural import ADALFL_NETWORK as ADALFL_NETWORK
from lossforge.losses.neural import ML3_NETWORK as ML3_NETWORK
from lossforge.losses.neural import Architecture as Architecture
from lossforge.losses.neural import NeuralLoss as NeuralLoss
from lossforge.losses.parametric import ParametricLoss as ParametricLoss
from lossforge.losses.population import LossPopulation as LossPopulation
from lossforge.losses.population import ModulePopulation as ModulePopulation
from lossforge.losses.population import SymbolicPopulation as SymbolicPopulation
from lossforge.losses.population import as_population as as_population
from lossforge.losses.sparse_lsr import sparse_lsr as sparse_lsr
from lossforge.losses.storage import load as load
from lossforge.losses.storage import save as save
from lossforge.losses.symbolic import SymbolicLoss as SymbolicLoss
from lossforge.losses.taylor import taylor_loss as taylor_loss
