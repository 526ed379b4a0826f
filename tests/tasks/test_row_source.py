"""Rows that are read when they are needed are the rows of the tensor that they were made of."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.row_source import (
    DatasetRows,
    FileRows,
    JointRows,
    RowWriter,
    SubsetRows,
    digest_of,
    is_finite,
)

VALUES = torch.arange(7 * 6, dtype=torch.float32).view(7, 2, 3)


@pytest.fixture(scope="module")
def in_file(tmp_path_factory: pytest.TempPathFactory) -> FileRows:
    path = tmp_path_factory.mktemp("rows") / "rows"
    path.write_bytes(b"head" + VALUES.numpy().tobytes())
    return FileRows(path, VALUES.shape, VALUES.dtype, offset=4)


def of_dataset(values: Tensor, cache: int = 2**20) -> tuple[DatasetRows, list[int]]:
    asked: list[int] = []

    def get(number: int) -> Tensor:
        asked.append(number)
        return values[number]

    shape = values.shape
    return DatasetRows(get, torch.stack, digest="", floating=True, shape=shape, cache=cache), asked


@given(index=st.lists(st.integers(0, 6), max_size=12))
def test_rows_are_those_of_the_tensor_in_any_order(in_file: FileRows, index: list[int]):
    wanted = torch.tensor(index, dtype=torch.int64)
    subset = SubsetRows(in_file, torch.tensor([6, 5, 4, 3, 2, 1, 0]))
    assert torch.equal(in_file.index_select(0, wanted), VALUES[wanted])
    assert torch.equal(subset.index_select(0, wanted), VALUES[6 - wanted])
    joint = JointRows({"a": VALUES, "b": in_file}).index_select(0, wanted)
    assert torch.equal(joint["a"], VALUES[wanted])
    assert torch.equal(joint["b"], VALUES[wanted])


@given(size=st.integers(1, 9))
def test_pieces_make_the_whole(in_file: FileRows, size: int):
    assert torch.equal(torch.cat(list(in_file.split(size))), VALUES)
    assert torch.equal(in_file[2:5], VALUES[2:5])


def test_a_file_has_the_digest_of_its_tensor(in_file: FileRows):
    assert digest_of(in_file) == digest_of(VALUES)
    assert digest_of(VALUES + 1) != digest_of(VALUES)
    assert SubsetRows(in_file, torch.tensor([1])).digest() != in_file.digest()


def test_nan_is_found_in_every_form(tmp_path: Path):
    broken = VALUES.clone()
    broken[5, 1, 1] = torch.nan
    (tmp_path / "rows").write_bytes(broken.numpy().tobytes())
    rows = FileRows(tmp_path / "rows", broken.shape, broken.dtype)
    for each in (rows, SubsetRows(rows, torch.tensor([0])), JointRows((VALUES, rows)), broken):
        assert not is_finite(each)
    assert is_finite(VALUES)


def test_a_file_that_is_too_short_is_refused(tmp_path: Path):
    (tmp_path / "rows").write_bytes(b"x" * 20)
    with pytest.raises(DataError, match="shorter than its 7 rows"):
        FileRows(tmp_path / "rows", VALUES.shape, VALUES.dtype)


def test_a_file_that_shrinks_is_an_error_and_not_other_rows(tmp_path: Path):
    path = tmp_path / "rows"
    path.write_bytes(VALUES.numpy().tobytes())
    rows = FileRows(path, VALUES.shape, VALUES.dtype)
    path.write_bytes(b"x" * 30)
    with pytest.raises(DataError, match="has become shorter"):
        rows.index_select(0, torch.tensor([6]))


def test_parts_of_other_lengths_are_refused():
    with pytest.raises(DataError, match="parts of the inputs have 7, 3 rows"):
        JointRows((VALUES, VALUES[:3]))


def test_a_data_set_is_asked_once_for_what_the_cache_holds():
    rows, asked = of_dataset(VALUES)
    for _ in range(3):
        assert torch.equal(rows.index_select(0, torch.tensor([1, 4])), VALUES[[1, 4]])
    assert asked == [1, 4]


def test_the_cache_drops_what_was_used_longest_ago():
    rows, asked = of_dataset(VALUES, cache=2 * 24)
    for number in (0, 1, 0, 2, 0, 1):
        rows.read([number])
    assert asked == [0, 1, 2, 1]


@pytest.mark.parametrize("limit", [0, 50, 10**6])
def test_written_rows_come_back_from_memory_or_file(limit: int):
    writer = RowWriter(limit)
    for row in VALUES:
        writer.add(row)
    rows = writer.rows()
    assert isinstance(rows, Tensor) == (limit == 10**6)
    assert torch.equal(rows[0:7], VALUES)


def test_the_temporary_file_goes_with_the_rows():
    writer = RowWriter(0)
    writer.add(VALUES[0])
    rows = writer.rows()
    folder = rows.path.parent
    assert folder.is_dir()
    kept = rows.to("cpu")
    del rows, writer
    assert folder.is_dir()
    del kept
    assert not folder.exists()
