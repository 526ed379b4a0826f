"""The steps that a method need not write."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from lossforge.losses import Focal, as_population
from lossforge.searching import Fitness, PopulationSearch, Reevaluation
from lossforge.tasks import load


@dataclass(frozen=True)
class Focusing(PopulationSearch[dict[str, Any], float]):
    """Asks for focal losses of ever greater gamma."""

    name: ClassVar[str] = "focusing"

    def init(self, context):
        return {"gammas": [], "fitness": []}

    def ask(self, state, context):
        first = len(state["gammas"])
        return [0.5 * (first + index) for index in range(self.population)]

    def decode(self, candidate, context):
        return Focal(candidate)

    def tell(self, state, candidates, evaluations):
        state["gammas"] += candidates
        state["fitness"] += [each.fitness for each in evaluations]


SMALL = Focusing(population=2, generations=2, fitness=Fitness(20))


def test_losses_are_trained_under_as_they_were_decoded():
    losses = as_population([Focal(0.0), Focal(1.0)])
    assert SMALL.refine(losses, [0.0, 1.0], None) == [losses]


def test_no_round_is_left_out():
    assert SMALL.is_done({"gammas": []}) is False
    assert SMALL.rounds == 2
    assert SMALL.reevaluation == Reevaluation()


def test_a_saved_state_and_a_loaded_one_are_copies():
    state = {"gammas": [1.0], "fitness": []}
    saved = SMALL.save(state)
    state["gammas"].append(2.0)
    assert saved == {"gammas": [1.0], "fitness": []}
    loaded = SMALL.load(saved, None)
    loaded["gammas"].append(3.0)
    assert saved == {"gammas": [1.0], "fitness": []}


def test_the_fittest_of_all_rounds_is_found(memory):
    journal = memory()
    found = SMALL.run(load("iris"), "linear", 0, journal=journal)
    assert found.evaluations == 4
    assert found.front == ()
    kept = {str(Focal(0.5 * index)) for index in range(4)}
    assert str(found.loss) in kept


def test_steps_that_only_a_method_knows_must_be_written():
    class Nothing(PopulationSearch[dict[str, Any], float]):
        name: ClassVar[str] = "nothing"

    with pytest.raises(TypeError, match="abstract"):
        Nothing()
