"""Genetic operators on loss expressions: creation, crossover, mutation, constraint, selection.

Source: thesis, ch. 4; Koza 1992; Luke & Panait 2002 (double tournament). Depth limit: an offspring
that is too deep is discarded and its parent survives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar, final

from lossforge.losses import Loss, SymbolicLoss
from lossforge.losses.expression import (
    DIFFERENCE,
    LEAVES,
    PAPER_LANGUAGE,
    TERMINALS,
    Expression,
    Language,
    ramped_half_and_half,
)
from lossforge.methods.evomal.genome import Genome
from lossforge.tasks import Kind
from lossforge.validation import require, require_in_range

Tree = TypeVar("Tree", Expression, Genome)

LINKS = ("add", "sub", "mul", "aq")
"""operators that the constraint joins y and p by"""


@final
@dataclass(frozen=True)
class Individual:
    """A genome and its fitness, lower is better."""

    genome: Genome
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
    perturbation: float = 0.0
    """probability that an offspring is its parent with other coefficients (not in the paper)"""
    perturbation_size: float = 0.4
    """standard deviation of the logarithm of a perturbed coefficient's factor"""
    coefficient_spread: float = 0.0
    """standard deviation of the logarithm of the first expressions' coefficients, and of those that
    mutation brings in; 0, as in the paper, for coefficients of 1"""
    functions: tuple[str, ...] = PAPER_LANGUAGE.functions
    """functions that expressions are made of; by default the paper's"""
    terminals: tuple[str, ...] = PAPER_LANGUAGE.terminals
    """terminals that expressions are made of: y and p, and 1 and -1; p-y stands for their
    difference, whose parts then have no coefficients of their own"""
    differences: bool = False
    """make losses of numbers from p-y, 1 and -1, whatever the terminals are (not in the paper):
    where y and p have coefficients that differ, predictions are biased"""

    def __post_init__(self) -> None:
        require_in_range("min_depth", self.min_depth, 0)
        require_in_range("max_depth", self.max_depth, self.min_depth)
        require_in_range("depth_limit", self.depth_limit, self.max_depth + 1)
        require_in_range("tournament", self.tournament, 1)
        require_in_range("parsimony", self.parsimony, 1, 2)
        require_in_range("crossover", self.crossover, 0, 1)
        require_in_range("mutation", self.mutation, 0, 1)
        require_in_range("elitism", self.elitism, 0, 1)
        require_in_range("perturbation", self.perturbation, 0, 1)
        require_in_range("perturbation_size", self.perturbation_size, 0)
        require_in_range("coefficient_spread", self.coefficient_spread, 0)
        together = self.crossover + self.mutation + self.perturbation
        require(
            together <= 1 + 1e-9,
            f"crossover and mutation together must be at most 1, and with perturbation too, not "
            f"{together:g}",
        )
        self.language  # noqa: B018  # checks the names

    @property
    def language(self) -> Language:
        """Functions and terminals."""
        return Language(tuple(self.functions), tuple(self.terminals))

    def adapted(self, kind: Kind) -> "Genetics":
        """Return the genetics of a search for losses of a kind."""
        if not self.differences or kind.predicts_probabilities:
            return self
        return replace(self, terminals=(DIFFERENCE, "1", "-1"))

    def tied(self, loss: Loss) -> Loss:
        """Return a loss whose differences p - y are differences again, where those are terminals.

        Local search moves the coefficients of p and y by themselves.
        """
        if not (self.language.has_difference and isinstance(loss, SymbolicLoss)):
            return loss
        coefficients = loss.coefficients.detach().clone()
        for start in difference_starts(loss.expression.nodes):
            coefficients[start + 1 : start + 3] = coefficients[start + 1 : start + 3].mean()
        return loss.with_coefficients(coefficients)

    def first_generation(self, count: int, generator: Random) -> list[Genome]:
        """Return random expressions, ramped half-and-half, each with y and p."""
        born = ramped_half_and_half(count, self.min_depth, self.max_depth, generator, self.language)
        return [
            perturb(
                Genome.plain(with_both_inputs(expression, generator, self.language)),
                self.coefficient_spread,
                generator,
                self.language,
            )
            for expression in born
        ]

    def elite(self, parents: Sequence[Individual]) -> list[Genome]:
        """Return the fittest, which survive unchanged."""
        count = max(1, round(self.elitism * len(parents))) if self.elitism else 0
        ranked = sorted(parents, key=lambda parent: parent.fitness)
        return [parent.genome for parent in ranked[:count]]

    def offspring(
        self, parents: Sequence[Individual], count: int, generator: Random
    ) -> list[Genome]:
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
        small, large = sorted((first, second), key=lambda parent: parent.genome.size)
        tie = small.genome.size == large.genome.size
        chance = 0.5 if tie else self.parsimony / 2
        return small if generator.random() < chance else large

    def _child(
        self, mother: Individual, selected: Sequence[Individual], generator: Random
    ) -> Genome:
        draw = generator.random()
        child = mother.genome
        if draw < self.crossover:
            child = cross(child, generator.choice(selected).genome, generator)
        elif draw < self.crossover + self.mutation:
            child = mutate(child, generator, self.language, self.coefficient_spread)
        elif draw < self.crossover + self.mutation + self.perturbation:
            child = perturb(child, self.perturbation_size, generator, self.language)
        child = with_both_inputs(child, generator, self.language)
        return child if child.depth <= self.depth_limit else mother.genome


