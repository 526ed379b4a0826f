"""From a table's file to a data frame: CSV in its variants, compressed or not, and Parquet.

The content tells the form; the ending of the name does not matter.
"""

import bz2
import gzip
import io
import lzma
import stat
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from lossforge.errors import DataError
from lossforge.extras import require_extra
from lossforge.tasks.table_options import QUOTES, SEPARATORS, TableOptions

MOST_EXPANSION = 50
"""times that a compressed file may grow, beyond LEAST_BUDGET; text grows some ten times"""
LEAST_BUDGET = 64 * 2**20
MOST_COLUMNS = 20_000
FIRST_LINE = 2**22
"""bytes in which the header must end"""

REFUSED = {
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; unpack it",
    b"7z\xbc\xaf\x27\x1c": "is a 7z archive; unpack it",
    b"Rar!": "is a rar archive; unpack it",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook; save it as CSV",
    b"SQLite format 3": "is a database; export the table as CSV",
    b"%PDF": "is a PDF document; export the table as CSV",
}
"""beginnings of files that are no tables"""

UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Read(NamedTuple):
    """A table, and what a person should know about how it was read."""

    table: pd.DataFrame
    notes: tuple[str, ...]


def read_table(path: str, options: TableOptions) -> Read:
    """Read a table whose rows all fit its header, or say what is wrong with it.

    Raises:
        DataError: the file is missing, damaged, no table, or not of the form that options name.
    """
    found = Path(path).expanduser()
    try:
        if not stat.S_ISREG(found.stat().st_mode):
            raise DataError(f"cannot read the table {path!r}: it is no regular file")
        with found.open("rb") as stream:
            head = stream.read(512)
        if head.startswith(b"PAR1"):
            return Read(_checked(path, _parquet(found, path)), ())
        data = _unpacked(found, head, path)
        return _csv(found if data is None else data, path, options)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read the table {path!r}: {reason}") from error


def _parquet(found: Path, path: str) -> pd.DataFrame:
    require_extra("parquet", "a Parquet table")
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(found)
        if file.metadata.num_columns > MOST_COLUMNS:
            raise DataError(_too_many_columns(path, file.metadata.num_columns))
        table: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the table {path!r} is no whole Parquet file ({reason})") from None
    return table


def _unpacked(found: Path, head: bytes, path: str) -> bytes | None:
    """Return the content of a compressed file; None where it is not compressed."""
    for beginning, complaint in REFUSED.items():
        if head.startswith(beginning):
            raise DataError(f"the table {path!r} {complaint}")
    if head[257:262] == b"ustar":
        raise DataError(f"the table {path!r} is a tar archive; unpack it")
    opening = next((each for sign, each in OPENERS.items() if head.startswith(sign)), None)
    if opening is None:
        return None
    budget = max(LEAST_BUDGET, MOST_EXPANSION * found.stat().st_size)
    try:
        with opening(found) as opened:
            data: bytes = opened.read(budget + 1)
    except (EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"the table {path!r} is a damaged archive ({error})") from None
    except (NotImplementedError, RuntimeError) as error:
        raise DataError(f"the table {path!r} cannot be unpacked ({error}); unpack it") from None
    if len(data) > budget:
        raise DataError(f"the table {path!r} unpacks to over {budget} bytes; unpack it yourself")
    return data


def _zipped(found: Path) -> IO[bytes]:
    path = str(found)
    archive = zipfile.ZipFile(found)
    members = [member for member in archive.infolist() if not member.is_dir()]
    if any(member.filename == "xl/workbook.xml" for member in members):
        raise DataError(f"the table {path!r} is an Excel workbook; save it as CSV")
    if len(members) != 1:
        raise DataError(f"the archive {path!r} holds {len(members)} files; it must hold one table")
    if members[0].flag_bits & 1:
        raise DataError(f"the archive {path!r} is encrypted; unpack it")
    return archive.open(members[0])


OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"PK\x03\x04": _zipped,
}
"""what opens a compressed file, by how it begins"""


