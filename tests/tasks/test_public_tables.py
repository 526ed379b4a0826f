"""Public tables: small ones in the same format, and the real ones where they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lossforge.errors import DataError
from lossforge.tasks import load
from lossforge.tasks.public_tables import LOADERS
from tasks.written_files import write_tables


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_tables(folder)
    return folder


TABLES = [name for name in LOADERS if name != "surnames"]


@pytest.mark.parametrize("name", LOADERS)
def test_splits_are_disjoint_and_the_seed_decides_them(name: str, root: Path):
    first, again, other = (load(name, data_dir=root, split_seed=seed) for seed in (0, 0, 1))
    rows = torch.cat([split.rows for split in (first.train, first.valid, first.test)])
    assert len(rows.unique()) == len(rows)
    assert first.fingerprint() == again.fingerprint()
    assert not torch.equal(first.valid.rows, other.valid.rows)


@pytest.mark.parametrize("name", TABLES)
def test_inputs_are_standardized_by_training_rows(name: str, root: Path):
    task = load(name, data_dir=root)
    assert task.train.inputs.mean(0).abs().max() < 1e-4
    assert (task.train.inputs.std(0) - 1).abs().max() < 0.02


def test_surnames_are_one_hot(root: Path):
    task = load("surnames", data_dir=root)
    assert set(task.train.inputs.unique().tolist()) == {0.0, 1.0}
    assert task.classes == ("Alpha", "Beta", "Gamma")


def test_housing_has_ratios_per_household_and_missing_values_are_means(root: Path):
    table = pd.read_csv(root / "california_housing" / "housing.csv")
    task = load("california_housing", data_dir=root)
    for split in (task.train, task.valid, task.test):
        rooms = (table["total_rooms"] / table["households"]).to_numpy()[split.rows]
        found = split.inputs[:, 2].double().numpy()
        assert np.corrcoef(rooms, found)[0, 1] > 0.999999
        for at in (split.rows == 3).nonzero():
            # Row 3 has no number of bedrooms: the mean of the training rows is zero.
            assert split.inputs[at, 3].abs().item() < 1e-6


def test_damaged_texts_and_tables_are_named(tmp_path: Path):
    write_tables(tmp_path)
    (tmp_path / "surnames" / "Delta.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="not UTF-8"):
        load("surnames", data_dir=tmp_path)
    (tmp_path / "surnames" / "Delta.txt").write_text("\n")
    with pytest.raises(DataError, match=r"Delta\.txt is empty"):
        load("surnames", data_dir=tmp_path)
    housing = tmp_path / "california_housing" / "housing.csv"
    housing.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column"):
        load("california_housing", data_dir=tmp_path)
    crime = tmp_path / "communities_crime" / "communities.data"
    crime.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="ViolentCrimesPerPop"):
        load("communities_crime", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "rows", "shape", "outputs"),
    [
        ("california_housing", 20640, (8,), 1),
        ("communities_crime", 1994, (122,), 1),
        ("surnames", 20050, None, 18),
    ],
)
def test_the_real_data(name, rows, shape, outputs, data_dir: Path):
    task = load(name, data_dir=data_dir)
    assert sum(map(len, (task.train, task.valid, task.test))) == rows
    assert task.outputs == outputs
    if shape is not None:
        assert task.input_shape == shape
