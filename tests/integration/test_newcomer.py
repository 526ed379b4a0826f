"""Mistakes that people make on their first day: each is one line that names culprit and remedy.

Forty at least, of types, shapes, dtypes, labels, loaders, generators, networks, losses and metrics.
Nothing is trained before they are found, but for losses, which see a batch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import lossforge as lf
from lossforge.errors import LossforgeError
from lossforge.losses import CrossEntropy, Huber, SymbolicLoss
from lossforge.tasks import MultiLabel, Task

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 3
LEARNED = SymbolicLoss("square(y - p)")


def train(task: object, **settings: Any) -> Any:
    return lf.train(task, model="linear", steps=2, progress=False, **settings)


def arrays(inputs: object, targets: object, **options: Any) -> Task:
    return Task.from_arrays(inputs, targets, **options)


def one_by_one(rows: object) -> Any:
    return Task.from_datasets(rows)


class Endless(IterableDataset[tuple[Tensor, int]]):
    """A stream of nothing."""

    def __iter__(self):
        return iter(())


Mistake = tuple[Callable[[], object], str]

DATA: dict[str, Mistake] = {
    "a list of labels and no inputs": (lambda: train([0, 1, 2]), "give"),
    "a tensor in place of a data set": (lambda: train(X), "the task is a Tensor"),
    "the path of a table": (lambda: train("houses.csv"), "houses.csv"),
    "a name with a slip": (lambda: train("digit"), "did you mean 'digits'"),
    "an empty data set": (lambda: one_by_one([]), "the train data set is empty"),
    "a stream that ends at once": (lambda: one_by_one(Endless()), "empty"),
    "a generator that was read before": (lambda: one_by_one(x for x in ()), "read once"),
    "a loader of no rows": (
        lambda: train(DataLoader(TensorDataset(X[:0], Y[:0]))),
        "empty",
    ),
    "too few rows": (lambda: train(TensorDataset(X[:6], Y[:6])), "6 rows are too few"),
    "items that are no pairs": (lambda: one_by_one([1.0] * 30), "each must be a pair"),
    "mappings without a target": (lambda: one_by_one([{"x": 1.0, "z": 2}] * 30), "target"),
    "texts as inputs": (lambda: one_by_one([("word", 1)] * 30), "holds a str"),
    "texts as labels of items": (lambda: one_by_one([(X[0], "cat")] * 30), "holds a str"),
    "complex inputs": (
        lambda: one_by_one([(torch.zeros(2, dtype=torch.complex64), 1)] * 30),
        "complex",
    ),
    "rows of two shapes": (
        lambda: one_by_one([(torch.zeros(2, 3), 0), (torch.zeros(3, 2), 1)] * 20),
        "shapes (2, 3) and (3, 2)",
    ),
    "inputs that are NaN": (
        lambda: one_by_one([(torch.full((2,), torch.nan), i % 2) for i in range(40)]),
        "NaN",
    ),
    "labels from 1": (
        lambda: one_by_one([(X[i], i % 3 + 1) for i in range(60)]),
        "no training row of class 0",
    ),
    "one class alone": (lambda: arrays(X, np.zeros(60, int)), "class"),
    "negative labels": (
        lambda: one_by_one([(X[i], -(i % 3)) for i in range(60)]),
        "labels run from -2",
    ),
    "fewer labels than rows": (lambda: arrays(X[:50], Y), "50 rows of inputs, but 60 targets"),
    "a number as labels": (lambda: arrays(X, 3), "the targets are a int"),
    "ragged lists": (lambda: arrays([[1], [1, 2]], [0, 1]), "no array"),
    "texts to regress": (lambda: arrays(X, ["a"] * 60, kind="regression"), "cannot be regressed"),
    "targets that are infinite": (lambda: arrays(X, X[:, 0] * torch.inf), "infinite"),
    "a kind that there is not": (lambda: arrays(X, Y, kind="ranking"), "ranking"),
    "names of too few classes": (
        lambda: arrays(X, Y, classes=("a", "b")),
        "2 classes are named",
    ),
    "two of three splits in other columns": (
        lambda: arrays(X, Y, valid=(X[:, :2], Y)),
        "bring them to one",
    ),
    "fractions of two splits": (lambda: arrays(X, Y, fractions=(0.5, 0.5)), "3 numbers"),
    "floats as tokens": (lambda: arrays(X, Y, tokens=True), "tokens are whole numbers"),
    "labels [rows, 2] as classes": (
        lambda: arrays(X, torch.stack([Y, Y], 1), kind="classification"),
        "are no classes",
    ),
}

NETWORKS: dict[str, Mistake] = {
    "a network for other inputs": (
        lambda: lf.train("iris", model=nn.Linear(5, 3), steps=2),
        "does not take inputs of shape",
    ),
    "a network of other outputs": (
        lambda: lf.train("iris", model=lambda: nn.Linear(4, 5), steps=2),
        "outputs of shape",
    ),
    "pictures' network for a table": (lambda: lf.train("iris", model="lenet"), "lenet"),
    "a network that returns nothing": (
        lambda: lf.train("iris", model=lambda: _Returning(None), steps=2),
        "a value of type NoneType; it must return one tensor",
    ),
    "parameters in place of a network": (
        lambda: lf.train("iris", model=nn.Linear(4, 3).parameters(), steps=2),
        "the model is a generator",
    ),
}

LOSSES: dict[str, Mistake] = {
    "PyTorch's loss": (lambda: train("iris", loss=nn.CrossEntropyLoss()), "CrossEntropyLoss"),
    "a class in place of a loss": (lambda: train("iris", loss=CrossEntropy), "give an instance"),
    "a function": (lambda: train("iris", loss=lambda y, p: y - p), "the loss is a function"),
    "a loss of values for classes": (lambda: train("iris", loss="mse"), "not classification"),
    "outputs [B]": (lambda: LEARNED(X[:, 0], Y), "unsqueeze(1)"),
    "labels out of range": (lambda: LEARNED(X, Y + 9), "outside 0 to 3"),
    "labels for other rows": (lambda: CrossEntropy()(X, Y[:50]), "do not fit"),
    "labels that are floats": (lambda: CrossEntropy()(X, Y.float()), "with .long()"),
    "targets of other columns": (lambda: Huber()(X, X[:, :2]), "fit"),
    "labels [B] for several labels": (
        lambda: SymbolicLoss("square(y - p)", kind=MultiLabel())(X, Y),
        "give 0 or 1 for each output",
    ),
    "weights of other classes": (
        lambda: SymbolicLoss("square(y - p)", weight=torch.ones(2))(X, Y),
        "one a class",
    ),
    "an unknown reduction": (lambda: CrossEntropy(reduction="average"), "mean, sum or none"),
    "a formula that ends": (lambda: SymbolicLoss("log(y"), "column"),
    "a file that is none": (lambda: lf.load("runs/none"), "none"),
}

METRICS: dict[str, Mistake] = {
    "a metric with a slip": (lambda: train("iris", metric="f11"), "f11"),
    "a metric of values for classes": (lambda: train("iris", metric="r2"), "no metric for"),
    "a function without a direction": (
        lambda: train("iris", metric=lambda outputs, labels: 0.0),
        "maximize=True",
    ),
    "a metric that fails": (
        lambda: train("iris", metric=lf.OwnMetric(lambda outputs: 0.0, maximize=True)),
        "failed for outputs",
    ),
}

MISTAKES = DATA | NETWORKS | LOSSES | METRICS


class _Returning(nn.Module):
    """A network that forgets to return its outputs."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.layer, self.value = nn.Linear(4, 3), value

    def forward(self, inputs: Tensor) -> object:
        self.layer(inputs)
        return self.value


def test_there_are_forty():
    assert len(MISTAKES) >= 40


@pytest.mark.parametrize(("make", "says"), MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_mistake_is_one_line_that_names_it(make, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LossforgeError) as caught:
        make()
    told = str(caught.value)
    assert says in told
    assert "\n" not in told
    assert not list(tmp_path.iterdir())
