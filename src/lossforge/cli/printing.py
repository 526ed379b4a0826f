"""How results are printed: tables that fit the terminal, Markdown or JSON."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lossforge.experiments import Report
from lossforge.experiments.tables import Form, Table

ReportT = TypeVar("ReportT", bound=Report)

HOW_TO_PLOT = "plots need pip install 'lossforge[plots]'"


@dataclass(frozen=True)
class Printing:
    """How results are printed."""

    format: Form = "plain"
    """how to print the results: plain text, markdown, latex or csv for tables, or json for
    programs, as in result.json; progress goes to standard error"""

    def report(self, report: ReportT, in_plain: Callable[[ReportT], None]) -> None:
        """Print a report.

        Args:
            report: of a run.
            in_plain: prints it as plain text.
        """
        if self.format == "plain":
            in_plain(report)
        else:
            print_as(self.format, report.tables(), report.result)


def terminal_width() -> int:
    """Return the columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables as plain text, each after an empty line."""
    for table in tables:
        print(f"\n{table.plain(terminal_width())}")


def print_as(form: Form, tables: Sequence[Table], document: Any) -> None:
    """Print tables as plain text, in Markdown, LaTeX or CSV, or their content as JSON."""
    if form == "json":
        print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    elif form == "markdown":
        print("\n".join(table.markdown() for table in tables), end="")
    elif form == "latex":
        print("\n\n".join(table.latex() for table in tables))
    elif form == "csv":
        print("\n".join(table.csv() for table in tables), end="")
    else:
        print_tables(tables)
