"""Data sets in the hub's form, read by the real package from folders."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks import Task, load

CLASSES = ["cat", "dog", "eel"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder: Path, rows: dict[str, int], kind: str = "image", sizes=(8, 8)) -> str:
    (folder / "data").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for part, count in rows.items():
        labels = [i % 3 for i in range(count)]
        if kind == "image":
            content = [draw.integers(0, 256, (sizes[i % 2], 8, 3), np.uint8) for i in range(count)]
            feature: object = datasets.Image()
        else:
            content = [CLASSES[label] * (1 + i % 2) for i, label in enumerate(labels)]
            feature = datasets.Value("string")
        features = datasets.Features({"what": feature, "which": datasets.ClassLabel(names=CLASSES)})
        table = datasets.Dataset.from_dict({"what": content, "which": labels}, features=features)
        table.to_parquet(folder / "data" / f"{part}-00000-of-00001.parquet")
    return f"hub:{folder}"


def test_images_with_a_test_split(tmp_path):
    task = load(write(tmp_path / "own", {"train": 60, "test": 30}))
    assert task.input_shape == (3, 8, 8)
    assert task.classes == tuple(CLASSES)
    assert (len(task.train), len(task.valid), len(task.test)) == (54, 6, 30)
    assert task.test.rows.tolist() == list(range(60, 90))
    assert task.train.inputs.mean((0, 2, 3)).abs().max() < 1e-5


def test_texts_without_a_test_split(tmp_path):
    task = load(write(tmp_path / "own", {"train": 60}, "text"))
    assert task.kind.name == "classification"
    assert (len(task.train), len(task.valid), len(task.test)) == (36, 12, 12)
    assert task.input_shape == (6, 1 + len(set("".join(CLASSES))))
    sums = task.train.inputs.sum(2)
    assert set(sums.unique().tolist()) == {0.0, 1.0}


def test_columns_can_be_named(tmp_path):
    name = write(tmp_path / "own", {"train": 60}, "text")
    assert torch.equal(load(f"{name}:what:which").train.inputs, load(name).train.inputs)
    with pytest.raises(DataError, match="no column 'whom'"):
        load(f"{name}:what:whom")
    with pytest.raises(DataError, match="write hub:OWNER/NAME"):
        load(f"{name}:what")


def test_what_cannot_be_had_is_told(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="cannot be loaded"):
        load(f"hub:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="no split called train"):
        load(write(tmp_path / "own", {"test": 60}))
    with pytest.raises(DataError, match="unequal size"):
        load(write(tmp_path / "mixed", {"train": 60}, sizes=(8, 9)))


def test_a_task_is_made_of_named_columns_or_of_a_table(tmp_path):
    name = write(tmp_path / "own", {"train": 60, "test": 30}, "text").removeprefix("hub:")
    whole = Task.from_hub(name, metric="f1")
    assert whole.metric == "f1"
    named = Task.from_hub(name, column="what", label="which")
    assert torch.equal(named.train.inputs, whole.train.inputs)
    folder = tmp_path / "table" / "data"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    columns = {"size": draw.normal(size=80).tolist(), "price": draw.normal(size=80).tolist()}
    datasets.Dataset.from_dict(columns).to_parquet(folder / "train-00000-of-00001.parquet")
    table = Task.from_hub(tmp_path / "table", target="price")
    assert (table.kind.name, table.input_shape, len(table.train)) == ("regression", (1,), 48)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"column": "what"}, "give column and label, or neither"),
        ({"target": "price", "column": "what"}, "not both"),
        ({"kind": "regression"}, "kind and options are for tables"),
    ],
)
def test_arguments_that_contradict_each_other_are_told(given, says, tmp_path):
    with pytest.raises(ConfigurationError, match=says):
        Task.from_hub(tmp_path, **given)
