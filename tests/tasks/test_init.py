"""Every task by name keeps the promises of tasks; unknown names are told."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from lossforge.errors import UnknownNameError
from lossforge.tasks import Split, Task, load

SIZES = {"breast_cancer": 569, "diabetes": 442, "digits": 1797, "iris": 150, "wine": 178}


def splits(task: Task) -> tuple[Split, Split, Split]:
    return task.train, task.valid, task.test


@pytest.mark.parametrize("name", SIZES)
def test_splits_are_disjoint_and_cover_the_source(name: str):
    task = load(name)
    rows = torch.cat([split.rows for split in splits(task)])
    assert rows.sort().values.tolist() == list(range(SIZES[name]))
    assert len(task.train) / len(rows) == pytest.approx(0.6, abs=0.01)
    assert len(task.valid) / len(rows) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("name", SIZES)
def test_classes_are_stratified_to_within_a_row(name: str):
    task = load(name)
    if task.kind.name == "regression":
        quantiles = [split.targets.quantile(0.5).item() for split in splits(task)]
        assert np.ptp(quantiles) < 0.15
        return
    counts = [split.targets.bincount(minlength=task.outputs) for split in splits(task)]
    whole = sum(counts)
    for count, share in zip(counts, (0.6, 0.2, 0.2), strict=True):
        assert (count - share * whole).abs().max() <= 1


@pytest.mark.parametrize("name", SIZES)
def test_statistics_are_those_of_the_training_rows(name: str):
    task = load(name)
    # One mean for all pixels of an image's channel, one for each column of a table.
    axes = (0, 2, 3) if len(task.input_shape) == 3 else (0,)
    inputs = task.train.inputs.double()
    assert inputs.mean(axes).abs().max() < 1e-6
    assert torch.allclose(inputs.std(axes, correction=0), torch.ones(()).double(), atol=1e-5)
    everything = torch.cat([split.inputs for split in splits(task)]).double()
    assert everything.mean(axes).abs().max() > 1e-6


def test_regression_targets_are_standardized_by_training_rows():
    task = load("diabetes")
    train = task.train.targets.double()
    assert train.mean().abs() < 1e-6
    assert train.square().mean().item() == pytest.approx(1, abs=1e-6)
    assert task.valid.targets.mean().abs() > 1e-4


@pytest.mark.parametrize("name", SIZES)
def test_the_split_seed_decides_the_rows(name: str):
    first, again, other = load(name), load(name), load(name, split_seed=1)
    assert first.fingerprint() == again.fingerprint()
    assert not torch.equal(first.train.rows, other.train.rows)


@pytest.mark.parametrize("name", SIZES)
def test_loading_leaves_global_generators_alone(name: str):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    load(name)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_digits_are_images_that_keep_their_brightness_order():
    task = load("digits")
    assert task.input_shape == (1, 8, 8)
    # 17 gray values in the source: a scaling per pixel would have made far more of them.
    assert len(task.train.inputs.unique()) == 17


def test_unknown_tasks_are_told_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        load("digit")
    with pytest.raises(UnknownNameError, match="csv:PATH:TARGET"):
        load("zzz")


def test_importing_tasks_does_not_import_heavy_libraries():
    code = "import sys, lossforge.tasks; sys.exit(bool({'pandas', 'sklearn'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
