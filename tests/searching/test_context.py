import torch

from lossforge.searching import SearchContext, make_problems
from lossforge.tasks import load

DIABETES = tuple(make_problems(load("diabetes"), "linear"))
CONTEXT = SearchContext(DIABETES, 7, lambda *_: None)


def test_numbers_are_derived_from_seed_and_purpose():
    again, other = (SearchContext(DIABETES, seed, lambda *_: None) for seed in (7, 8))
    assert CONTEXT.seed("fitness") == again.seed("fitness") != other.seed("fitness")
    assert CONTEXT.seed("fitness") != CONTEXT.seed("tuning")
    drawn = [c.generator("mutation", 1).random() for c in (CONTEXT, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert CONTEXT.generator("mutation", 2).random() != drawn[0]


def test_kind_and_device_are_those_of_the_tasks():
    assert CONTEXT.kind.name == "regression"
    assert CONTEXT.device == torch.device("cpu")
