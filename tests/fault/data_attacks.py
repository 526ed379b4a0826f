"""Attacks by data: losses, tables, images and archives that are damaged, odd, or ask for much."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fault.harness import Attacks, judge
from lossforge.losses import NeuralLoss, SymbolicLoss, load, save
from lossforge.models import resolve
from lossforge.tasks import load as load_task

CELLS = (
    *("", " ", "NA", "?", "unknown", "1", "-1", "1.5", "1,5", '"1,5"', "$3", "3%", "1e400", "-inf"),
    *("nan", "NaN", "1_000", "1 000", "1.234,5", "0x1F", "TRUE", "false", "a", "a ", "A", "é"),
    *("2024-01-31", "31/12/2024", "12/31/24", "24:00", "1000000000000000001", "9" * 400, "\x00"),
    *(
        '"',
        '""',
        '"a',
        "'",
        ";",
        "\t",
        "\r",
        "\u200b",
        "猫",
        "\U0001d518",
        "[1]",
        "{}",
        "=1+1",
        "1e-400",
    ),
    *(
        "9999-12-31",
        "0001-01-01",
        "2024-02-30",
        "\uff11\uff12",
        "٣",
        "½",
        "1e5",
        "+1",
        "--1",
        "1/2",
    ),
)
SEPARATORS = (",", ",", ",", ";", "\t", "|", " ")
TARGET = "y"


class DataAttacks(Attacks):
    """Attacks by files of losses and data."""

    classes = ("losses", "bombs", "tables", "archives", "parquets", "images", "texts")

    def prepare(self) -> None:
        """Read a table: Arrow reserves 1 GB of addresses, and no memory, at its first use."""
        path = self.folder / "first.csv"
        path.write_text("a,y\n" + "\n".join(f"k{i % 3},{i % 2}" for i in range(60)))
        load_task(f"csv:{path}:y")

    def losses(self) -> None:
        """Change bytes of loss files: what is read is a loss, or refused."""
        network = NeuralLoss()
        for kind, loss in (("symbolic", SymbolicLoss("-2*y*log(p) + abs(y - p)")), ("nn", network)):
            path = self.folder / f"{kind}.json"
            save(loss, path)
            for changed_path in {path, path.with_suffix(".safetensors")}:
                if changed_path.exists():
                    self._change_losses(path, changed_path)

    def _change_losses(self, path: Path, changed_path: Path) -> None:
        whole = changed_path.read_bytes()
        for _ in range(self.count(1000, 50)):
            changed = self._changed(whole)
            changed_path.write_bytes(changed)
            trouble = judge(lambda: load(path))
            self.tally.record("loss file changed", repr(changed[:300]), trouble)
        changed_path.write_bytes(whole)

    def _changed(self, whole: bytes) -> bytes:
        changed = bytearray(whole)
        for _ in range(self.random.randint(1, 4)):
            changed[self.random.randrange(len(whole))] = self.random.randrange(256)
        if self.random.random() < 0.2:
            del changed[self.random.randrange(len(changed)) :]
        return bytes(changed)

    def bombs(self) -> None:
        """Ask for much memory or time by few bytes."""
        path = self.folder / "loss.json"
        save(NeuralLoss(), path)
        document = json.loads(path.read_text())
        for sizes in ([30_000, 30_000], [10**9], [1] * 10_000, [-1], [0], [2.5], ["a"]):
            path.write_text(json.dumps({**document, "hidden": sizes}))
            self.tally.record("bomb: loss", f"{sizes}"[:60], judge(lambda: load(path)))
        deep, long = "-(" * 50_000 + "y" + ")" * 50_000, " + ".join(["y"] * 100_000)
        for text in (
            deep,
            long,
            "y**" * 5000 + "y",
            f"y*{'9' * 4300}",
            "exp(" * 300 + "y" + ")" * 300,
        ):
            content = {"format": "lossforge.loss", "version": 1, "type": "symbolic"}
            for kind in ("classification", "regression"):
                path.write_text(json.dumps({**content, "kind": kind, "expression": text}))
                self.tally.record("bomb: loss", text[:60], judge(lambda: load(path)))
        for text in ('{"a": ' + "9" * 4301 + "}", "[" * 100_000, '{"a":' * 100_000):
            path.write_text(text)
            self.tally.record("bomb: loss", text[:60], judge(lambda: load(path)))
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for odd in (pipe, Path("/dev/zero"), Path("/dev/stdin"), self.folder):
            self.tally.record("bomb: no regular file", str(odd), judge(lambda odd=odd: load(odd)))
            for name in (f"csv:{odd}:y", f"text:{odd}", f"images:{odd}"):
                trouble = judge(lambda name=name: load_task(name))
                self.tally.record("bomb: no regular file", name, trouble)
        task = load_task("iris")
        for model in ("mlp:width=1000000000", "mlp:depth=1000000000", "mlp:width=100000,depth=9"):
            trouble = judge(lambda model=model: resolve(model, task))
            self.tally.record("bomb: network", model, trouble)

    def tables(self) -> None:
        """Read random tables: each is a task, or refused."""
        path = self.folder / "table.csv"
        for _ in range(self.count(2000, 40)):
            content = self._table()
            path.write_bytes(content)
            name = f"csv:{path}:{TARGET}{self._options()}"
            trouble = judge(lambda name=name: load_task(name))
            self.tally.record("random table", f"{name} {content[:400]!r}", trouble)
        wide = ",".join(f"c{i}" for i in range(100_000))
        long = "\n".join(["a,y", *(f"{i % 7},{i % 2}" for i in range(100_000))])
        categories = "\n".join([",".join("abcdefgh") + ",y", *self._categories()])
        for what, text in (
            ("wide", f"{wide}\n{wide}\n"),
            ("long", long),
            ("categories", categories),
        ):
            path.write_text(text)
            trouble = judge(lambda: load_task(f"csv:{path}:y"))
            self.tally.record("large table", what, trouble)

    def _categories(self) -> list[str]:
        return [",".join([f"k{i % 999}"] * 8) + f",{i % 2}" for i in range(20_000)]

    def _options(self) -> str:
        options = (
            "",
            "",
            "",
            ":regression",
            ":classification",
            ":drop=c0",
            ":time=c0",
            ":group=c0",
        )
        options += (":category=c0", ":number=c0", ":date=c0", ":decimal=comma", ":separator=tab")
        options += (":encoding=latin-1", ":quote=none", ":dates=day-first", ":id=c0,missing=a")
        return self.random.choice(options)

    def _table(self) -> bytes:
        draw = self.random
        rows, columns = draw.choice([0, 1, 3, 21, 40, 60, 150]), draw.randint(0, 5)
        separator = draw.choice(SEPARATORS)
        pools = [self._pool() for _ in range(columns + 1)]
        header = [draw.choice([f"c{i}"] * 20 + ["", "c0", "y ", '"']) for i in range(columns)]
        lines = [separator.join([*header, TARGET])]
        for row in range(rows):
            cells = [pool[draw.randrange(len(pool))] if pool else str(row) for pool in pools]
            if draw.random() < 0.002:
                cells.append("x")
            lines.append(separator.join(cells))
        data = draw.choice(["\n", "\n", "\r\n", "\r"]).join(lines).encode("utf-8", "surrogatepass")
        if draw.random() < 0.1:
            data = self._changed(data)
        encoding = draw.choice(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "latin-1"])
        return data.decode("utf-8", "replace").encode(encoding, "replace")

    def _pool(self) -> list[str]:
        """Return what a column's cells are drawn from; nothing for one that numbers the rows."""
        draw = self.random
        numbers = [str(round(draw.gauss(0, 10), draw.randint(0, 3))) for _ in range(60)]
        wholes = [str(i) for i in range(draw.choice([2, 3, 25]))]
        odd = draw.sample(CELLS, draw.randint(1, 4))
        return draw.choice(
            [[], numbers, numbers, wholes, wholes, ["a", "b"], [*numbers, *odd], odd]
        )

    def archives(self) -> None:
        """Read archives that are damaged, encrypted, none at all, or grow without end."""
        table = "a,y\n" + "\n".join(f"{i},{i % 2}" for i in range(60))
        data = table.encode()
        path = self.folder / "table.csv"
        made: dict[str, bytes] = {
            "gzip": gzip.compress(data),
            "bz2": bz2.compress(data),
            "xz": lzma.compress(data),
            "zip": _zipped({"a.csv": data}),
            "encrypted zip": _encrypted(data),
            "zip of two": _zipped({"a.csv": data, "b.csv": data}),
            "zip of none": _zipped({}),
            "tar": _tarred(data),
            "tar.gz": gzip.compress(_tarred(data)),
            "zst": b"\x28\xb5\x2f\xfd" + data,
            "gzip bomb": gzip.compress(bytes(200 * 2**20)),
            "zip bomb": _zipped({"a.csv": bytes(200 * 2**20)}),
        }
        for kind, content in made.items():
            tries = [content, content[: len(content) // 2], content[:8], content + b"tail"]
            if len(content) < 10_000:
                tries += [self._changed(content) for _ in range(self.count(80, 2))]
            for data in tries:
                path.write_bytes(data)
                trouble = judge(lambda: load_task(f"csv:{path}:y"))
                self.tally.record("archive", f"{kind} {data[:200]!r}", trouble)

    def parquets(self) -> None:
        """Read Parquet files that are damaged, empty or of odd types."""
        path = self.folder / "train-0.parquet"
        labels = [i % 2 for i in range(40)]
        table = pd.DataFrame({"a": np.arange(40.0), "y": labels})
        odd = [
            table,
            table.head(0),
            table[[]],
            table.assign(a=[[1, 2]] * 40),
            table.assign(a=[{"b": 1}] * 40),
            table.assign(a=[b"\xff"] * 40),
            table.assign(a=pd.to_datetime("2024-01-01", utc=True)),
            table.assign(a=None),
            table.assign(y=None),
            table.assign(y=[[1]] * 40),
            table.assign(y=pd.to_datetime("2024-01-01")),
            table.astype({"a": "category", "y": "category"}),
            table.astype({"a": "Int64", "y": "boolean"}),
        ]
        for number, each in enumerate(odd):
            stream = io.BytesIO()
            each.to_parquet(stream)
            whole = stream.getvalue()
            changed = [self._changed(whole) for _ in range(self.count(40, 1))]
            for data in (whole, whole[:-20], *changed):
                path.write_bytes(data)
                trouble = judge(lambda: load_task(f"csv:{path}:y"))
                self.tally.record("Parquet table", f"{number}", trouble)
        self._image_sets()

    def _image_sets(self) -> None:
        png = {"bytes": _png(8, 8)}
        folder = self.folder / "sets" / "mnist"
        folder.mkdir(parents=True)
        good = pd.DataFrame({"image": [png] * 60, "label": [i % 2 for i in range(60)]})
        for what, table in (
            ("whole", good),
            ("without rows", good.head(0)),
            ("labels of text", good.assign(label=["a", "b"] * 30)),
            ("labels of fractions", good.assign(label=[0.5, 1.5] * 30)),
            ("negative labels", good.assign(label=[-1, 1] * 30)),
            ("huge labels", good.assign(label=[10**12, 1] * 30)),
            ("missing labels", good.assign(label=[None, 1.0] * 30)),
            ("images of text", good.assign(image=["a"] * 60)),
            ("missing images", good.assign(image=[None] * 60)),
            ("no column", good[["label"]]),
            ("cut images", good.assign(image=[{"bytes": png["bytes"][:30]}] * 60)),
            ("huge images", good.assign(image=[{"bytes": _huge_png(60_000)}] * 60)),
        ):
            table.to_parquet(folder / "train-0.parquet")
            good.head(20).to_parquet(folder / "test-0.parquet")
            trouble = judge(lambda: load_task("mnist", data_dir=folder.parent))
            self.tally.record("Parquet of images", what, trouble)

    def images(self) -> None:
        """Read folders with an image that is damaged, huge, or none."""
        root = self.folder / "images"
        for label in ("a", "b"):
            (root / label).mkdir(parents=True)
            for number in range(12):
                (root / label / f"{number}.png").write_bytes(_png(8, 8))
        path = root / "a" / "0.png"
        whole = path.read_bytes()
        kinds = [whole, *(_encoded(form) for form in ("JPEG", "GIF", "BMP", "TIFF", "WEBP"))]
        made = [
            *(_huge_png(side) for side in (10_000, 60_000, 2**31 - 1)),
            *(
                b"",
                b"\x89PNG\r\n\x1a\n",
                b"text",
                whole[:30],
                _png(1, 1),
                _encoded("GIF", frames=3),
            ),
        ]
        made += [self._changed(self.random.choice(kinds)) for _ in range(self.count(300, 20))]
        for data in made:
            path.write_bytes(data)
            trouble = judge(lambda: load_task(f"images:{root}"))
            self.tally.record("image", repr(data[:200]), trouble)

    def texts(self) -> None:
        """Read folders of texts that are binary, empty, or whose alphabet asks for much memory."""
        root = self.folder / "texts"
        root.mkdir()
        alphabet = "".join(chr(0x4E00 + i) for i in range(20_000))
        lines = [alphabet[i : i + 60] for i in range(0, 20_000, 60)]
        calls: dict[str, Callable[[], bytes]] = {
            "large alphabet": lambda: "\n".join(lines).encode(),
            "long line": lambda: b"a" * 900_000,
            "many lines": lambda: b"a\n" * 300_000,
            "binary": lambda: self.random.randbytes(1000),
            "empty": lambda: b"",
            "blank": lambda: b"\n \n",
            "zero bytes": lambda: b"\x00\n" * 30,
        }
        for what, make in calls.items():
            for name in ("a.txt", "b.txt"):
                (root / name).write_bytes(make())
            self.tally.record("texts", what, judge(lambda: load_task(f"text:{root}")))


def _png(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _encoded(form: str, frames: int = 1) -> bytes:
    image = Image.open(io.BytesIO(_png(8, 8)))
    stream = io.BytesIO()
    several = {"save_all": True, "append_images": [image] * (frames - 1)} if frames > 1 else {}
    image.save(stream, form, **several)
    return stream.getvalue()


def _huge_png(side: int) -> bytes:
    """Return a small file that says it is an image of side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return len(data).to_bytes(4, "big") + whole + zlib.crc32(whole).to_bytes(4, "big")

    size = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(1000))
    head = b"\x89PNG\r\n\x1a\n"
    return head + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _encrypted(data: bytes) -> bytes:
    whole = bytearray(_zipped({"a.csv": data}))
    whole[6] |= 1
    whole[whole.index(b"PK\x01\x02") + 8] |= 1
    return bytes(whole)


def _tarred(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()
