"""Symbolic losses by genetic programming."""

from lossforge.methods.evomal.filters import Filters
from lossforge.methods.evomal.genetics import Genetics
from lossforge.methods.evomal.search import GPLFL, EvoMAL, RandomSearch

__all__ = ["GPLFL", "EvoMAL", "Filters", "Genetics", "RandomSearch"]
