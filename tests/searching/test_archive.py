import json
import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses import ML3_NETWORK, NeuralLoss, SymbolicLoss
from lossforge.losses.expression import grow_tree
from lossforge.searching import Archive, Evaluation, Trial

outcomes = st.tuples(
    st.integers(0, 10**6), st.one_of(st.just(math.inf), st.sampled_from([0.1, 0.2, 0.3, 0.4]))
)


def evaluation(seed: int, fitness: float) -> Evaluation:
    tree = grow_tree(4, Random(seed))
    reason = None if math.isfinite(fitness) else "diverged: so"
    trial = Trial(fitness, 10, reason, (fitness,) if reason is None else ())
    return Evaluation(SymbolicLoss(tree, [float(i) for i in range(tree.size)]), trial)


def filled(drawn: list[tuple[int, float]]) -> Archive:
    archive = Archive()
    archive.add([[evaluation(*each)] for each in drawn])
    return archive


@given(st.lists(outcomes, max_size=12))
def test_the_front_is_what_nothing_beats_in_size_and_fitness(drawn):
    archive = filled(drawn)
    points = {(each.size, each.fitness) for each in archive.complete()}
    undominated = {
        (size, fitness)
        for size, fitness in points
        if not any(s <= size and f <= fitness and (s, f) != (size, fitness) for s, f in points)
    }
    assert {(member.size, member.valid) for member in archive.front()} == undominated


@given(st.lists(outcomes, max_size=8))
def test_it_is_restored_from_json(drawn):
    archive = filled(drawn)
    state = json.loads(json.dumps(archive.state(), allow_nan=False))
    again = Archive.from_state(state)
    assert again.state() == archive.state()
    assert again.counts() == archive.counts()
    assert [each.fitness for each in again.complete()] == sorted(
        fitness for _, fitness in drawn if math.isfinite(fitness)
    )


def test_a_loss_network_is_restored_with_its_weights():
    loss, archive = NeuralLoss(ML3_NETWORK), Archive()
    archive.add([[Evaluation(loss, Trial(0.5, 10, None, (0.5,)))]])
    (again,) = Archive.from_state(json.loads(json.dumps(archive.state()))).evaluations
    assert again.loss.definition() == loss.definition()
    assert all((a == b).all() for a, b in zip(again.loss.layers, loss.layers, strict=True))


def test_of_several_versions_the_best_complete_one_is_kept():
    stopped = Evaluation(SymbolicLoss("y - p"), Trial(0.1, 4, "stopped: so", (0.1,)))
    worse, better = evaluation(1, 0.4), evaluation(2, 0.3)
    archive = Archive()
    assert archive.add([[stopped, worse, better]]) == [better]
    assert archive.evaluations == [better]
    assert (archive.runs, archive.steps) == (3, 24)
    assert archive.counts()["in full"] == archive.counts()["candidates"] == 1
