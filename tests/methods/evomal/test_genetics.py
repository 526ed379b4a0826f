"""Genetic operators: their promises, and DEAP's as an oracle for their distributions."""

import operator
import random
from collections import Counter
from random import Random

import pytest
from deap import gp
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp

from lossforge.errors import ConfigurationError
from lossforge.losses import SymbolicLoss
from lossforge.losses.expression import (
    ARITY,
    DIFFERENCE,
    PAPER_LANGUAGE,
    Expression,
    Language,
    grow_tree,
    ramped_half_and_half,
)
from lossforge.methods.evomal.genetics import (
    Genetics,
    Individual,
    cross,
    difference_starts,
    mutate,
    perturb,
    with_both_inputs,
)
from lossforge.methods.evomal.genome import Genome
from lossforge.tasks import Classification, Regression

seeds = st.integers(0, 10**6)
trees = seeds.map(lambda seed: grow_tree(4, Random(seed), 1))


@given(first=trees, second=trees, seed=seeds)
def test_a_child_of_crossover_is_made_of_its_parents(first, second, seed):
    child = cross(first, second, Random(seed))
    assert child.nodes[0] == first.nodes[0]
    donors = {second.subtree(i).nodes for i in range(second.size)}
    if child != first:
        assert any(child.subtree(i).nodes in donors for i in range(1, child.size))


@given(tree=trees, seed=seeds)
def test_a_mutant_has_a_new_part_of_depth_two_at_most(tree, seed):
    mutant = mutate(Genome.plain(tree), Random(seed))
    changed = [
        i
        for i in range(tree.size)
        for fresh in [mutant.nodes[i : i + mutant.size - tree.size + tree.subtree(i).size]]
        if mutant.nodes[:i] == tree.nodes[:i]
        and mutant.nodes[i + len(fresh) :] == tree.nodes[i + tree.subtree(i).size :]
        and fresh
        and mutant.subtree(i).nodes == fresh
        and mutant.subtree(i).depth <= 2
    ]
    assert changed


@given(tree=trees, seed=seeds)
def test_both_inputs_are_in_every_candidate(tree, seed):
    repaired = with_both_inputs(tree, Random(seed))
    assert repaired.has_both_inputs
    assert (repaired == tree) == tree.has_both_inputs


@given(seed=seeds, limit=st.integers(5, 7))
def test_offspring_keep_the_depth_limit(seed, limit):
    generator = Random(seed)
    genetics = Genetics(depth_limit=limit, crossover=0.7, mutation=0.3)
    parents = [Individual(genome, 1.0) for genome in genetics.first_generation(10, generator)]
    for _ in range(4):
        children = genetics.offspring(parents, 10, generator)
        assert len(children) == 10
        assert all(child.depth <= limit and child.has_both_inputs for child in children)
        parents = [Individual(child, 1.0) for child in children]


def ranked(count: int = 20) -> list[Individual]:
    born = Genetics().first_generation(count, Random(1))
    return [Individual(genome, float(i)) for i, genome in enumerate(born)]


def test_the_elite_is_the_fittest():
    parents = ranked()
    assert Genetics(elitism=0.1).elite(parents[::-1]) == [p.genome for p in parents[:2]]
    assert Genetics(elitism=0.05).elite(parents[:3]) == [parents[0].genome]
    assert not Genetics(elitism=0.0).elite(parents)


def test_a_tournament_prefers_the_fit_and_parsimony_the_small():
    parents = ranked()
    generator = Random(0)

    def mean(genetics: Genetics, what) -> float:
        return sum(what(genetics.select(parents, generator)) for _ in range(3000)) / 3000

    fitness, size = (lambda p: p.fitness), (lambda p: p.genome.size)
    assert mean(Genetics(tournament=6), fitness) < mean(Genetics(tournament=2), fitness)
    assert mean(Genetics(tournament=1, parsimony=2), size) < mean(
        Genetics(tournament=1, parsimony=1), size
    )


# DEAP as an oracle ------------------------------------------------------------------------------

PRIMITIVES = gp.PrimitiveSet("loss", 2, prefix="X")
for name in PAPER_LANGUAGE.functions:
    function = operator.add if ARITY[name] == 2 else operator.neg
    PRIMITIVES.addPrimitive(function, ARITY[name], name=name)
PRIMITIVES.addTerminal(1.0, name="one")
PRIMITIVES.addTerminal(-1.0, name="minus")
TERMINALS = {"ARG0": "y", "X0": "y", "X1": "p", "one": "1", "minus": "-1"}


def to_deap(tree: Expression) -> gp.PrimitiveTree:
    names = {symbol: name for name, symbol in TERMINALS.items() if name != "ARG0"}
    mapping = PRIMITIVES.mapping
    return gp.PrimitiveTree([mapping[names.get(symbol, symbol)] for symbol in tree.nodes])


