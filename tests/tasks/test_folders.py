"""Data sets in files are found in their folder; where they are missing, the remedy is told."""

from pathlib import Path

import pytest

from lossforge.errors import DataError
from lossforge.tasks import FROM_FILES, load
from lossforge.tasks.folders import find_file
from tasks.written_files import write_images, write_tables


@pytest.mark.parametrize("name", FROM_FILES)
def test_missing_files_are_named_with_where_to_get_them(name: str, tmp_path, monkeypatch):
    monkeypatch.delenv("LOSSFORGE_DATA", raising=False)
    with pytest.raises(DataError, match=f"{name} needs files: get .* --data-dir"):
        load(name)
    with pytest.raises(DataError, match=f"{name} needs .*{name}"):
        load(name, data_dir=tmp_path)


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch):
    write_images(tmp_path, "mnist")
    monkeypatch.setenv("LOSSFORGE_DATA", str(tmp_path))
    assert load("mnist").input_shape == (1, 12, 12)


def test_the_argument_goes_before_the_environment(tmp_path: Path, monkeypatch):
    write_tables(tmp_path)
    monkeypatch.setenv("LOSSFORGE_DATA", "/nowhere")
    assert load("surnames", data_dir=tmp_path).outputs == 3


def test_files_come_in_order(tmp_path: Path):
    for name in ("train-2", "train-0", "test-0", "train-1"):
        (tmp_path / "digits").mkdir(exist_ok=True)
        (tmp_path / "digits" / name).touch()
    found = find_file(tmp_path, "digits", "train-*", "the hub")
    assert [path.name for path in found] == ["train-0", "train-1", "train-2"]
