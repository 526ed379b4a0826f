"""How losses are found."""

from lossforge.methods.evomal import GPLFL, EvoMAL
from lossforge.methods.method import Found, FrontMember, Journal, Method, Silent, State
from lossforge.methods.problem import BaseTraining, Problem, pose

METHODS: dict[str, type[Method]] = {method.name: method for method in (EvoMAL, GPLFL)}

__all__ = [
    "GPLFL",
    "METHODS",
    "BaseTraining",
    "EvoMAL",
    "Found",
    "FrontMember",
    "Journal",
    "Method",
    "Problem",
    "Silent",
    "State",
    "pose",
]
