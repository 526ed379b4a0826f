"""Inputs that are read when a batch needs them: rows in a file, of a data set, or of several parts.

A `RowSource` has the few methods of a tensor [N, ...] that training uses, so that `Batches` and
evaluation need not know which of the two a `Split` has.
"""

import hashlib
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from lossforge.errors import DataError

Piece = Any
"""inputs of some rows: a tensor [B, ...], or a mapping or tuple of tensors"""

PIECE_ROWS = 1024
"""rows that are read at once where all are needed"""


class RowSource(ABC):
    """Inputs [N, ...] that are read from somewhere, some rows at a time.

    Attributes:
        shape: (N, ...) where every row is one tensor of the same shape; else (N,).
        device: where the rows are put that are read.
    """

    shape: torch.Size
    device: torch.device

    @abstractmethod
    def read(self, rows: Sequence[int]) -> Piece:
        """Return the inputs of some rows, on `device`."""

    @abstractmethod
    def to(self, device: torch.device | str) -> "RowSource":
        """Return the same rows, put on `device` when they are read."""

    @abstractmethod
    def is_floating_point(self) -> bool:
        """Tell whether inputs are numbers, not tokens."""

    @abstractmethod
    def is_finite(self) -> bool:
        """Tell whether no value is NaN or infinite."""

    @abstractmethod
    def digest(self) -> str:
        """Return a SHA-256 over all rows."""

    def __len__(self) -> int:
        return self.shape[0]

    def index_select(self, dim: int, index: Tensor) -> Piece:
        """Return the inputs of the rows at `index`, int64 [B]; `dim` is 0, as of a tensor's."""
        assert dim == 0
        return self.read(index.tolist())

    def __getitem__(self, rows: slice) -> Piece:
        return self.read(range(len(self))[rows])

    def split(self, size: int) -> Iterator[Piece]:
        """Yield the inputs of `size` rows after another; the last piece may have fewer."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


@final
@dataclass(frozen=True, eq=False)
class FileRows(RowSource):
    """Rows of one shape in a file, one after another, which memory need not hold.

    Args:
        path: of the file.
        shape: (N, ...).
        dtype: of the values, in this machine's byte order.
        offset: bytes before the first row.
        device: where the rows are put that are read.
        owner: kept alive as long as the rows are, such as the temporary folder of the file.
    """

    path: Path
    shape: torch.Size
    dtype: torch.dtype
    offset: int = 0
    device: torch.device = field(default=torch.device("cpu"))
    owner: object = None

    def __post_init__(self) -> None:
        needed = self.offset + self.shape.numel() * self.dtype.itemsize
        if not self.path.is_file() or self.path.stat().st_size < needed:
            raise DataError(f"{self.path} is missing or shorter than its {self.shape[0]} rows")

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.shape[1:].numel() * self.dtype.itemsize

    def read(self, rows: Sequence[int]) -> Tensor:
        """Return the inputs of some rows, [B, ...]."""
        buffer = bytearray(len(rows) * self.row_bytes)
        view, size = memoryview(buffer), self.row_bytes
        with self.path.open("rb", buffering=0) as file:
            for start, first, count in _runs(rows):
                # Reading does not map the file, whose pages would count as this process's memory.
                file.seek(self.offset + first * size)
                part = view[start * size : (start + count) * size]
                if file.readinto(part) != len(part):
                    raise DataError(f"{self.path} has become shorter; restore it")
        values = torch.frombuffer(buffer, dtype=self.dtype) if buffer else torch.empty(0)
        return values.view(len(rows), *self.shape[1:]).to(self.device)

    def to(self, device: torch.device | str) -> "FileRows":
        """Return the same rows, put on `device` when they are read."""
        return replace(self, device=torch.device(device))

    def is_floating_point(self) -> bool:
        """Tell whether inputs are numbers, not tokens."""
        return self.dtype.is_floating_point

    def is_finite(self) -> bool:
        """Tell whether no value is NaN or infinite."""
        return all(bool(piece.isfinite().all()) for piece in self.split(PIECE_ROWS))

    def digest(self) -> str:
        """Return a SHA-256 over all rows."""
        return digest_of_pieces(self.split(PIECE_ROWS))


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (place in `rows`, first row, count) of rows that follow one another."""
    start = 0
    for place in range(1, len(rows) + 1):
        if place == len(rows) or rows[place] != rows[place - 1] + 1:
            yield start, rows[start], place - start
            start = place


