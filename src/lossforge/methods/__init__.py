"""How losses are found."""

from lossforge.methods.adalfl import AdaLFL, AdaptiveTraining
from lossforge.methods.evomal import GPLFL, EvoMAL, RandomSearch
from lossforge.methods.ml3 import ML3
from lossforge.methods.taylorglo import TaylorGLO
from lossforge.search import (
    BaseTraining,
    Found,
    FrontMember,
    Journal,
    Method,
    Problem,
    Silent,
    State,
    pose,
)

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (EvoMAL, GPLFL, ML3, TaylorGLO, RandomSearch)
}

__all__ = [
    "GPLFL",
    "METHODS",
    "ML3",
    "AdaLFL",
    "AdaptiveTraining",
    "BaseTraining",
    "EvoMAL",
    "Found",
    "FrontMember",
    "Journal",
    "Method",
    "Problem",
    "RandomSearch",
    "Silent",
    "State",
    "TaylorGLO",
    "pose",
]
