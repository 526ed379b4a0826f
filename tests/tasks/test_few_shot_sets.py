"""Few-shot data in the formats in which they come."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lossforge.errors import DataError, UnknownNameError
from lossforge.tasks.episodes import ClassPool, EpisodeSpec
from lossforge.tasks.few_shot_sets import from_arrays, load_few_shot


def drawing(seed: int, size: int = 20) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 2, (size, size), dtype=np.uint8) * 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_omniglot(root: Path) -> None:
    (root / "omniglot").mkdir(parents=True)
    for index, alphabets in enumerate((("Latin", "Greek"), ("Latin", "Korean"))):
        path = root / "omniglot" / f"images_background_small{index + 1}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for alphabet in alphabets:
                for character in range(6):
                    for row in range(4):
                        name = f"small/{alphabet}/character{character:02d}/{character}_{row}.png"
                        archive.writestr(name, drawing(hash((alphabet, character, row)) % 1000))


def write_folders(root: Path, shape: tuple[int, int] = (12, 12)) -> Path:
    folder = root / "mini_imagenet"
    for part, classes in {"train": "abc", "val": "de", "test": "fg"}.items():
        for label in classes:
            (folder / part / label).mkdir(parents=True)
            for row in range(4):
                pixels = np.full((*shape, 3), 40 * row, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{row}.png")
    return folder


def classes_of(task, part) -> list[str]:
    found = task.pools[part]
    assert isinstance(found, ClassPool)
    return found.names


def test_omniglot_counts_a_character_of_both_zips_once(tmp_path):
    write_omniglot(tmp_path)
    task = load_few_shot("omniglot", data_dir=tmp_path)
    names = [classes_of(task, part) for part in ("train", "valid", "test")]
    assert sum(map(len, names)) == 18
    assert not set(names[0]) & set(names[2])
    assert task.input_shape == (1, 28, 28)
    episode = task.pools["test"].draw(EpisodeSpec(2, 1, 1), torch.Generator().manual_seed(0))
    assert 0 <= episode.support.min() <= episode.support.max() <= 1


def test_rotations_are_classes_and_stay_with_their_character(tmp_path):
    write_omniglot(tmp_path)
    task = load_few_shot("omniglot", data_dir=tmp_path, rotations=True)
    for part in ("train", "valid", "test"):
        names = classes_of(task, part)
        characters = {name.partition(",")[0] for name in names}
        assert len(names) == 4 * len(characters)
    train, test = ({n.partition(",")[0] for n in classes_of(task, p)} for p in ("train", "test"))
    assert not train & test


def test_folders_with_published_splits(tmp_path):
    write_folders(tmp_path)
    task = load_few_shot("mini_imagenet", data_dir=tmp_path)
    assert task.input_shape == (3, 84, 84)
    assert classes_of(task, "valid") == ["d", "e"]
    train = task.pools["train"]
    assert isinstance(train, ClassPool)
    assert train.inputs.mean().abs() < 1e-4
    own = load_few_shot(f"images:{tmp_path / 'mini_imagenet'}")
    assert classes_of(own, "test") == ["f", "g"]


def test_splits_as_tables_of_file_names(tmp_path):
    folder = write_folders(tmp_path)
    (folder / "images").mkdir()
    for part in ("train", "val", "test"):
        lines = ["filename,label"]
        for path in sorted((folder / part).glob("*/*.png")):
            name = f"{path.parent.name}{path.name}"
            path.rename(folder / "images" / name)
            lines.append(f"{name},{path.parent.name}")
        (folder / f"{part}.csv").write_text("\n".join(lines))
        for empty in (folder / part).iterdir():
            empty.rmdir()
        (folder / part).rmdir()
    task = load_few_shot("mini_imagenet", data_dir=tmp_path)
    assert classes_of(task, "train") == ["a", "b", "c"]


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match="omniglot needs"):
        load_few_shot("omniglot", data_dir=tmp_path)
    write_omniglot(tmp_path)
    path = tmp_path / "omniglot" / "images_background_small1.zip"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="no whole zip"):
        load_few_shot("omniglot", data_dir=tmp_path)
    folder = write_folders(tmp_path)
    (folder / "train" / "a" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no whole image"):
        load_few_shot("mini_imagenet", data_dir=tmp_path)
    with pytest.raises(DataError, match="a folder for each class of meta-train"):
        load_few_shot(f"images:{tmp_path}")
    with pytest.raises(UnknownNameError, match="did you mean 'omniglot'"):
        load_few_shot("omniglott")


def test_images_that_are_no_squares_are_told(tmp_path):
    write_folders(tmp_path, (12, 9))
    with pytest.raises(DataError, match="crop the images to squares"):
        load_few_shot("mini_imagenet", data_dir=tmp_path)


def test_the_real_omniglot(data_dir):
    task = load_few_shot("omniglot", data_dir=data_dir)
    assert sum(len(classes_of(task, part)) for part in ("train", "valid", "test")) == 242


def test_classes_of_arrays_serve_one_purpose_each():
    inputs, labels = torch.arange(40.0)[:, None], torch.arange(40) % 8 * 5
    task = from_arrays(inputs, labels, seed=1)
    assert task.input_shape == (1,)
    names = [name for pool in task.pools.values() for name in pool.names]
    assert sorted(names) == [f"class {5 * k:02d}" for k in range(8)]
    for pool in task.pools.values():
        assert isinstance(pool, ClassPool)
        for row, index in zip(pool.inputs, pool.labels(), strict=True):
            assert pool.names[index] == f"class {int(row) % 8 * 5:02d}"


@pytest.mark.parametrize(
    ("rows", "labels", "says"),
    [
        (12, torch.arange(11), "12 rows and labels of shape"),
        (12, torch.arange(12.0), "number the classes"),
        (12, torch.arange(12) % 3, "3 classes; 4 are the least"),
    ],
)
def test_arrays_that_do_not_fit_are_told(rows, labels, says):
    with pytest.raises(DataError, match=says):
        from_arrays(torch.zeros(rows, 2), labels)


def test_arrays_that_are_not_finite_are_told():
    inputs = torch.zeros(8, 2)
    inputs[3, 1] = torch.nan
    with pytest.raises(DataError, match="not all finite"):
        from_arrays(inputs, torch.arange(8))


@pytest.mark.parametrize("count", [4, 5, 6, 7, 10])
def test_every_purpose_of_arrays_has_a_class(count):
    task = from_arrays(torch.zeros(2 * count, 2), torch.arange(2 * count) % count)
    assert all(pool.names for pool in task.pools.values())