def _csv(source: Path | bytes, path: str, options: TableOptions) -> Read:
    try:
        first, encoding = _first_line(source, path, options)
        separator = _separator(first, options)
        columns = len(first.split() if len(separator) > 1 else first.split(separator))
        if columns > MOST_COLUMNS:
            raise DataError(_too_many_columns(path, columns))
        header, table = _parse(source, separator, encoding, options)
    except (UnicodeDecodeError, UnicodeError) as error:
        if options.encoding is None:
            raise DataError(
                f"the table {path!r} is not UTF-8 text; save it as such, or name its encoding: "
                "encoding=latin-1"
            ) from error
        raise DataError(f"the table {path!r} is not {options.encoding} text") from error
    except LookupError as error:
        raise DataError(f"no encoding is named {options.encoding!r}; latin-1 is one") from error
    except EmptyDataError as error:
        raise DataError(f"the table {path!r} is empty; bring a header line and rows") from error
    except ParserWarning as error:
        raise DataError(
            f"rows of the table {path!r} hold more values than its header has names; name every "
            "column"
        ) from error
    except (ParserError, ValueError, OverflowError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"the table {path!r} is damaged: {reason}") from error
    _check_header(path, header)
    notes = []
    if separator != "," and options.separator is None:
        word = next(name for name, sign in SEPARATORS.items() if sign == separator)
        notes.append(f"columns are separated by a {word}; separator=comma if not")
    return Read(_checked(path, table), tuple(notes))


def _first_line(source: Path | bytes, path: str, options: TableOptions) -> tuple[str, str]:
    """Return the first line that is not blank, and the encoding."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            data = stream.read(FIRST_LINE)
    else:
        data = source[:FIRST_LINE]
    encoding = options.encoding or ("utf-16" if data.startswith(UTF16) else "utf-8")
    text = data.decode(encoding, errors="replace" if len(data) == FIRST_LINE else "strict")
    if "\x00" in text:
        raise DataError(f"the table {path!r} holds zero bytes; it is no text")
    return next((line for line in text.splitlines() if line.strip()), ""), encoding


def _separator(first: str, options: TableOptions) -> str:
    """Return the separator: the option, or what stands in the header most, quotes left out."""
    if options.separator is not None:
        return SEPARATORS[options.separator]
    bare = "".join(first.split('"')[::2])
    signs = [sign for sign in SEPARATORS.values() if len(sign) == 1]
    return max(signs, key=lambda sign: (bare.count(sign), sign == ","))


def _parse(
    source: Path | bytes, separator: str, encoding: str, options: TableOptions
) -> tuple[list[str], pd.DataFrame]:
    quote = QUOTES[options.quote or "double"]
    form: dict[str, Any] = {
        "sep": separator,
        "encoding": encoding,
        "skipinitialspace": separator != "\t",
        "decimal": "," if options.decimal == "comma" else ".",
        **({"quoting": 3} if quote is None else {"quotechar": quote}),
    }

    def opened() -> Any:
        return source if isinstance(source, Path) else io.BytesIO(source)

    with warnings.catch_warnings():
        # pandas drops the values of rows that are longer than the header, and only warns.
        warnings.simplefilter("error", ParserWarning)
        plain: Any = {"header": None, "nrows": 1, "dtype": str, "keep_default_na": False}
        header = pd.read_csv(opened(), **plain, **form).iloc[0].tolist()
        missing = ["?", *options.missing]
        table = pd.read_csv(opened(), index_col=False, low_memory=False, na_values=missing, **form)
    return header, table


def _too_many_columns(path: str, count: int) -> str:
    return f"the table {path!r} has {count} columns, more than {MOST_COLUMNS}; drop some"


def _check_header(path: str, header: list[str]) -> None:
    unnamed = [str(number) for number, column in enumerate(header, 1) if not column.strip()]
    if unnamed:
        raise DataError(
            f"column {', '.join(unnamed[:5])} of {path!r} has no name; name it, or drop it if it "
            "only numbers the rows"
        )
    twice = [column for column, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"the table {path!r} has two columns {twice[0]!r}; rename or drop one")


def _checked(path: str, table: pd.DataFrame) -> pd.DataFrame:
    if len(table) == 0:
        raise DataError(f"the table {path!r} has a header but no rows; add rows")
    return table
