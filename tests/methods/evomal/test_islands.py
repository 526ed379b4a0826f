"""Islands: the fittest move on in a ring, and no number depends on how a search runs."""

import json
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError
from lossforge.methods import EvoMAL
from lossforge.methods.evomal import Filters
from lossforge.methods.evomal.genetics import Individual
from lossforge.methods.evomal.genome import Genome
from lossforge.methods.evomal.islands import Island, after_migration, migrate
from lossforge.searching import Fitness, MetaTraining
from lossforge.searching.executors import LocalPool
from lossforge.tasks import load

TINY = EvoMAL(
    population=6,
    generations=3,
    fitness=Fitness(steps=12),
    filters=Filters(rejection_steps=10),
    tuning=MetaTraining(steps=2),
)
SCALED = TINY.with_options(scales=(0.3, 1.0), inherit=True, halving=0.5, redraws=1, meta_steps=0)


class Memory:
    """A journal that keeps the checkpoints, and begins from one of them."""

    def __init__(self, begin=None):
        self.states, self._begin = [], begin

    def restore(self):
        return self._begin

    def checkpoint(self, state, entry):
        self.states.append(json.loads(json.dumps(state, allow_nan=False)))

    def progress(self, stage, done, total): ...


def searched(method, journal=None, executor=None):
    """Return all that a search finds, and its journal."""
    journal = journal or Memory()
    found = method.run(load("iris"), "linear", 4, journal=journal, executor=executor)
    weights = {name: value.tolist() for name, value in found.loss.weights().items()}
    return (found.valid, str(found.loss), weights, found.evaluations, dict(found.counts)), journal


def individual(number):
    """Return one of 30, as in a search: equal genomes have the same fitness, several the worst."""
    fitness = float("inf") if number % 5 == 0 else number * 7 % 31
    return Individual(Genome.read(f"{number}.0*abs(p - y)"), fitness)


individuals = st.integers(1, 30).map(individual)
populations = st.lists(st.lists(individuals, max_size=6), min_size=1, max_size=5)


def best(population):
    return min((each.fitness for each in population), default=float("inf"))


@given(populations)
def test_migration_keeps_sizes_and_replaces_one_by_the_fittest_before_it(before):
    original = deepcopy(before)
    after = after_migration(before)
    assert before == original
    assert [len(each) for each in after] == [len(each) for each in before]
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        assert len(changed) <= 1
        for gone, come in changed:
            assert gone.fitness == max(each.fitness for each in old)
            assert come.fitness == best(before[i - 1]) < gone.fitness
        assert best(new) <= best(old)


@given(st.lists(individuals, max_size=6))
def test_a_lone_island_stays_as_it_is(population):
    assert after_migration([population]) == [population]


@given(populations)
def test_migration_goes_once_around_the_ring(before):
    """As many migrations as there are islands bring the best everywhere."""
    islands = [Island(Random(i), list(parents)) for i, parents in enumerate(before) if parents]
    if not islands:
        return
    first = min(best(island.parents) for island in islands)
    for _ in islands:
        migrate(islands)
    assert all(best(island.parents) == first for island in islands)


@given(st.lists(individuals, max_size=6), st.integers(0, 99))
def test_what_was_saved_is_restored(parents, seed):
    island = Island(Random(seed), parents)
    restored = Island.load(json.loads(json.dumps(island.save(), allow_nan=False)))
    assert restored.parents == parents
    assert restored.generator.random() == island.generator.random()


@pytest.mark.parametrize("wrong", [{"islands": 0}, {"islands": 1.5}, {"migrate_every": 0}])
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TINY.with_options(**wrong)


def test_settings_without_islands_are_those_of_one():
    settings = TINY.settings()
    assert settings.pop("islands") == settings.pop("migrate_every") == 1
    assert EvoMAL.from_settings(settings) == TINY


def test_how_often_one_island_would_migrate_changes_nothing():
    assert searched(TINY)[0] == searched(replace(TINY, migrate_every=2))[0]


def test_islands_draw_their_own_expressions_and_exchange_the_fittest():
    _, journal = searched(replace(TINY, islands=3, migrate_every=2))
    firsts = [{*island["parents"]} for island in journal.states[0]["method"]["islands"]]
    assert not firsts[0] & firsts[1]
    assert not firsts[1] & firsts[2]
    assert all(len(first) == TINY.population for first in firsts)
    _, alone = searched(TINY)
    (first,) = alone.states[0]["method"]["islands"]
    assert {*first["parents"]} == firsts[0]
    second = [island["parents"] for island in journal.states[1]["method"]["islands"]]
    shared = Counter(text for parents in second for text in {*parents})
    assert max(shared.values()) > 1
    assert [len(parents) for parents in second] == [TINY.population] * 3


def test_expressions_to_begin_with_are_dealt_out():
    seeds = ("abs(y - p)", "square(y - p)", "-y*log(p)")
    seeded = TINY.with_options(islands=2, migrate_every=9, generations=1, meta_steps=0)
    _, journal = searched(seeded.with_options(seed_expressions=seeds))
    written = [Genome.read(text).text for text in seeds]
    parents = [island["parents"] for island in journal.states[0]["method"]["islands"]]
    assert parents[0][:2] == written[::2]
    assert parents[1][:1] == written[1:2]


@pytest.mark.parametrize("method", [TINY, SCALED], ids=["paper", "scaled"])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(method):
    method = replace(method, islands=2)
    whole, journal = searched(method)
    for state in journal.states[:-1]:
        resumed, rest = searched(method, Memory(state))
        assert resumed == whole
        assert rest.states[-1] == journal.states[-1]


@pytest.mark.parametrize("method", [TINY, SCALED], ids=["paper", "scaled"])
def test_two_workers_find_what_one_finds(method, pool):
    method = replace(method, islands=2)
    expected, journal = searched(method)
    found, other = searched(method, executor=pool)
    assert found == expected
    assert other.states == journal.states


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2) as pool:
        yield pool
