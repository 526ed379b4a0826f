"""Symbolic losses by genetic programming."""

from lossforge.methods.evomal.search import GPLFL, EvoMAL, GeneticSearch, RandomSearch

__all__ = ["GPLFL", "EvoMAL", "GeneticSearch", "RandomSearch"]
