"""Symbolic losses by genetic programming."""

from lossforge.methods.evomal.search import GPLFL, EvoMAL, GeneticSearch

__all__ = ["GPLFL", "EvoMAL", "GeneticSearch"]
