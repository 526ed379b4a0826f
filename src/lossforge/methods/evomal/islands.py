"""The island model: several populations that evolve by themselves and exchange their fittest.

Source: Cantu-Paz, "A Survey of Parallel Genetic Algorithms" (1998). The islands form a ring. All of
their candidates are evaluated together, so that many workers have something to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import final

from lossforge.files import finite_or_none, infinite_if_none
from lossforge.methods.evomal.genetics import Individual
from lossforge.methods.evomal.genome import Genome
from lossforge.searching import SearchContext, State


@final
@dataclass
class Island:
    """A population between generations.

    Attributes:
        generator: draws expressions, parents and offspring.
        parents: the last generation.
        offspring: the generation that is being evaluated.
    """

    generator: Random
    parents: list[Individual] = field(default_factory=list)
    offspring: list[Genome] = field(default_factory=list)

    def save(self) -> State:
        """Return the population between generations as plain data."""
        version, numbers, gauss = self.generator.getstate()
        return {
            "generator": [version, list(numbers), gauss],
            "parents": [parent.genome.text for parent in self.parents],
            "scales": [parent.genome.scale for parent in self.parents],
            "fitnesses": [finite_or_none(parent.fitness) for parent in self.parents],
        }

    @classmethod
    def load(cls, saved: State) -> "Island":
        """Return the population that was saved."""
        version, numbers, gauss = saved["generator"]
        generator = Random()
        generator.setstate((version, tuple(numbers), gauss))
        scales = saved.get("scales", [None] * len(saved["parents"]))
        parents = [
            Individual(Genome.read(text, scale), infinite_if_none(fitness))
            for text, scale, fitness in zip(
                saved["parents"], scales, saved["fitnesses"], strict=True
            )
        ]
        return cls(generator, parents)


def settled(count: int, context: SearchContext) -> list[Island]:
    """Return islands before their first generation; the first draws as if it were alone."""
    others = [context.generator("genetics", island) for island in range(1, count)]
    return [Island(generator) for generator in (context.generator("genetics"), *others)]


def migrate(islands: Sequence[Island]) -> None:
    """Send a copy of each island's fittest parent to the next island."""
    moved = after_migration([island.parents for island in islands])
    for island, parents in zip(islands, moved, strict=True):
        island.parents = parents


def after_migration(populations: Sequence[Sequence[Individual]]) -> list[list[Individual]]:
    """Return populations after a copy of each one's fittest went to the next in a ring.

    It takes the place of the least fit there, so that sizes stay. It stays away where it is not
    fitter than that one, or where its equal is already.

    Examples:
        >>> a, b, c, d = (Individual(Genome.read(f"{i}.0*abs(p - y)"), i) for i in (1, 2, 3, 4))
        >>> after_migration([[a, b], [c, d]]) == [[a, b], [c, a]]
        True
    """
    fittest = [min(each, key=_fitness, default=None) for each in populations]
    return [
        _joined_by(migrant, population)
        for migrant, population in zip([fittest[-1], *fittest[:-1]], populations, strict=True)
    ]


def _joined_by(migrant: Individual | None, population: Sequence[Individual]) -> list[Individual]:
    members = list(population)
    if migrant is None or migrant.genome.key in {each.genome.key for each in members}:
        return members
    worst = max(range(len(members)), key=lambda i: members[i].fitness, default=None)
    if worst is not None and migrant.fitness < members[worst].fitness:
        members[worst] = migrant
    return members


def _fitness(individual: Individual) -> float:
    return individual.fitness
