from random import Random

import pytest

from lossforge.errors import ConfigurationError, ExpressionError
from lossforge.losses.expression import Language, grow_tree, ramped_half_and_half
from lossforge.losses.expression.primitives import PRIMITIVES, TERMINALS


def test_the_default_is_the_paper_s_and_in_its_order():
    """Searches draw by position: another order or size would change what a seed finds."""
    assert Language().terminals == TERMINALS == ("y", "p", "1", "-1")
    assert Language().functions == (
        *("add", "sub", "mul", "aq", "min", "max"),
        *("sign", "square", "abs", "log", "sqrt", "tanh"),
    )
    assert len(PRIMITIVES) > len(Language().functions)


def test_trees_are_made_of_the_language_alone():
    language = Language(functions=("mul", "atan", "power"), terminals=("y", "p", "1"))
    seen = {s for e in ramped_half_and_half(300, 1, 4, Random(0), language) for s in e.nodes}
    assert seen == {"mul", "atan", "power", "y", "p", "1"}
    seen = {s for seed in range(99) for s in grow_tree(3, Random(seed), 1, language).nodes}
    assert seen == {"mul", "atan", "power", "y", "p", "1"}


def test_a_difference_is_one_terminal_and_three_nodes():
    language = Language(functions=("abs", "add"), terminals=("p-y", "1"))
    trees = [grow_tree(3, Random(seed), 1, language) for seed in range(99)]
    assert {s for tree in trees for s in tree.nodes} == {"abs", "add", "sub", "p", "y", "1"}
    for tree in trees:
        starts = [i for i, symbol in enumerate(tree.nodes) if symbol == "sub"]
        assert all(tree.nodes[i : i + 3] == ("sub", "p", "y") for i in starts)
        assert len(starts) == tree.nodes.count("p") == tree.nodes.count("y")


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"functions": ()}, ConfigurationError, "at least one function"),
        ({"functions": ("add", "cosh")}, ExpressionError, "no function is named 'cosh'"),
        ({"terminals": ("y", "p", "z")}, ExpressionError, "no terminal is named 'z'"),
        ({"functions": ("add", "add")}, ConfigurationError, "stands twice"),
        ({"terminals": ("y", "1")}, ConfigurationError, "must have y and p"),
    ],
)
def test_languages_that_make_no_losses_are_refused(fields, error, says):
    with pytest.raises(error, match=says):
        Language(**fields)
