"""How losses are found."""

from lossforge.methods.adalfl import AdaLFL, AdaptiveTraining
from lossforge.methods.evomal import GPLFL, EvoMAL, RandomSearch
from lossforge.methods.method import Found, FrontMember, Journal, Method, Silent, State
from lossforge.methods.ml3 import ML3
from lossforge.methods.problem import BaseTraining, Problem, pose
from lossforge.methods.taylorglo import TaylorGLO

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
