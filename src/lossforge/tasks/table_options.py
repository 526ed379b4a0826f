"""What a person may say about a table: its file's form, and how its columns are meant."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, final
from urllib.parse import unquote

from lossforge.errors import DataError, unknown_name

DateOrder = Literal["day-first", "month-first"]
Decimal = Literal["point", "comma"]

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": r"\s+", "pipe": "|"}
QUOTES = {"double": '"', "single": "'", "none": None}
CHOICES: dict[str, tuple[str, ...]] = {
    "dates": ("day-first", "month-first"),
    "decimal": ("point", "comma"),
    "separator": tuple(SEPARATORS),
    "quote": tuple(QUOTES),
}
SEVERAL = ("drop", "id", "category", "number", "date", "missing")
"""options that may stand more than once"""


@final
@dataclass(frozen=True)
class TableOptions:
    """How a table's file is written and how its columns are meant; what is left out is inferred.

    Attributes:
        drop: columns that are left out.
        id: columns that number or name the rows; left out, too.
        category: columns that are read as text, numbers or not.
        number: columns that are read as numbers; what is none counts as missing.
        date: columns that are read as dates.
        missing: texts that stand for a missing value, besides the usual ones.
        group: column whose equal values stay in one split; left out as a feature.
        time: column by which the earliest rows train and the latest test.
        dates: whether 1/2/2024 is the first of February ("day-first") or the second of January.
        decimal: whether 1,234 is a whole number ("point") or one and a fraction ("comma").
        separator: between columns: comma, semicolon, tab, space or pipe.
        quote: around texts that hold separators: double, single or none.
        encoding: of the file, such as latin-1.
    """

    drop: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    dates: DateOrder | None = None
    decimal: Decimal | None = None
    separator: str | None = None
    quote: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        for option, known in CHOICES.items():
            value = getattr(self, option)
            if value is not None and value not in known:
                raise DataError(f"{option}={value} is not known; give {' or '.join(known)}")
        if self.group is not None and self.time is not None:
            raise DataError("group and time each decide the splits; give one of the two")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that an option names."""
        lone = tuple(name for name in (self.group, self.time) if name is not None)
        return (*self.drop, *self.id, *self.category, *self.number, *self.date, *lone)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return (*self.drop, *self.id, *(() if self.group is None else (self.group,)))


NAMES = tuple(field.name for field in fields(TableOptions))


def looks_like_options(text: str) -> bool:
    """Tell whether a text begins with a known option.

    Examples:
        >>> looks_like_options("drop=name,drop=ticket"), looks_like_options("a=b")
        (True, False)
    """
    option, equals, _ = text.partition("=")
    return bool(equals) and option.strip() in NAMES


def parse_options(text: str) -> TableOptions:
    """Read ``OPTION=VALUE,OPTION=VALUE``; a comma or colon in a value is written %2C or %3A.

    Raises:
        DataError: an option is unknown, has no value, or stands twice where it may not.

    Examples:
        >>> parse_options("drop=name,drop=ticket,dates=day-first").drop
        ('name', 'ticket')
    """
    given: dict[str, list[str]] = {}
    for item in text.split(","):
        option, equals, value = (part.strip() for part in item.partition("="))
        if option not in NAMES:
            raise DataError(str(unknown_name("option of a table", option, NAMES)))
        if not (equals and value):
            raise DataError(f"{item!r} has no value; write {option}=VALUE")
        given.setdefault(option, []).append(unquote(value))
    for option, values in given.items():
        if option not in SEVERAL and len(values) > 1:
            raise DataError(f"option {option!r} stands twice; give it once")
    values_of: dict[str, object] = {
        option: tuple(values) if option in SEVERAL else values[0]
        for option, values in given.items()
    }
    return TableOptions(**values_of)  # type: ignore[arg-type]


def check_columns(options: TableOptions, target: str, columns: Iterable[str]) -> None:
    """Raise `DataError` unless all columns that options name are there and may be left out."""
    known = list(columns)
    for name in options.columns:
        if name not in known:
            raise DataError(str(unknown_name("column", name, known)))
    if target in options.left_out:
        raise DataError(f"the target {target!r} is left out by an option; keep it")
