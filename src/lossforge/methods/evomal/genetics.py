"""Genetic operators on loss expressions: creation, crossover, mutation, constraint, selection.

Source: thesis, ch. 4; Koza 1992; Luke & Panait 2002 (double tournament). Depth limit: an offspring
that is too deep is discarded and its parent survives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import final

from lossforge.losses.expression import TERMINALS, Expression, ramped_half_and_half
from lossforge.validation import require, require_in_range

LINKS = ("add", "sub", "mul", "aq")
"""operators that the constraint joins y and p by"""


@final
@dataclass(frozen=True)
class Individual:
    """An expression and its fitness, lower is better."""

    expression: Expression
    fitness: float


@final
@dataclass(frozen=True)
class Genetics:
    """Genetic programming: the first expressions, selection and variation.

    Raises:
        ConfigurationError: a rate or depth is out of its range.
    """

    min_depth: int = 2
    """minimum depth of the first expressions"""
    max_depth: int = 4
    """maximum depth of the first expressions"""
    depth_limit: int = 10
    """maximum depth of offspring; a deeper one is discarded and its parent survives"""
    tournament: int = 4
    """contestants in a selection"""
    parsimony: float = 1.4
    """from 1 to 2: half of it is the probability that the smaller of two expressions enters a
    tournament"""
    crossover: float = 0.7
    """probability of crossover"""
    mutation: float = 0.25
    """probability of mutation"""
    elitism: float = 0.05
    """share of the fittest that survive unchanged"""

    def __post_init__(self) -> None:
        require_in_range("min_depth", self.min_depth, 0)
        require_in_range("max_depth", self.max_depth, self.min_depth)
        require_in_range("depth_limit", self.depth_limit, self.max_depth + 1)
        require_in_range("tournament", self.tournament, 1)
        require_in_range("parsimony", self.parsimony, 1, 2)
        require_in_range("crossover", self.crossover, 0, 1)
        require_in_range("mutation", self.mutation, 0, 1)
        require_in_range("elitism", self.elitism, 0, 1)
        require(
            self.crossover + self.mutation <= 1,
            f"crossover and mutation together must be at most 1, not "
            f"{self.crossover + self.mutation:g}",
        )

    def first_generation(self, count: int, generator: Random) -> list[Expression]:
        """Return random expressions, ramped half-and-half, each with y and p."""
        born = ramped_half_and_half(count, self.min_depth, self.max_depth, generator)
        return [with_both_inputs(expression, generator) for expression in born]

    def elite(self, parents: Sequence[Individual]) -> list[Expression]:
        """Return the fittest, which survive unchanged."""
        count = max(1, round(self.elitism * len(parents))) if self.elitism else 0
        ranked = sorted(parents, key=lambda parent: parent.fitness)
        return [parent.expression for parent in ranked[:count]]

    def offspring(
        self, parents: Sequence[Individual], count: int, generator: Random
    ) -> list[Expression]:
        """Return `count` children of selected parents, each with y and p and within the depth.

        Args:
            parents: the generation before.
            count: of children.
            generator: source of randomness.
        """
        selected = [self.select(parents, generator) for _ in range(count)]
        return [self._child(mother, selected, generator) for mother in selected]

    def select(self, parents: Sequence[Individual], generator: Random) -> Individual:
        """Return the fittest of `tournament` contestants, each the winner of a duel by size."""
        contestants = [self._smaller(parents, generator) for _ in range(self.tournament)]
        return min(contestants, key=lambda contestant: contestant.fitness)

    def _smaller(self, parents: Sequence[Individual], generator: Random) -> Individual:
        """Return the smaller of two with probability parsimony / 2."""
        first, second = generator.choice(parents), generator.choice(parents)
        small, large = sorted((first, second), key=lambda parent: parent.expression.size)
        tie = small.expression.size == large.expression.size
        chance = 0.5 if tie else self.parsimony / 2
        return small if generator.random() < chance else large

    def _child(
        self, mother: Individual, selected: Sequence[Individual], generator: Random
    ) -> Expression:
        draw = generator.random()
        child = mother.expression
        if draw < self.crossover:
            child = cross(child, generator.choice(selected).expression, generator)
        elif draw < self.crossover + self.mutation:
            child = mutate(child, generator)
        child = with_both_inputs(child, generator)
        return child if child.depth <= self.depth_limit else mother.expression


def cross(first: Expression, second: Expression, generator: Random) -> Expression:
    """Return `first` with a random subtree exchanged for a random subtree of `second`.

    Roots are not exchanged; a lone terminal stays as it is.
    """
    if first.size < 2 or second.size < 2:
        return first
    donor = second.subtree(generator.randrange(1, second.size))
    return first.replace(generator.randrange(1, first.size), donor)


def mutate(expression: Expression, generator: Random) -> Expression:
    """Return the expression with a random subtree exchanged for a new one of depth 0 to 2."""
    (fresh,) = ramped_half_and_half(1, 0, 2, generator)
    return expression.replace(generator.randrange(expression.size), fresh)


def with_both_inputs(expression: Expression, generator: Random) -> Expression:
    """Return the expression itself if it has y and p; else join them in place of a terminal.

    Examples:
        >>> with_both_inputs(Expression(("abs", "y")), Random(0)).has_both_inputs
        True
    """
    if expression.has_both_inputs:
        return expression
    leaves = [i for i, symbol in enumerate(expression.nodes) if symbol in TERMINALS]
    arguments = ["y", "p"]
    generator.shuffle(arguments)
    link = Expression((generator.choice(LINKS), *arguments))
    return expression.replace(generator.choice(leaves), link)
