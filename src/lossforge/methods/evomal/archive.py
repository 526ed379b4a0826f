"""Every loss that a search has seen, what it was worth, and which others are worth the same."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from lossforge.losses.expression import Expression, parse, to_text
from lossforge.search.fitness import Trial
from lossforge.search.method import State


@final
@dataclass(frozen=True)
class Record:
    """A candidate that was looked at.

    Attributes:
        expression: as it was first met.
        coefficients: after local search; ones where it got none.
        trial: how it fared.
    """

    expression: Expression
    coefficients: tuple[float, ...]
    trial: Trial

    @property
    def fitness(self) -> float:
        """The metric on validation data; infinity where it failed."""
        return self.trial.fitness

    @property
    def is_complete(self) -> bool:
        """Whether it was trained to the end."""
        return self.trial.reason is None


@final
class Archive:
    """Records by canonical form and by gradient key, and counts of what became of candidates."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.counts: Counter[str] = Counter()
        self._leaders: dict[str, str] = {}
        self._by_gradient: dict[str, str] = {}

    def knows(self, key: str) -> bool:
        """Tell whether the worth of an expression of this canonical form is known."""
        return key in self.records or key in self._leaders

    def fitness(self, key: str) -> float:
        """Return the fitness of a canonical form, or of the one that it follows."""
        return self.records[self._leaders.get(key, key)].fitness

    def add(self, key: str, record: Record) -> None:
        """Keep the record of a canonical form."""
        self.records[key] = record

    def follows(self, key: str, gradient: str) -> bool:
        """Let `key` share the fitness of the first form with this gradient key, if there was one.

        Returns:
            Whether there was; if not, `key` is the first.
        """
        leader = self._by_gradient.setdefault(gradient, key)
        if leader == key:
            return False
        self._leaders[key] = leader
        return True

    def complete(self) -> list[Record]:
        """Return the records that were trained to the end, the fittest and smallest first."""
        full = [record for record in self.records.values() if record.is_complete]
        return sorted(full, key=lambda record: (record.fitness, record.expression.size))

    def front(self) -> list[Record]:
        """Return the Pareto front of fitness against size, the smallest first."""
        front: list[Record] = []
        for record in sorted(self.complete(), key=lambda r: (r.expression.size, r.fitness)):
            if not front or record.fitness < front[-1].fitness:
                front.append(record)
        return front

    def state(self) -> State:
        """Return the archive as plain data."""
        return {
            "records": [[key, *_record_state(record)] for key, record in self.records.items()],
            "leaders": self._leaders,
            "by_gradient": self._by_gradient,
            "counts": dict(self.counts),
        }

    @classmethod
    def from_state(cls, state: State) -> "Archive":
        """Return the archive that `state` was taken of."""
        archive = cls()
        for key, *record in state["records"]:
            archive.records[key] = _record_from(record)
        archive._leaders = dict(state["leaders"])
        archive._by_gradient = dict(state["by_gradient"])
        archive.counts = Counter(state["counts"])
        return archive

    def curves(self) -> Iterator[tuple[float, ...]]:
        """Yield the metrics of full runs, at each rung and at the end."""
        return (record.trial.curve for record in self.complete())


def _record_state(record: Record) -> list[Any]:
    return [to_text(record.expression), list(record.coefficients), *record.trial.state()]


def _record_from(state: list[Any]) -> Record:
    text, coefficients, *trial = state
    return Record(parse(text), tuple(coefficients), Trial.from_state(trial))
