"""Every loss that a search has trained networks under, and how it fared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch

from lossforge.losses import Loss, SymbolicLoss
from lossforge.losses.storage import from_document, to_document
from lossforge.searching.fitness import Trial
from lossforge.searching.journal import State
from lossforge.searching.result import FrontMember


@final
@dataclass(frozen=True)
class Evaluation:
    """A loss and how a network fared under it.

    Attributes:
        loss: with the coefficients under which the network was trained, on the CPU.
        trial: the fitness run.
    """

    loss: Loss
    trial: Trial

    @property
    def fitness(self) -> float:
        """What losses are ranked by, lower is better; infinity where training failed."""
        return self.trial.fitness

    @property
    def metric(self) -> float:
        """The metric on validation data, lower is better."""
        return self.trial.metric

    @property
    def is_complete(self) -> bool:
        """Whether the network was trained to the end."""
        return self.trial.reason is None

    @property
    def size(self) -> int:
        """Nodes of a symbolic loss; 0 for other losses."""
        return self.loss.expression.size if isinstance(self.loss, SymbolicLoss) else 0


@final
class Archive:
    """Evaluations in the order in which they were made.

    Attributes:
        evaluations: one for each candidate.
        runs: fitness runs made; more than evaluations where candidates come in several versions.
        steps: training steps of those runs.
    """

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self.runs, self.steps = 0, 0

    def add(self, versions: Sequence[Sequence[Evaluation]]) -> list[Evaluation]:
        """Keep the best version of each candidate, and return them.

        Args:
            versions: of each candidate, one or more.
        """
        trials = [version.trial for each in versions for version in each]
        self.runs += len(trials)
        self.steps += sum(trial.steps for trial in trials)
        best = [min(each, key=lambda it: (not it.is_complete, it.fitness)) for each in versions]
        self.evaluations += best
        return best

    def complete(self) -> list[Evaluation]:
        """Return the evaluations that were trained to the end, the fittest and smallest first."""
        full = [each for each in self.evaluations if each.is_complete]
        return sorted(full, key=lambda each: (each.fitness, each.size))

    def front(self) -> tuple[FrontMember, ...]:
        """Return the Pareto front of the metric against size, the smallest first."""
        front: list[FrontMember] = []
        for each in sorted(self.complete(), key=lambda it: (it.size, it.metric, it.fitness)):
            if not front or each.metric < front[-1].valid:
                front.append(FrontMember(each.loss, each.size, each.metric))
        return tuple(front)

    def curves(self) -> Iterator[tuple[float, ...]]:
        """Yield the metrics of complete runs, at each rung and at the end."""
        return (each.trial.curve for each in self.complete())

    def counts(self) -> dict[str, int]:
        """Return how many candidates, runs and training steps there were, and the outcomes."""
        outcomes = [each.trial.outcome for each in self.evaluations]
        return {
            "candidates": len(outcomes),
            "trained": self.runs,
            "in full": outcomes.count("in full"),
            "stopped": outcomes.count("stopped"),
            "diverged": outcomes.count("diverged"),
            "training steps": self.steps,
        }

    def state(self) -> State:
        """Return the archive as plain data."""
        return {
            "evaluations": [_to_plain(each) for each in self.evaluations],
            "runs": self.runs,
            "steps": self.steps,
        }

    @classmethod
    def from_state(cls, state: State) -> "Archive":
        """Return the archive that `state` was taken of."""
        archive = cls()
        archive.evaluations = [_from_plain(each) for each in state["evaluations"]]
        archive.runs, archive.steps = state["runs"], state["steps"]
        return archive


def _to_plain(evaluation: Evaluation) -> list[Any]:
    loss = evaluation.loss
    weights = {name: weight.tolist() for name, weight in loss.weights().items()}
    return [to_document(loss), weights, evaluation.trial.state()]


def _from_plain(plain: list[Any]) -> Evaluation:
    document, weights, trial = plain
    loss = from_document(document, "the checkpoint")
    if weights:
        loss.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return Evaluation(loss, Trial.from_state(trial))
