"""Texts as characters."""

import numpy as np
import pytest

from lossforge.errors import DataError
from lossforge.tasks import load
from lossforge.tasks.characters import text_task


def test_a_folder_of_texts(tmp_path):
    (tmp_path / "en.txt").write_text("\n".join(f"hello {i}" for i in range(20)))
    (tmp_path / "fr.txt").write_text("\n".join(f"ça va {i}" for i in range(20)), encoding="utf-8")
    task = load(f"text:{tmp_path}")
    assert task.classes == ("en", "fr")
    assert len(task.train) == 24
    with pytest.raises(DataError, match="two classes are the least"):
        load(f"text:{tmp_path / 'nowhere'}")


def test_characters_that_training_rows_lack_share_a_place():
    parts = (np.array([0, 1]), np.array([2]), np.array([3]))
    task = text_task(
        "t", ["ab", "ba", "zc", "b"], np.array([0, 1, 0, 1]), ("x", "y"), 0, parts=parts
    )
    assert task.input_shape == (2, 3)
    assert task.valid.inputs[0].tolist() == [[1, 0, 0], [1, 0, 0]]
    assert task.test.inputs[0].tolist() == [[0, 0, 1], [0, 0, 0]]


def test_long_texts_are_cut():
    parts = (np.array([0, 1]), np.array([2]), np.array([3]))
    texts = ["a" * 9, "b" * 3, "a", "b"]
    task = text_task("t", texts, np.array([0, 1, 0, 1]), ("x", "y"), 0, longest=5, parts=parts)
    assert task.input_shape == (5, 3)