def cross(first: Tree, second: Tree, generator: Random) -> Tree:
    """Return `first` with a random subtree exchanged for a random subtree of `second`.

    Roots are not exchanged; a lone terminal stays as it is.
    """
    if first.size < 2 or second.size < 2:
        return first
    donor = second.subtree(generator.randrange(1, second.size))
    return first.replace(generator.randrange(1, first.size), donor)


def mutate(
    genome: Genome,
    generator: Random,
    language: Language = PAPER_LANGUAGE,
    spread: float = 0.0,
) -> Genome:
    """Return the genome with a random subtree exchanged for a new one of depth 0 to 2.

    Args:
        genome: to change.
        generator: source of randomness.
        language: of the new subtree.
        spread: of its coefficients, as `perturb` takes it.
    """
    (fresh,) = ramped_half_and_half(1, 0, 2, generator, language)
    part = perturb(Genome.plain(fresh), spread, generator, language)
    return genome.replace(generator.randrange(genome.size), part)


def perturb(
    genome: Genome, size: float, generator: Random, language: Language = PAPER_LANGUAGE
) -> Genome:
    """Return a genome with coefficients, and a scale, that are multiplied by log-normal numbers.

    Args:
        genome: to perturb.
        size: standard deviation of the factors' logarithms.
        generator: source of randomness; not drawn from where the size is 0.
        language: where it has p-y as a terminal, y and p in a difference stay as they are.
    """
    if not size:
        return genome
    starts = difference_starts(genome.nodes) if language.has_difference else ()
    tied = {start + part for start in starts for part in (1, 2)}
    changed = genome.with_coefficients(
        [
            c if place in tied else c * math.exp(generator.gauss(0, size))
            for place, c in enumerate(genome.coefficients)
        ]
    )
    if genome.scale is None:
        return changed
    return replace(changed, scale=genome.scale * math.exp(generator.gauss(0, size)))


def difference_starts(nodes: Sequence[str]) -> list[int]:
    """Return where differences p - y begin in a tree's nodes.

    Examples:
        >>> difference_starts(("mul", "sub", "p", "y", "sub", "y", "p"))
        [1]
    """
    whole = LEAVES[DIFFERENCE]
    return [i for i in range(len(nodes)) if tuple(nodes[i : i + len(whole)]) == whole]


def with_both_inputs(
    expression: Tree, generator: Random, language: Language = PAPER_LANGUAGE
) -> Tree:
    """Return the expression itself if it has y and p; else join them in place of a terminal.

    Args:
        expression: to repair.
        generator: source of randomness.
        language: where it has p-y as a terminal, that is what takes the place.

    Examples:
        >>> with_both_inputs(Expression(("abs", "y")), Random(0)).has_both_inputs
        True
    """
    if expression.has_both_inputs:
        return expression
    leaves = [i for i, symbol in enumerate(expression.nodes) if symbol in TERMINALS]
    if language.has_difference:
        return expression.replace(generator.choice(leaves), Expression(LEAVES[DIFFERENCE]))
    arguments: list[str] = ["y", "p"]
    generator.shuffle(arguments)
    link = Expression((generator.choice(LINKS), *arguments))
    return expression.replace(generator.choice(leaves), link)