Item = Any


@final
class DatasetRows(RowSource):
    """Rows that a map-style data set gives one by one, put together when a batch needs them.

    Args:
        get: returns the inputs of a row, given its number in the data set.
        collate: puts the inputs of rows together, as a loader's ``collate_fn`` does.
        digest: SHA-256 over all rows.
        floating: whether inputs are numbers, not tokens.
        shape: (N, ...), or (N,) where rows differ in shape.
        cache: bytes of rows to keep; those used last are.
        device: where the rows are put that are read.
    """

    def __init__(
        self,
        get: Callable[[int], Item],
        collate: Callable[[list[Item]], Piece],
        *,
        digest: str,
        floating: bool,
        shape: torch.Size,
        cache: int,
        device: torch.device | str = "cpu",
    ):
        self.shape, self.device = shape, torch.device(device)
        self._get, self._collate = get, collate
        self._digest, self._floating, self._cache = digest, floating, cache
        self._kept: OrderedDict[int, Item] = OrderedDict()
        self._kept_bytes = 0

    def read(self, rows: Sequence[int]) -> Piece:
        """Return the inputs of some rows, put together."""
        return on_device(self._collate([self._item(row) for row in rows]), self.device)

    def _item(self, row: int) -> Item:
        if row in self._kept:
            self._kept.move_to_end(row)
            return self._kept[row]
        item = self._get(row)
        self._kept[row] = item
        self._kept_bytes += bytes_of(item)
        while self._kept_bytes > self._cache and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= bytes_of(dropped)
        return item

    def to(self, device: torch.device | str) -> "DatasetRows":
        """Return the same rows, put on `device` when they are read."""
        return DatasetRows(
            self._get,
            self._collate,
            digest=self._digest,
            floating=self._floating,
            shape=self.shape,
            cache=self._cache,
            device=device,
        )

    def is_floating_point(self) -> bool:
        """Tell whether inputs are numbers, not tokens."""
        return self._floating

    def is_finite(self) -> bool:
        """Tell whether no value is NaN or infinite; that was seen when the rows were counted."""
        return True

    def digest(self) -> str:
        """Return a SHA-256 over all rows."""
        return self._digest


@final
class SubsetRows(RowSource):
    """Some rows of a row source.

    Args:
        rows: that the source has.
        numbers: int64 [n], which of them.
    """

    def __init__(self, rows: RowSource, numbers: Tensor):
        self._rows, self._numbers = rows, numbers.tolist()
        self.shape, self.device = torch.Size([len(numbers), *rows.shape[1:]]), rows.device

    def read(self, rows: Sequence[int]) -> Piece:
        """Return the inputs of some rows."""
        return self._rows.read([self._numbers[row] for row in rows])

    def to(self, device: torch.device | str) -> "SubsetRows":
        """Return the same rows, put on `device` when they are read."""
        return SubsetRows(self._rows.to(device), torch.tensor(self._numbers))

    def is_floating_point(self) -> bool:
        """Tell whether inputs are numbers, not tokens."""
        return self._rows.is_floating_point()

    def is_finite(self) -> bool:
        """Tell whether no value of the whole source is NaN or infinite."""
        return self._rows.is_finite()

    def digest(self) -> str:
        """Return a SHA-256 over the whole source and the numbers."""
        told = f"{self._rows.digest()}{self._numbers}"
        return hashlib.sha256(told.encode()).hexdigest()