PARENTS = ramped_half_and_half(40, 2, 4, Random(3))
DRAWS = 4000
ALPHA = 1e-3


def test_crossover_is_distributed_as_deap_s():
    ours, theirs, generator = [], [], Random(1)
    random.seed(1)  # DEAP draws from Python's global generator
    for _ in range(DRAWS):
        first, second = generator.choice(PARENTS), generator.choice(PARENTS)
        ours.append(cross(first, second, generator))
        child, _ = gp.cxOnePoint(to_deap(first), to_deap(second))
        theirs.append(child)
    assert ks_2samp([t.size for t in ours], [len(t) for t in theirs]).pvalue > ALPHA
    assert ks_2samp([t.depth for t in ours], [t.height for t in theirs]).pvalue > ALPHA


def test_mutation_is_distributed_as_deap_s():
    def fresh(pset, type_):
        return gp.genHalfAndHalf(pset, 0, 2, type_)

    ours, theirs, generator = [], [], Random(2)
    random.seed(2)
    for _ in range(DRAWS):
        tree = generator.choice(PARENTS)
        ours.append(mutate(Genome.plain(tree), generator))
        (mutant,) = gp.mutUniform(to_deap(tree), fresh, PRIMITIVES)
        theirs.append(mutant)
    assert ks_2samp([t.size for t in ours], [len(t) for t in theirs]).pvalue > ALPHA


def test_selection_is_distributed_as_deap_s_double_tournament():
    from deap import tools

    class Fitness:
        def __init__(self, value: float) -> None:
            self.value = value

        def __gt__(self, other: "Fitness") -> bool:
            return self.value < other.value  # lower is better

        def __lt__(self, other: "Fitness") -> bool:
            return self.value > other.value

    class Contestant(list):
        def __init__(self, index: int, size: int) -> None:
            super().__init__([0] * size)
            self.index, self.fitness = index, Fitness(float(index))

    parents = ranked(12)
    generator = Random(3)
    random.seed(3)
    mine = Counter(
        parents.index(Genetics(tournament=4, parsimony=1.4).select(parents, generator))
        for _ in range(DRAWS)
    )
    population = [Contestant(i, p.genome.size) for i, p in enumerate(parents)]
    chosen = tools.selDoubleTournament(population, DRAWS, 4, 1.4, fitness_first=False)
    theirs = Counter(contestant.index for contestant in chosen)
    table = [[counts[i] for i in range(12)] for counts in (mine, theirs)]
    table = [row for row in zip(*table, strict=True) if sum(row) > 10]
    assert chi2_contingency(list(zip(*table, strict=True))).pvalue > ALPHA


@pytest.mark.parametrize(
    "wrong",
    [
        {"crossover": 0.8, "mutation": 0.3},
        {"parsimony": 2.5},
        {"tournament": 0},
        {"elitism": -0.1},
        {"max_depth": 1},
        {"depth_limit": 4},
    ],
)
def test_rates_and_depths_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        Genetics(**wrong)


DIFFERENCES = Genetics(differences=True, coefficient_spread=0.7, perturbation=0.3, crossover=0.4)


@given(seed=seeds)
def test_losses_of_numbers_are_made_of_differences_without_coefficients(seed):
    generator, genetics = Random(seed), DIFFERENCES.adapted(Regression())
    parents = [Individual(each, 1.0) for each in genetics.first_generation(8, generator)]
    for genome in genetics.offspring(parents, 8, generator):
        starts = difference_starts(genome.nodes)
        assert starts
        for start in starts:
            assert genome.coefficients[start + 1 : start + 3] == (1.0, 1.0)


def test_losses_by_labels_keep_their_terminals():
    assert DIFFERENCES.adapted(Classification()) is DIFFERENCES
    assert DIFFERENCES.adapted(Regression()).terminals == (DIFFERENCE, "1", "-1")


@given(tree=trees, seed=seeds)
def test_without_the_terminal_all_coefficients_are_perturbed(tree, seed):
    changed = perturb(Genome.plain(tree), 0.5, Random(seed))
    assert all(coefficient != 1.0 for coefficient in changed.coefficients)


def test_what_local_search_moved_apart_becomes_a_difference_again():
    expression = Expression(("square", "sub", "p", "y"))
    loss = SymbolicLoss(expression, [2.0, 1.0, 1.1, 0.9], kind=Regression())
    tied = DIFFERENCES.adapted(Regression()).tied(loss)
    assert tied.coefficients.tolist() == pytest.approx([2.0, 1.0, 1.0, 1.0])
    assert DIFFERENCES.tied(loss) is loss


@given(seed=seeds)
def test_an_expression_of_numbers_gets_a_difference(seed):
    language = Language(terminals=(DIFFERENCE, "1"))
    repaired = with_both_inputs(Expression(("abs", "1")), Random(seed), language)
    assert repaired.nodes == ("abs", "sub", "p", "y")
