"""Random expressions (Koza, *Genetic Programming*, 1992), by DEAP's reading of the three methods.

Symbols are drawn uniformly from a language, by default that of EvoMAL's paper.
"""

from collections.abc import Callable
from random import Random

from lossforge.losses.expression.language import LEAVES, PAPER_LANGUAGE, Language
from lossforge.losses.expression.primitives import ARITY
from lossforge.losses.expression.tree import Expression
from lossforge.validation import require


def full_tree(depth: int, generator: Random, language: Language = PAPER_LANGUAGE) -> Expression:
    """Return a random tree whose leaves all lie at `depth`.

    Args:
        depth: edges from the root to every leaf, at least 0.
        generator: source of randomness.
        language: of functions and terminals.

    Raises:
        ConfigurationError: `depth` is negative.

    Examples:
        >>> full_tree(3, Random(0)).depth
        3
    """
    require(depth >= 0, f"the depth of a tree must be at least 0, not {depth}")
    return _random_tree(lambda level: level == depth, generator, language)


def grow_tree(
    max_depth: int,
    generator: Random,
    min_depth: int = 0,
    language: Language = PAPER_LANGUAGE,
) -> Expression:
    """Return a random tree whose leaves lie between `min_depth` and `max_depth`.

    From `min_depth` on, a node is a terminal with the probability that a symbol drawn uniformly
    from the language is one.

    Args:
        max_depth: the greatest depth of a leaf.
        generator: source of randomness.
        min_depth: the least depth of a leaf, from 0 to `max_depth`.
        language: of functions and terminals.

    Raises:
        ConfigurationError: the depths are negative or out of order.

    Examples:
        >>> 1 <= grow_tree(4, Random(0), min_depth=1).depth <= 4
        True
    """
    _require_depths(min_depth, max_depth)
    ratio = language.terminal_ratio
    return _random_tree(
        lambda level: level == max_depth or (level >= min_depth and generator.random() < ratio),
        generator,
        language,
    )


def ramped_half_and_half(
    count: int,
    min_depth: int,
    max_depth: int,
    generator: Random,
    language: Language = PAPER_LANGUAGE,
) -> list[Expression]:
    """Return `count` random trees, each full or grown and of a limit of depth drawn uniformly.

    Args:
        count: number of trees.
        min_depth: the least limit of depth.
        max_depth: the greatest limit of depth.
        generator: source of randomness.
        language: of functions and terminals.

    Raises:
        ConfigurationError: the depths are negative or out of order.

    Examples:
        >>> trees = ramped_half_and_half(25, 2, 4, Random(0))
        >>> {tree.depth for tree in trees}
        {2, 3, 4}
    """
    _require_depths(min_depth, max_depth)

    def draw() -> Expression:
        depth = generator.randint(min_depth, max_depth)
        if generator.random() < 0.5:
            return full_tree(depth, generator, language)
        return grow_tree(depth, generator, min_depth, language)

    return [draw() for _ in range(count)]


def _random_tree(
    is_leaf: Callable[[int], bool], generator: Random, language: Language
) -> Expression:
    nodes: list[str] = []
    pending = [0]
    while pending:
        level = pending.pop()
        if is_leaf(level):
            nodes.extend(LEAVES[generator.choice(language.terminals)])
            continue
        symbol = generator.choice(language.functions)
        nodes.append(symbol)
        pending.extend([level + 1] * ARITY[symbol])
    return Expression(tuple(nodes))


def _require_depths(low: int, high: int) -> None:
    require(0 <= low <= high, f"depths of trees must be 0 <= min <= max, not {low} and {high}")
