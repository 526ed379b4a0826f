"""lossforge learns the loss function that a network trains on."""

from lossforge import losses, models, tasks
from lossforge.errors import LossforgeError
from lossforge.losses import load, save
from lossforge.losses.expression import register_primitive
from lossforge.methods import GPLFL, ML3, AdaLFL, EvoMAL, RandomSearch, TaylorGLO
from lossforge.methods.npbml import FewShot

__version__ = "0.1.0"

__all__ = [
    "GPLFL",
    "ML3",
    "AdaLFL",
    "EvoMAL",
    "FewShot",
    "LossforgeError",
    "RandomSearch",
    "TaylorGLO",
    "load",
    "losses",
    "models",
    "register_primitive",
    "save",
    "tasks",
]
