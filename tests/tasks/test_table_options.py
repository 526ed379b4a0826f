"""Options of a table stand at the end of its name."""

import pytest

from lossforge.errors import DataError
from lossforge.tasks.csv_table import parse_name
from lossforge.tasks.table_options import TableOptions, check_columns, parse_options


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("csv:a.csv:y:drop=b", ("a.csv", "y", None, TableOptions(drop=("b",)))),
        (
            "csv:a.csv:y:regression:drop=b,drop=c,group=d",
            ("a.csv", "y", "regression", TableOptions(drop=("b", "c"), group="d")),
        ),
        ("csv:a.csv:y:drop=b%2Cc%3Ad", ("a.csv", "y", None, TableOptions(drop=("b,c:d",)))),
        ("csv:a.csv:a=b", ("a.csv", "a=b", None, TableOptions())),
        ("csv:a.csv:drop=b", ("a.csv", "drop=b", None, TableOptions())),
        ("csv:C:/a.csv:y:id=b", ("C:/a.csv", "y", None, TableOptions(id=("b",)))),
    ],
)
def test_options_follow_the_target(name, expected):
    assert parse_name(name) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("drop=a,dorp=b", "no option of a table is named 'dorp'; did you mean 'drop'"),
        ("drop=", "'drop=' has no value"),
        ("drop", "'drop' has no value"),
        ("time=a,time=b", "option 'time' stands twice"),
        ("time=a,group=b", "give one of the two"),
        ("dates=us", "dates=us is not known; give day-first or month-first"),
        ("separator=x", "separator=x is not known; give comma or semicolon"),
    ],
)
def test_wrong_options_are_refused(text, complaint):
    with pytest.raises(DataError, match=complaint):
        parse_options(text)


def test_columns_that_options_name_must_be_there():
    with pytest.raises(DataError, match="no column is named 'nam'; did you mean 'name'"):
        check_columns(TableOptions(drop=("nam",)), "y", ["name", "y"])
    with pytest.raises(DataError, match="the target 'y' is left out by an option"):
        check_columns(TableOptions(id=("y",)), "y", ["name", "y"])
