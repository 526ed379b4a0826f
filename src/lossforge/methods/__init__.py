"""Methods of finding losses, as the papers describe them."""

from typing import Any

from lossforge.methods.adalfl import AdaLFL, AdaptiveTraining
from lossforge.methods.evomal import GPLFL, EvoMAL, RandomSearch
from lossforge.methods.ml3 import ML3
from lossforge.methods.taylorglo import TaylorGLO
from lossforge.searching import BaseTraining, Method, Problem, SearchResult, State, make_problems

METHODS: dict[str, type[Method[Any, Any]]] = {
    method.name: method for method in (EvoMAL, GPLFL, ML3, TaylorGLO, RandomSearch)
}

# The names of these before they moved to `lossforge.searching`.
Found = SearchResult
pose = make_problems

__all__ = [
    "GPLFL",
    "METHODS",
    "ML3",
    "AdaLFL",
    "AdaptiveTraining",
    "BaseTraining",
    "EvoMAL",
    "Found",
    "Method",
    "Problem",
    "RandomSearch",
    "State",
    "TaylorGLO",
    "pose",
]