@final
class JointRows(RowSource):
    """Inputs of several parts: what a network takes as named or as positional arguments.

    Args:
        parts: tensors or row sources of as many rows, by name or in order.
    """

    def __init__(self, parts: Mapping[str, Tensor | RowSource] | tuple[Tensor | RowSource, ...]):
        self._parts = parts if isinstance(parts, tuple) else dict(parts)
        each = self._each()
        if not each or len({len(part) for part in each}) > 1:
            raise DataError(
                f"parts of the inputs have {', '.join(str(len(part)) for part in each) or 'no'} "
                "rows; give each as many"
            )
        self.shape, self.device = torch.Size([len(each[0])]), each[0].device

    def _each(self) -> list[Tensor | RowSource]:
        return list(self._parts if isinstance(self._parts, tuple) else self._parts.values())

    def _with(self, change: Callable[[Any], Any]) -> Any:
        if isinstance(self._parts, tuple):
            return tuple(change(part) for part in self._parts)
        return {name: change(part) for name, part in self._parts.items()}

    def read(self, rows: Sequence[int]) -> Piece:
        """Return the inputs of some rows, as a mapping or tuple of tensors."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.device)
        return self._with(lambda part: part.index_select(0, index))

    def to(self, device: torch.device | str) -> "JointRows":
        """Return the same rows on `device`."""
        return JointRows(self._with(lambda part: part.to(device)))

    def is_floating_point(self) -> bool:
        """Tell whether the first part holds numbers, not tokens."""
        return self._each()[0].is_floating_point()

    def is_finite(self) -> bool:
        """Tell whether no value is NaN or infinite."""
        return all(is_finite(part) for part in self._each())

    def digest(self) -> str:
        """Return a SHA-256 over all rows."""
        names = "" if isinstance(self._parts, tuple) else repr(list(self._parts))
        told = names + "".join(digest_of(part) for part in self._each())
        return hashlib.sha256(told.encode()).hexdigest()


def is_finite(inputs: Tensor | RowSource) -> bool:
    """Tell whether no value of inputs is NaN or infinite."""
    if isinstance(inputs, RowSource):
        return inputs.is_finite()
    return not inputs.is_floating_point() or bool(inputs.isfinite().all())


def digest_of(inputs: Tensor | RowSource) -> str:
    """Return a SHA-256 over inputs: the same for a tensor and for a file of its rows."""
    if isinstance(inputs, RowSource):
        return inputs.digest()
    return digest_of_pieces(inputs.split(PIECE_ROWS))


def digest_of_pieces(pieces: Iterator[Tensor] | Sequence[Tensor]) -> str:
    """Return a SHA-256 over tensors."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(f"{piece.dtype}{tuple(piece.shape[1:])}".encode())
        digest.update(piece.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def bytes_of(item: Item) -> int:
    """Return how many bytes of memory the tensors of an item take."""
    if isinstance(item, Tensor):
        return item.numel() * item.dtype.itemsize
    if isinstance(item, Mapping):
        return sum(map(bytes_of, item.values()))
    return sum(map(bytes_of, item)) if isinstance(item, tuple | list) else 64


def on_device(piece: Piece, device: torch.device) -> Piece:
    """Return inputs, or a mapping or tuple of inputs, on a device."""
    if isinstance(piece, Mapping):
        return {name: on_device(part, device) for name, part in piece.items()}
    if isinstance(piece, tuple | list):
        return tuple(on_device(part, device) for part in piece)
    return piece.to(device)


@final
class RowWriter:
    """Collects rows of one shape: in memory up to a limit, beyond it in a temporary file.

    Args:
        limit: bytes to keep in memory.
        folder: where the file goes; by default the system's folder for temporary files.
    """

    def __init__(self, limit: int, folder: Path | None = None):
        self._limit, self._folder = limit, folder
        self._rows: list[Tensor] = []
        self._count, self._waiting = 0, 0
        self._file: Any = None
        self._owner: _TemporaryFolder | None = None

    def add(self, row: Tensor) -> None:
        """Add a row; all have the same shape and type."""
        self._rows.append(row)
        self._count += 1
        self._waiting += bytes_of(row)
        if self._waiting > (self._limit if self._file is None else 2**24):
            self._write()

    def rows(self) -> Tensor | FileRows:
        """Return the rows that were added."""
        if self._file is None:
            return torch.stack(self._rows)
        shape, dtype = self._rows[-1].shape if self._rows else self._shape, self._dtype
        self._write()
        self._file.close()
        path = Path(self._file.name)
        return FileRows(path, torch.Size([self._count, *shape]), dtype, owner=self._owner)

    def _write(self) -> None:
        if not self._rows:
            return
        if self._file is None:
            self._owner = _TemporaryFolder(self._folder)
            self._file = (self._owner.path / "rows").open("wb")
        self._shape, self._dtype = self._rows[0].shape, self._rows[0].dtype
        for row in self._rows:
            self._file.write(row.contiguous().view(-1).view(torch.uint8).numpy().data)
        self._rows, self._waiting = [], 0


@final
class _TemporaryFolder:
    """A folder that is removed when nothing refers to this object, and at the latest at exit."""

    def __init__(self, under: Path | None):
        self.path = Path(tempfile.mkdtemp(prefix="lossforge-", dir=under))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
