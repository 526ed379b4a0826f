"""A table's file is recognized by its content, and anything else is refused in one line."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lossforge.errors import DataError
from lossforge.tasks import load
from lossforge.tasks.table_files import read_table
from lossforge.tasks.table_options import TableOptions

TABLE = pd.DataFrame({"a": [1.5, 2.5, 3.0], "b": ["x", "y", "é"], "y": [0, 1, 0]})


def saved(folder: Path, content: bytes) -> str:
    path = folder / "table.csv"
    path.write_bytes(content)
    return str(path)


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, TABLE.to_csv(index=False))
    return stream.getvalue()


def encrypted() -> bytes:
    data = bytearray(zipped("a.csv"))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    return stream.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


CSV = TABLE.to_csv(index=False).encode()


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (CSV, {}),
        (gzip.compress(CSV, mtime=0), {}),
        (bz2.compress(CSV), {}),
        (lzma.compress(CSV), {}),
        (zipped("a.csv"), {}),
        (parquet(TABLE), {}),
        (CSV.replace(b",", b";"), {}),
        (CSV.replace(b",", b"\t"), {}),
        (CSV.replace(b",", b"|"), {}),
        (CSV.replace(b",", b" "), {"separator": "space"}),
        (CSV.decode().encode("utf-8-sig"), {}),
        (CSV.decode().encode("utf-16"), {}),
        (CSV.decode().encode("latin-1"), {"encoding": "latin-1"}),
        (CSV.replace(b"x", b"'x'"), {"quote": "single"}),
        (TABLE.to_csv(index=False, sep=";", decimal=",").encode(), {"decimal": "comma"}),
    ],
    ids=count(),
)
def test_every_variant_is_the_same_table(tmp_path, content, options):
    table, _ = read_table(saved(tmp_path, content), TableOptions(**options))
    assert table.astype({"b": object}).equals(TABLE.astype({"b": object}))


def test_an_inferred_separator_is_said(tmp_path):
    _, notes = read_table(saved(tmp_path, CSV.replace(b",", b";")), TableOptions())
    assert notes == ("columns are separated by a semicolon; separator=comma if not",)
    quoted = b'"a;b;c",y\n1,2\n'
    assert list(read_table(saved(tmp_path, quoted), TableOptions()).table) == ["a;b;c", "y"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (zipped("a.csv", "b.csv"), "holds 2 files; it must hold one table"),
        (zipped("xl/workbook.xml", "b"), "is an Excel workbook; save it as CSV"),
        (encrypted(), "is encrypted; unpack it"),
        (tarred(), "is a tar archive; unpack it"),
        (b"\x28\xb5\x2f\xfd0123", "is compressed by zstd; unpack it"),
        (gzip.compress(CSV, mtime=0)[:-9], "is a damaged archive"),
        (lzma.compress(CSV)[:-9], "is a damaged archive"),
        (bz2.compress(CSV)[:20], "is a damaged archive"),
        (zipped("a.csv")[:-9], "is a damaged archive"),
        (b"\x1f\x8b and text", "is a damaged archive"),
        (gzip.compress(bytes(70 * 2**20), mtime=0), "unpacks to over"),
        (b"PAR1 and text", "is no whole Parquet file"),
        (parquet(TABLE)[:-20], "is no whole Parquet file"),
        (parquet(TABLE.head(0)), "has a header but no rows"),
        (b"a,y\n1\x00,2\n", "holds zero bytes"),
        (",".join(f"c{i}" for i in range(30_000)).encode() + b"\n", "has 30000 columns"),
    ],
    ids=count(),
)
def test_what_is_no_table_is_refused(tmp_path, content, complaint):
    with pytest.raises(DataError) as caught:
        read_table(saved(tmp_path, content), TableOptions())
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_encodings_are_named(tmp_path):
    path = saved(tmp_path, CSV.decode().encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8 text.*encoding=latin-1"):
        read_table(path, TableOptions())
    with pytest.raises(DataError, match="no encoding is named 'nonsense'"):
        read_table(path, TableOptions(encoding="nonsense"))


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(DataError, match="is no regular file"):
            read_table(str(path), TableOptions())


def test_a_small_table_cannot_ask_for_much_memory(tmp_path):
    rows = [",".join(f"k{i}" for _ in range(149)) + f",{i % 2}" for i in range(1000)] * 2
    header = ",".join(f"c{i}" for i in range(149)) + ",y"
    path = saved(tmp_path, "\n".join([header, *rows]).encode())
    with pytest.raises(DataError, match=r"become \d{9} numbers"):
        load(f"csv:{path}:y:drop=c0")


def test_parquet_with_labels_as_text(tmp_path):
    draws = np.random.default_rng(0)
    table = pd.DataFrame({"a": draws.normal(size=60), "y": np.repeat(["cat", "dog"], 30)})
    task = load(f"csv:{saved(tmp_path, parquet(table))}:y")
    assert task.classes == ("cat", "dog")
