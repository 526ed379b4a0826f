from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from deap import gp

from lossforge.errors import ConfigurationError
from lossforge.losses.expression.generate import full_tree, grow_tree, ramped_half_and_half
from lossforge.losses.expression.language import PAPER_LANGUAGE
from lossforge.losses.expression.primitives import ARITY
from lossforge.losses.expression.tree import Expression


def leaf_depths(expression: Expression) -> list[int]:
    depths, pending = [], [0]
    for symbol in expression.nodes:
        level = pending.pop()
        if ARITY[symbol] == 0:
            depths.append(level)
        pending += [level + 1] * ARITY[symbol]
    return depths


@pytest.mark.parametrize("depth", range(6))
def test_leaves_of_full_trees_lie_at_one_depth(depth: int):
    for seed in range(20):
        assert set(leaf_depths(full_tree(depth, Random(seed)))) == {depth}


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 4), (2, 4), (3, 3)])
def test_leaves_of_grown_trees_lie_between_the_bounds(low: int, high: int):
    seen = {d for seed in range(200) for d in leaf_depths(grow_tree(high, Random(seed), low))}
    assert seen == set(range(low, high + 1))


def test_the_same_generator_state_gives_the_same_trees():
    assert ramped_half_and_half(20, 2, 4, Random(3)) == ramped_half_and_half(20, 2, 4, Random(3))
    assert ramped_half_and_half(20, 2, 4, Random(3)) != ramped_half_and_half(20, 2, 4, Random(4))


def test_symbols_are_uniform():
    nodes = Counter(s for e in ramped_half_and_half(3000, 2, 4, Random(0)) for s in e.nodes)
    for terminal in (True, False):
        counts = [n for symbol, n in nodes.items() if (ARITY[symbol] == 0) == terminal]
        assert len(counts) == (4 if terminal else 12)
        assert max(counts) < 1.25 * min(counts)


def test_sizes_are_distributed_as_deap_has_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gp, "random", Random(1))
    language = gp.PrimitiveSet("loss", 0)
    for symbol in PAPER_LANGUAGE.functions:
        language.addPrimitive(min, ARITY[symbol], name=symbol)
    for symbol in PAPER_LANGUAGE.terminals:
        language.addTerminal(0.0, name=f"t{symbol}")
    sizes = sorted(e.size for e in ramped_half_and_half(4000, 2, 4, Random(0)))
    theirs = sorted(len(gp.genHalfAndHalf(language, 2, 4)) for _ in range(4000))
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        i = int(quantile * 4000)
        assert abs(sizes[i] - theirs[i]) <= max(1, 0.15 * theirs[i])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: full_tree(-1, Random(0)),
        lambda: grow_tree(2, Random(0), 3),
        lambda: grow_tree(-1, Random(0)),
        lambda: ramped_half_and_half(1, 4, 2, Random(0)),
    ],
)
def test_impossible_depths_are_refused(draw: Callable[[], object]):
    with pytest.raises(ConfigurationError, match="depth"):
        draw()
