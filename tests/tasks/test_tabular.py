"""The bundled data sets come through as scikit-learn holds them."""

import numpy as np
import pytest
import torch
from sklearn import datasets

from lossforge.tasks import Kind, load


@pytest.mark.parametrize(
    ("name", "kind", "outputs", "shape"),
    [
        ("breast_cancer", "classification", 2, (30,)),
        ("diabetes", "regression", 1, (10,)),
        ("digits", "classification", 10, (1, 8, 8)),
        ("iris", "classification", 3, (4,)),
        ("wine", "classification", 3, (13,)),
    ],
)
def test_kinds_and_shapes(name: str, kind: Kind, outputs: int, shape: tuple[int, ...]):
    task = load(name)
    assert (task.name, task.kind.name, task.outputs, task.input_shape) == (
        name,
        kind,
        outputs,
        shape,
    )
    assert len(task.classes) == (outputs if kind == "classification" else 0)


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "iris", "wine"])
def test_rows_keep_their_labels(name: str):
    task, bunch = load(name), getattr(datasets, f"load_{name}")()
    for split in (task.train, task.valid, task.test):
        assert np.array_equal(split.targets, bunch.target[split.rows])


def test_diabetes_is_scaled_from_raw_values_by_training_rows():
    task, raw = load("diabetes"), datasets.load_diabetes(scaled=False).data
    known = raw[task.train.rows]
    expected = (raw[task.test.rows] - known.mean(0)) / known.std(0)
    assert torch.allclose(task.test.inputs.double(), torch.from_numpy(expected), atol=1e-5)
