"""The loop, by a method whose candidates are given."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.losses import ElementwiseLoss, SymbolicLoss
from lossforge.searching import Archive, Fitness, NullJournal, PopulationSearch
from lossforge.tasks import load


@dataclass(frozen=True)
class Scripted(PopulationSearch[dict[str, Any], str]):
    """Asks for the given expressions, a tuple for each generation."""

    name: ClassVar[str] = "scripted"
    script: tuple[tuple[str, ...], ...] = ()
    last: int = 99
    versions: int = 1
    wild: bool = False

    def init(self, context):
        return {"generation": 0, "told": []}

    def ask(self, state, context):
        return self.script[state["generation"]]

    def decode(self, candidate, context):
        return Broken(context.kind) if self.wild else SymbolicLoss(candidate, kind=context.kind)

    def refine(self, losses, candidates, context):
        worse = losses.with_coefficients(-losses.coefficients)
        return [worse] * (self.versions - 1) + [losses]

    def tell(self, state, candidates, evaluations):
        state["told"].append([len(candidates), *(each.fitness for each in evaluations)])
        state["generation"] += 1

    def is_done(self, state):
        return state["generation"] == self.last


class Broken(ElementwiseLoss):
    def elementwise(self, y, p):
        return p * torch.nan

    def definition(self) -> dict[str, object]:
        return {}

    def __str__(self) -> str:
        return "broken"


SCRIPT = (("abs(y - p)", "-y*log(p)"), (), ("square(y - p)",))
SCRIPTED = Scripted(generations=3, fitness=Fitness(20), script=SCRIPT)


def test_a_generation_without_candidates_is_told_and_counted(memory):
    journal = memory()
    found = SCRIPTED.run(load("iris"), "linear", 0, journal=journal)
    assert [entry["generation"] for entry in journal.entries] == [1, 2, 3]
    assert [entry["counts"]["candidates"] for entry in journal.entries] == [2, 2, 3]
    assert found.evaluations == found.counts["candidates"] == 3
    assert found.counts["training steps"] == 60
    assert str(found.loss) == "-y·log|p|"


class Keeping:
    """A journal that keeps states as they are given, not as JSON."""

    def __init__(self, restored: dict[str, Any] | None = None):
        self.restored, self.states = restored, []

    def restore(self):
        return self.restored

    def checkpoint(self, state, entry):
        self.states.append(state)

    def progress(self, stage, done, total): ...


def test_a_checkpoint_does_not_change_as_the_search_goes_on():
    whole = Keeping()
    expected = SCRIPTED.run(load("iris"), "linear", 0, journal=whole)
    assert [state["method"]["generation"] for state in whole.states] == [1, 2, 3]
    for _ in range(2):
        found = SCRIPTED.run(load("iris"), "linear", 0, journal=Keeping(whole.states[0]))
        assert (found.valid, found.counts) == (expected.valid, expected.counts)


def test_a_method_may_stop_before_its_last_round(memory):
    journal = memory()
    SCRIPTED.with_options(last=1).run(load("iris"), "linear", 0, journal=journal)
    assert len(journal.entries) == 1


def test_the_best_version_of_a_candidate_is_kept():
    one, three = (
        SCRIPTED.with_options(versions=versions, racing=False).run(load("iris"), "linear", 0)
        for versions in (1, 3)
    )
    assert three.evaluations == 3 * one.evaluations
    assert three.counts["candidates"] == one.counts["candidates"]
    assert three.loss.definition() == one.loss.definition()


def test_where_no_network_can_be_trained_the_remedy_is_told():
    wild = SCRIPTED.with_options(wild=True)
    with pytest.raises(LossforgeError, match="none of 3 candidates could train a network; raise"):
        wild.run(load("iris"), "linear", 0)


def test_several_tasks_count_the_steps_of_each():
    found = SCRIPTED.run([load("iris"), load("wine")], "linear", 0)
    assert found.counts["training steps"] == 120


@pytest.mark.parametrize("tasks", [[], [load("iris"), load("diabetes")]])
def test_tasks_that_do_not_fit_together_are_refused(tasks):
    with pytest.raises(ConfigurationError):
        SCRIPTED.run(tasks, "linear", 0)


@pytest.mark.parametrize("fresh", [False, True])
def test_with_fresh_initializations_a_loss_does_otherwise_in_each_round(fresh):
    fitness = Fitness(20, racing=False, measure="margin", fresh=fresh)
    method = Scripted(generations=2, fitness=fitness, script=(("-y*log(p)",),) * 2)
    archive = []

    class Journal(NullJournal):
        def checkpoint(self, state, entry):
            archive[:] = Archive.from_state(state["archive"]).evaluations

    for _ in range(2):  # the same in another search
        method.run(load("iris"), "linear", journal=Journal())
        first, second = (evaluation.fitness for evaluation in archive)
        assert (first == second) is not fresh
