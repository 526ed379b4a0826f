"""The loop that all searches share: from the first round or from a checkpoint to the result."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, final

from lossforge.errors import NoCandidateError, RunError
from lossforge.losses import SymbolicLoss, as_population
from lossforge.losses.expression import to_text
from lossforge.searching.archive import Archive, Evaluation
from lossforge.searching.ask_tell import AskTell
from lossforge.searching.context import SearchContext
from lossforge.searching.executors import Executor, Here
from lossforge.searching.journal import Journal, State
from lossforge.searching.parallel_training import ParallelTraining
from lossforge.searching.problem import Problem
from lossforge.searching.result import SearchResult

StateT = TypeVar("StateT")
CandidateT = TypeVar("CandidateT")

CHECKPOINT_VERSION = 2
"""of the form of a checkpoint's state; version 1 had no number"""


@final
class Loop(Generic[StateT, CandidateT]):
    """One search.

    Args:
        method: whose steps are made.
        problems: to train on.
        seed: the same seed gives the same result, interrupted or not.
        journal: where to report to and resume from.
        executor: trains networks side by side; no result depends on it.

    Raises:
        RunError: the journal holds a checkpoint of another version.
    """

    def __init__(
        self,
        method: AskTell[StateT, CandidateT],
        problems: Sequence[Problem],
        seed: int,
        journal: Journal,
        executor: Executor | None = None,
    ):
        self._method, self._journal, self._problems = method, journal, problems
        trials = method.trial_problems(problems)
        executor = Here() if executor is None else executor
        self._context = SearchContext(trials, seed, journal.progress, executor)
        saved = journal.restore()
        if saved is None:
            self._round, self._archive = 0, Archive()
            self._state = method.init(self._context)
            return
        if saved.get("version") != CHECKPOINT_VERSION:
            raise RunError(
                "this run's checkpoint is of another version of lossforge; go on with the version "
                "that wrote it, or start anew"
            )
        self._round, self._archive = saved["round"], Archive.from_state(saved["archive"])
        self._state = method.load(saved["method"], self._context)

    def run(self) -> SearchResult:
        """Make the rounds that are left and choose a loss."""
        method, context = self._method, self._context
        while self._round < method.rounds and not method.is_done(self._state):
            candidates = method.ask(self._state, context)
            evaluations = self._evaluate(candidates) if candidates else []
            method.tell(self._state, candidates, evaluations)
            self._round += 1
            self._journal.checkpoint(self._checkpoint(), self._entry())
        return self._result()

    def _evaluate(self, candidates: Sequence[CandidateT]) -> list[Evaluation]:
        """Train networks under all versions of the candidates, and archive the best of each."""
        method, context = self._method, self._context
        decoded = [method.decode(candidate, context) for candidate in candidates]
        losses = as_population(decoded, context.device)
        versions = method.refine(losses, candidates, context)
        # All versions are judged by the rounds before this one, and by each other.
        together = [version.loss(i).cpu() for version in versions for i in range(len(version))]
        curves = tuple(self._archive.curves())
        seed = context.seed("fitness", *((self._round,) if method.fitness.fresh else ()))
        trials = context.training.fitness(method.fitness, together, method.base, seed, curves)
        evaluations = [Evaluation(*pair) for pair in zip(together, trials, strict=True)]
        count = len(candidates)
        by_version = [evaluations[i : i + count] for i in range(0, len(evaluations), count)]
        return self._archive.add(list(zip(*by_version, strict=True)))

    def _result(self) -> SearchResult:
        method, context, archive = self._method, self._context, self._archive
        ranked = method.rank(self._state, archive)
        counts = method.counts(self._state, archive)
        if not ranked:
            how_many = counts.get("candidates", len(archive.evaluations))
            raise NoCandidateError(
                f"none of {how_many} candidates could train a network; {method.remedy}"
            )
        pairs = [(each.loss, each.metric) for each in ranked]
        first = pairs[: math.ceil(method.reevaluation.finalists / 2)]
        polished = method.polish([loss for loss, _ in first], context)
        loss, valid = method.reevaluation(
            [
                *zip(polished, (metric for _, metric in first), strict=True),
                *pairs,
            ]
            if polished
            else pairs,
            method.fitness,
            context.training,
            method.base,
            context.root_seed,
            self._on_the_network_itself(),
        )
        shown = self._problems[0].task.measure.shown
        front = tuple(replace(each, valid=shown(each.valid)) for each in method.front(archive))
        return SearchResult(loss, shown(valid), archive.runs, front, counts)

    def _on_the_network_itself(self) -> ParallelTraining | None:
        """Return what trains the search's own networks; None where candidates are tried on them."""
        context = self._context
        if context.problems == tuple(self._problems):
            return None
        return ParallelTraining(self._problems, context.executor, context.progress)

    def _entry(self) -> State:
        """Return this round's line of history."""
        best = next(iter(self._archive.complete()), None)
        symbolic = best.loss if best and isinstance(best.loss, SymbolicLoss) else None
        return {
            "generation": self._round,
            "best": self._problems[0].task.measure.shown(best.metric) if best else None,
            "expression": to_text(symbolic.expression) if symbolic else None,
            "counts": self._method.counts(self._state, self._archive),
        }

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "version": CHECKPOINT_VERSION,
            "round": self._round,
            "archive": self._archive.state(),
            "method": self._method.save(self._state),
        }
