from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.losses.expression import canonical, grow_tree
from lossforge.methods.evomal.genetics import cross, mutate, perturb, with_both_inputs
from lossforge.methods.evomal.genome import Genome

seeds = st.integers(0, 10**6)


def numbered(seed: int, first: int) -> Genome:
    """Return a random genome whose coefficients tell where its nodes came from."""
    tree = grow_tree(4, Random(seed), 1)
    return Genome(tree, tuple(float(first + i) for i in range(tree.size)), 2.0)


@given(first=seeds, second=seeds, seed=seeds)
def test_coefficients_move_with_their_nodes(first, second, seed):
    mother, father = numbered(first, 1), numbered(second, 1001)
    child = cross(mother, father, Random(seed))
    symbols = dict(zip(mother.coefficients, mother.nodes, strict=True))
    symbols |= dict(zip(father.coefficients, father.nodes, strict=True))
    pairs = zip(child.coefficients, child.nodes, strict=True)
    assert all(symbols[coefficient] == symbol for coefficient, symbol in pairs)
    assert child.scale == mother.scale


@given(tree=seeds, seed=seeds)
def test_genes_fit_the_tree_whatever_is_done_to_it(tree, seed):
    generator = Random(seed)
    genome = with_both_inputs(mutate(numbered(tree, 1), generator, spread=0.5), generator)
    genome = perturb(genome, 0.3, generator)
    assert len(genome.coefficients) == genome.size
    assert all(coefficient > 0 for coefficient in genome.coefficients)


@given(tree=seeds)
def test_text_gives_the_genome_back(tree):
    genome = numbered(tree, 2)
    assert Genome.read(genome.text, genome.scale) == genome


def test_a_genome_without_coefficients_is_known_by_its_form():
    plain = Genome.read("square(sub(y, p))")
    assert plain.key == canonical(plain.expression)
    assert plain.key == Genome.read("square(sub(p, y))").key


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("2.0*abs(sub(y, p))", "2.001*abs(sub(y, p))", True),
        ("2.0*abs(sub(y, p))", "3.0*abs(sub(y, p))", False),
        ("2.0*abs(sub(y, 1.5*p))", "2.0*abs(sub(y, 1.7*p))", False),
    ],
)
def test_a_key_has_two_digits_of_coefficients(one, other, equal):
    assert (Genome.read(one).key == Genome.read(other).key) == equal


def test_a_scale_stands_for_the_roots_coefficient():
    one, other = Genome.read("2.0*abs(sub(y, p))", 1.0), Genome.read("3.0*abs(sub(y, p))", 1.0)
    assert one.key == other.key
    assert one.key != Genome.read("2.0*abs(sub(y, p))", 3.0).key
