"""A search method of your own: differential evolution over the parameters of Taylor polynomials.

Source: Storn & Price, "Differential Evolution" (J. Global Optimization 11, 1997), DE/rand/1/bin.

A method is a frozen dataclass of hyper-parameters with four steps: `init`, `ask`, `decode` and
`tell`. Its state is plain data, which checkpoints hold as it is. `PopulationSearch` does the rest:
fitness runs with racing, counts, progress, checkpoints, resuming and the choice of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import lossforge as lf
from lossforge.searching import Evaluation, Fitness, PopulationSearch, SearchContext

PARAMETERS = 8
Vector = list[float]
Population = dict[str, Any]


@dataclass(frozen=True)
class DifferentialEvolution(PopulationSearch[Population, Vector]):
    """Differential evolution: a new vector replaces its parent if it is no worse."""

    name: ClassVar[str] = "differential-evolution"
    weight: float = 0.8
    """factor F on the difference of two vectors"""
    crossover: float = 0.9
    """probability CR that a parameter comes from the mutant"""

    def init(self, context: SearchContext) -> Population:
        return {"generation": 0, "vectors": [], "fitness": []}

    def ask(self, state: Population, context: SearchContext) -> list[Vector]:
        draw, parents = context.generator("evolution", state["generation"]), state["vectors"]
        if not parents:
            return [[draw.gauss(0, 1) for _ in range(PARAMETERS)] for _ in range(self.population)]
        offspring = []
        for i, parent in enumerate(parents):
            a, b, c = draw.sample(parents[:i] + parents[i + 1 :], 3)
            mutant = [x + self.weight * (y - z) for x, y, z in zip(a, b, c, strict=True)]  # Eq. (2)
            kept = draw.randrange(PARAMETERS)
            takes = [draw.random() < self.crossover or j == kept for j in range(PARAMETERS)]
            choices = zip(takes, mutant, parent, strict=True)
            offspring.append([new if take else old for take, new, old in choices])  # Eq. (4)
        return offspring

    def decode(self, candidate: Vector, context: SearchContext) -> lf.losses.SymbolicLoss:
        return lf.losses.taylor_loss(candidate, context.kind)

    def tell(
        self, state: Population, candidates: Sequence[Vector], evaluations: Sequence[Evaluation]
    ) -> None:
        fitness = [min(each.fitness, 1e9) for each in evaluations]  # JSON has no infinity.
        new = list(zip(candidates, fitness, strict=True))
        old = zip(state["vectors"], state["fitness"], strict=True) if state["vectors"] else new
        pairs = zip(new, old, strict=True)
        survivors = [child if child[1] <= parent[1] else parent for child, parent in pairs]
        state["vectors"], state["fitness"] = map(list, zip(*survivors, strict=True))
        state["generation"] += 1


if __name__ == "__main__":
    task = lf.tasks.load("iris")
    search = DifferentialEvolution(population=8, generations=8, fitness=Fitness(steps=40))
    found = search.run(task, model="linear", seed=0)
    print(f"{found.loss}\nvalidation {task.metric} {found.valid:.3f}, {dict(found.counts)}")
