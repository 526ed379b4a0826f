"""Small data sets in the formats of the real ones, written for tests."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

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
