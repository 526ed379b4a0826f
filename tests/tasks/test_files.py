"""Tasks that come from files: small ones in the same format, and the real ones where they are."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lossforge.errors import DataError
from lossforge.tasks import FROM_FILES, Batches, load
from lossforge.tasks.images import SETS

COUNTS = {"train": 60, "test": 20}


def encoded(pixels: np.ndarray) -> dict[str, object]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def write_images(root: Path, name: str, size: int = 12) -> Path:
    images = SETS[name]
    colored = name not in ("mnist", "fashion_mnist")
    folder = root / name
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for part, rows in COUNTS.items():
        shape = (rows, size, size, 3) if colored else (rows, size, size)
        pixels = draw.integers(0, 256, shape, dtype=np.uint8)
        # Test images are brighter: their statistics would show in the standardization.
        pixels = pixels // 2 + (127 if part == "test" else 0)
        table = pd.DataFrame(
            {images.image: [encoded(p) for p in pixels], images.label: np.arange(rows) % 4}
        )
        for shard, some in enumerate(np.array_split(np.arange(rows), 2)):
            path = folder / f"{part}-0000{shard}-of-00002.parquet"
            table.iloc[some].to_parquet(path)
    return folder


def write_tables(root: Path) -> None:
    draw = np.random.default_rng(0)
    (root / "california_housing").mkdir(parents=True)
    names = ["longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms"]
    names += ["population", "households", "median_income", "median_house_value"]
    table = pd.DataFrame(draw.uniform(1, 9, (80, 9)), columns=names)
    table.loc[3, "total_bedrooms"] = np.nan
    table["ocean_proximity"] = "INLAND"
    table.to_csv(root / "california_housing" / "housing.csv", index=False)
    (root / "communities_crime").mkdir()
    lines = [",".join([*(f"f{i}" for i in range(122)), "ViolentCrimesPerPop"])]
    for row in range(60):
        values = [f"{value:.2f}" for value in draw.uniform(0, 1, 123)]
        values[7] = "?" if row % 3 else values[7]
        lines.append(",".join(["8", "?", "?", f"Town{row}city", "1", *values]))
    (root / "communities_crime" / "communities.data").write_text("\n".join(lines))
    (root / "surnames").mkdir()
    for language, letters in {"Alpha": "abc", "Beta": "bcd", "Gamma": "éfg"}.items():
        words = ["".join(draw.choice(list(letters), 5)) for _ in range(30)]
        (root / "surnames" / f"{language}.txt").write_text("\n".join(words), encoding="utf-8")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in SETS:
        write_images(folder, name)
    write_tables(folder)
    return folder


@pytest.mark.parametrize("name", FROM_FILES)
def test_splits_are_disjoint_and_standardized_by_training_rows(name: str, root: Path):
    task = load(name, data_dir=root)
    rows = torch.cat([split.rows for split in (task.train, task.valid, task.test)])
    assert len(rows.unique()) == len(rows)
    if name == "surnames":
        assert set(task.train.inputs.unique().tolist()) == {0.0, 1.0}
        return
    axes = (0, 2, 3) if name in SETS else (0,)
    assert task.train.inputs.mean(axes).abs().max() < 1e-4
    assert (task.train.inputs.std(axes) - 1).abs().max() < 0.02
    if name in SETS:
        assert len(task.test) == COUNTS["test"]
        assert task.test.inputs.mean() > 1  # the brighter test images were not looked at


@pytest.mark.parametrize("name", FROM_FILES)
def test_the_seed_decides_who_validates(name: str, root: Path):
    first, again, other = (load(name, data_dir=root, split_seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint()
    assert not torch.equal(first.valid.rows, other.valid.rows)


@pytest.mark.parametrize("name", FROM_FILES)
def test_missing_files_are_named_with_where_to_get_them(name: str, tmp_path, monkeypatch):
    monkeypatch.delenv("LOSSFORGE_DATA", raising=False)
    with pytest.raises(DataError, match=f"{name} needs files: get .* --data-dir"):
        load(name)
    with pytest.raises(DataError, match=f"{name} needs .*{name}"):
        load(name, data_dir=tmp_path)


def test_the_environment_names_the_folder(root: Path, monkeypatch):
    monkeypatch.setenv("LOSSFORGE_DATA", str(root))
    assert load("mnist").input_shape == (1, 12, 12)


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
        ("image", "row 0: no image"),
        ("label", "label"),
    ],
)
def test_damaged_images_are_named(how: str, says: str, tmp_path: Path):
    damaged(write_images(tmp_path, "mnist"), how)
    with pytest.raises(DataError, match=says):
        load("mnist", data_dir=tmp_path)


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
        ("mnist", 70000, (1, 28, 28), 10),
    ],
)
def test_the_real_data(name, rows, shape, outputs, data_dir: Path):
    task = load(name, data_dir=data_dir)
    assert sum(map(len, (task.train, task.valid, task.test))) == rows
    assert task.outputs == outputs
    if shape is not None:
        assert task.input_shape == shape
