import numpy as np
import pytest
from cmaes import CMA

from lossforge.errors import ConfigurationError
from lossforge.methods import TaylorGLO
from lossforge.searching import Fitness
from lossforge.tasks import load

SMALL = {"population": 6, "generations": 3, "fitness_steps": 10}


def test_a_resumed_run_ends_like_an_uninterrupted_one(memory):
    task, whole = load("iris"), memory()
    expected = TaylorGLO().with_options(**SMALL).run(task, "linear", 3, journal=whole)
    for checkpoint in whole.checkpoints:
        found = TaylorGLO().with_options(**SMALL).run(task, "linear", 3, journal=memory(checkpoint))
        assert found.loss.definition() == expected.loss.definition()
        assert found.counts == expected.counts
    assert expected.evaluations == 18


def test_the_search_improves(memory):
    journal = memory()
    TaylorGLO(population=10, generations=6, fitness=Fitness(steps=40)).run(
        load("iris"), "linear", 0, journal=journal
    )
    best = [entry["best"] for entry in journal.entries]
    assert best == sorted(best, reverse=True)
    assert best[-1] < best[0]


def test_the_strategy_finds_a_known_optimum():
    # What the method tells CMA-ES are ranks: they suffice.
    centre = np.linspace(-1, 1, 8)
    strategy = CMA(mean=np.zeros(8), sigma=1.2, seed=0, population_size=12)
    for _ in range(150):
        asked = [strategy.ask() for _ in range(12)]
        values = [float(((x - centre) ** 2).sum()) for x in asked]
        order = sorted(range(12), key=values.__getitem__)
        strategy.tell([(asked[i], float(rank)) for rank, i in enumerate(order)])
    assert np.abs(asked[order[0]] - centre).max() < 1e-3


@pytest.mark.parametrize("wrong", [{"population": 1}, {"generations": 0}, {"deviation": 0.0}])
def test_hyper_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        TaylorGLO(**wrong)
