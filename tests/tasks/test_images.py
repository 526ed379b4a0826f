"""Images from Parquet files: small ones in the hub's schema, and the real ones where they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import DataError
from lossforge.tasks import Batches, load
from lossforge.tasks.images import SETS, channels_first, official_parts
from tasks.written_files import COUNTS, encoded, write_images


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in SETS:
        write_images(folder, name)
    return folder


@pytest.mark.parametrize("name", SETS)
def test_splits_are_disjoint_and_standardized_by_training_rows(name: str, root: Path):
    task = load(name, data_dir=root)
    rows = torch.cat([split.rows for split in (task.train, task.valid, task.test)])
    assert len(rows.unique()) == len(rows) == sum(COUNTS.values())
    assert task.train.inputs.mean((0, 2, 3)).abs().max() < 1e-4
    assert (task.train.inputs.std((0, 2, 3)) - 1).abs().max() < 0.02
    assert len(task.test) == COUNTS["test"]
    assert task.test.inputs.mean() > 1  # the brighter test images were not looked at


@pytest.mark.parametrize("name", SETS)
def test_the_seed_decides_who_validates(name: str, root: Path):
    first, again, other = (load(name, data_dir=root, split_seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint()
    assert not torch.equal(first.valid.rows, other.valid.rows)
    assert torch.equal(first.test.rows, other.test.rows)


def test_images_of_any_layout_have_their_channels_first():
    gray, colored = np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8)
    assert channels_first(gray).shape == (1, 4, 5)
    assert channels_first(colored).shape == (3, 4, 5)


@given(st.integers(40, 200), st.integers(0, 99))
def test_a_tenth_of_the_training_rows_validates(training, seed):
    labels = np.arange(training + 30) % 4
    train, valid, test = official_parts(labels, training, seed)
    assert sorted([*train, *valid]) == list(range(training))
    assert list(test) == list(range(training, training + 30))
    assert abs(len(valid) - training / 10) <= 2
    assert len(set(labels[valid])) == 4


def test_only_training_batches_are_augmented(root: Path):
    from lossforge.searching import make_problems

    task = load("cifar10", data_dir=root)
    (problem,) = make_problems(task, "linear")
    train = problem.batches(task.train, 60, 0).draw()[0]
    plain = Batches(task.train, 60, torch.Generator().manual_seed(0)).draw()[0]
    assert not any((train[:, None] == plain[None]).flatten(2).all(2).any(0))
    known = {tuple(row.flatten().tolist()) for row in task.valid.inputs}
    valid = problem.batches(task.valid, 60, 0).draw()[0]
    assert {tuple(row.flatten().tolist()) for row in valid} == known


def damaged(folder: Path, how: str) -> None:
    path = sorted(folder.glob("train-*"))[0]
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
        return
    table = pd.read_parquet(path)
    if how == "column":
        table = table.rename(columns={"label": "target"})
    elif how == "size":
        table.at[0, "image"] = encoded(np.zeros((5, 7), dtype=np.uint8))
    elif how == "image":
        table.at[0, "image"] = {"bytes": b"no image", "path": None}
    elif how == "label":
        table["label"] = -1
    table.to_parquet(path)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "no whole Parquet"),
        ("column", "no column 'label'"),
        ("size", "unequal size"),
        ("image", "row 0 is no whole image"),
        ("label", "label"),
    ],
)
def test_damaged_images_are_named(how: str, says: str, tmp_path: Path):
    damaged(write_images(tmp_path, "mnist"), how)
    with pytest.raises(DataError, match=says):
        load("mnist", data_dir=tmp_path)


def test_the_real_digits(data_dir: Path):
    task = load("mnist", data_dir=data_dir)
    assert sum(map(len, (task.train, task.valid, task.test))) == 70000
    assert (task.outputs, task.input_shape) == (10, (1, 28, 28))
