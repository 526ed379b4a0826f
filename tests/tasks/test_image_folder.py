"""A user's own folders of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossforge.errors import DataError
from lossforge.tasks import load


def write(folder: Path, count: int, shape: tuple[int, ...] = (9, 7, 3)) -> None:
    folder.mkdir(parents=True)
    draw = np.random.default_rng(count)
    for index in range(count):
        pixels = draw.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


def test_a_folder_a_class(tmp_path):
    write(tmp_path / "cats", 20)
    write(tmp_path / "dogs", 30)
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    task = load(f"images:{tmp_path}")
    assert task.classes == ("cats", "dogs")
    assert task.input_shape == (3, 9, 7)
    assert len(task.train) == 30
    assert task.train.targets.bincount().tolist() == [12, 18]


def test_given_test_rows_stay_test_rows(tmp_path):
    for part, count in (("train", 20), ("test", 5)):
        for label in ("a", "b"):
            write(tmp_path / part / label, count, (8, 8))
    task = load(f"images:{tmp_path}")
    assert task.input_shape == (1, 8, 8)
    assert task.test.rows.tolist() == list(range(40, 50))
    assert (len(task.train), len(task.valid)) == (36, 4)


def test_misfits_are_told(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        load(f"images:{tmp_path / 'nowhere'}")
    write(tmp_path / "cats", 20)
    with pytest.raises(DataError, match="holds 1 folders"):
        load(f"images:{tmp_path}")
    (tmp_path / "dogs").mkdir()
    with pytest.raises(DataError, match="a class without a row"):
        load(f"images:{tmp_path}")
    write(tmp_path / "eels", 20, (9, 8, 3))
    (tmp_path / "dogs").rmdir()
    with pytest.raises(DataError, match="unequal size"):
        load(f"images:{tmp_path}")
    (tmp_path / "eels" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png is no whole image"):
        load(f"images:{tmp_path}")
