"""What is known of expressions: their fitness by canonical form, and which share one."""

from collections import Counter
from typing import final

from lossforge.files import finite_or_none, infinite_if_none
from lossforge.searching.journal import State


@final
class FitnessCache:
    """Fitness by canonical form and by gradient key.

    Attributes:
        counts: how many expressions each filter settled.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._fitness: dict[str, float] = {}
        self._leaders: dict[str, str] = {}
        self._by_gradient: dict[str, str] = {}

    def knows(self, key: str) -> bool:
        """Return whether the fitness of expressions of this canonical form is known."""
        return key in self._fitness or key in self._leaders

    def fitness(self, key: str) -> float:
        """Return the fitness of a canonical form, or of the one whose gradients are equal."""
        return self._fitness[self._leaders.get(key, key)]

    def add(self, key: str, fitness: float) -> None:
        """Keep the fitness of a canonical form."""
        self._fitness[key] = fitness

    def follows(self, key: str, gradient: str) -> bool:
        """Let `key` share the fitness of the first form with this gradient key, if there is one.

        Returns:
            Whether there is; if not, `key` is now the first.
        """
        leader = self._by_gradient.setdefault(gradient, key)
        if leader == key:
            return False
        self._leaders[key] = leader
        return True

    def state(self) -> State:
        """Return the cache as plain data."""
        return {
            "fitness": {key: finite_or_none(value) for key, value in self._fitness.items()},
            "leaders": dict(self._leaders),
            "by_gradient": dict(self._by_gradient),
            "counts": dict(self.counts),
        }

    @classmethod
    def from_state(cls, state: State) -> "FitnessCache":
        """Return the cache that `state` was taken of."""
        cache = cls()
        cache._fitness = {key: infinite_if_none(value) for key, value in state["fitness"].items()}
        cache._leaders, cache._by_gradient = dict(state["leaders"]), dict(state["by_gradient"])
        cache.counts = Counter(state["counts"])
        return cache
