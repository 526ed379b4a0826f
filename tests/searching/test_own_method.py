"""A method that a user writes does what those of the package do."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from lossforge.losses import CrossEntropy
from lossforge.searching import Fitness, make_problems
from lossforge.searching.fitness_work import FitnessJob
from lossforge.tasks import load

FILE = Path(__file__).parents[2] / "examples" / "own_search_method.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_search_method", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_short_and_uses_public_names_alone():
    text = FILE.read_text()
    assert len(text.splitlines()) <= 70
    tree = list(ast.walk(ast.parse(text)))
    names = {node.attr for node in tree if isinstance(node, ast.Attribute)}
    for node in tree:
        if isinstance(node, ast.ImportFrom):
            names |= {
                part for alias in node.names for part in (*node.module.split("."), alias.name)
            }
    assert not [name for name in names if name.startswith("_")]


def test_it_finds_a_loss_as_good_as_the_default(example, memory):
    problems, fitness, journal = make_problems(load("iris"), "linear"), Fitness(40), memory()
    search = example.DifferentialEvolution(population=8, generations=8, fitness=fitness)
    found = search.run(load("iris"), "linear", 0, journal=journal)
    job = FitnessJob((CrossEntropy(),), fitness, search.base, 0)
    (trial,) = job.on(problems, lambda *_: None)
    assert found.valid <= trial.fitness
    assert journal.entries[-1]["best"] < journal.entries[0]["best"]


def test_an_interrupted_run_ends_like_an_uninterrupted_one(example, memory):
    search, whole = example.DifferentialEvolution(population=6, generations=4), memory()
    search = search.with_options(fitness_steps=10, finalists=2, weight=0.7)
    expected = search.run(load("iris"), "linear", 3, journal=whole)
    assert len(whole.checkpoints) == 4
    for checkpoint in whole.checkpoints:
        found = search.run(load("iris"), "linear", 3, journal=memory(checkpoint))
        assert found.loss.definition() == expected.loss.definition()
        assert (found.valid, found.counts) == (expected.valid, expected.counts)


def test_its_options_and_configuration_are_those_of_any_method(example):
    search = example.DifferentialEvolution(weight=0.5)
    assert search.settings()["weight"] == 0.5
    assert search.settings()["fitness_steps"] == Fitness().steps
    assert example.DifferentialEvolution.from_settings(search.settings()) == search
