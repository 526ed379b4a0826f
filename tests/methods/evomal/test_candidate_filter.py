import math

import pytest

from lossforge.losses import SymbolicLoss
from lossforge.losses.expression import canonical, parse
from lossforge.methods.evomal import Filters
from lossforge.methods.evomal.candidate_filter import CandidateFilter
from lossforge.methods.evomal.fitness_cache import FitnessCache
from lossforge.methods.evomal.genome import Genome
from lossforge.searching import SearchContext, make_problems
from lossforge.tasks import load

IRIS = tuple(make_problems(load("iris"), "linear"))


def decoded(genome: Genome) -> SymbolicLoss:
    return SymbolicLoss(genome.expression, genome.coefficients)


def filtered(texts: list[str], cache: FitnessCache, **settings: object) -> list[str]:
    context = SearchContext(IRIS, 0, lambda *_: None)
    accept = CandidateFilter(Filters(**settings), decode=decoded, context=context, cache=cache)
    accepted = [genome.key for genome in accept([Genome.read(text) for text in texts])]
    assert accepted == list(accept.accepted)
    return accepted


def key(text: str) -> str:
    return canonical(parse(text))


def test_equal_forms_are_let_through_once():
    cache = FitnessCache()
    texts = ["square(y - p)", "square(p - y)", "abs(y - p)"]
    assert filtered(texts, cache, rejection_steps=0) == [key(texts[0]), key(texts[2])]
    assert cache.counts == {"candidates": 3, "equal in form": 1}


def test_known_forms_are_not_let_through():
    cache = FitnessCache()
    cache.add(key("abs(y - p)"), 0.5)
    assert filtered(["abs(p - y)"], cache) == []
    assert cache.fitness(key("abs(y - p)")) == 0.5


@pytest.mark.parametrize("on", [True, False])
def test_equal_gradients_share_a_fitness_where_asked(on):
    cache = FitnessCache()
    # A constant has no slope.
    texts = ["square(y - p)", "square(y - p) + 1"]
    found = filtered(texts, cache, rejection_steps=0, gradient_equivalence=on)
    assert found == [key(text) for text in texts[: 1 if on else 2]]
    assert cache.knows(key(texts[1])) == on


def test_what_cannot_train_has_the_worst_fitness():
    cache = FitnessCache()
    assert filtered(["y*log(p)", "abs(y)*1 + y"], cache, rejection_steps=50) == []
    assert cache.fitness(key("y*log(p)")) == math.inf
    assert cache.counts["rejected"] == 2
