import json
import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression import grow_tree
from lossforge.methods.evomal.archive import Archive, Record
from lossforge.search.fitness import Trial

outcomes = st.tuples(
    st.integers(0, 10**6), st.one_of(st.just(math.inf), st.sampled_from([0.1, 0.2, 0.3, 0.4]))
)


def filled(drawn: list[tuple[int, float]]) -> Archive:
    archive = Archive()
    for i, (seed, fitness) in enumerate(drawn):
        tree = grow_tree(4, Random(seed))
        reason = None if math.isfinite(fitness) else "diverged: so"
        trial = Trial(fitness, 10, reason, (fitness,) if reason is None else ())
        archive.add(str(i), Record(tree, (1.0,) * tree.size, trial))
        archive.counts["candidates"] += 1
    return archive


@given(st.lists(outcomes, max_size=12))
def test_the_front_is_what_nothing_beats_in_size_and_fitness(drawn):
    archive = filled(drawn)
    points = {(r.expression.size, r.fitness) for r in archive.complete()}
    undominated = {
        (size, fitness)
        for size, fitness in points
        if not any(s <= size and f <= fitness and (s, f) != (size, fitness) for s, f in points)
    }
    assert {(r.expression.size, r.fitness) for r in archive.front()} == undominated


@given(st.lists(outcomes, max_size=8))
def test_it_is_restored_from_json(drawn):
    archive = filled(drawn)
    archive.follows("a", "gradient")
    archive.follows("b", "gradient")
    state = json.loads(json.dumps(archive.state(), allow_nan=False))
    again = Archive.from_state(state)
    assert again.state() == archive.state()
    assert [r.fitness for r in again.complete()] == sorted(r.fitness for r in archive.complete())


def test_followers_share_the_leader_s_fitness():
    archive = filled([(1, 0.25)])
    assert not archive.follows("0", "gradient")
    assert archive.follows("other", "gradient")
    assert archive.knows("other")
    assert archive.fitness("other") == 0.25
    assert not archive.knows("third")
