"""A search that several files of tests look at."""

import pytest

import lossforge as lf
from lossforge.experiments import SearchReport

TINY = {"population": 4, "generations": 2, "meta_steps": 2, "fitness_steps": 5}
TINY |= {"filter_steps": 10, "compare_seeds": 2, "compare_steps": 5}


@pytest.fixture(scope="session")
def searched() -> SearchReport:
    """The report of a tiny search of EvoMAL."""
    return lf.search("evomal", "iris", "linear", progress=False, **TINY)
