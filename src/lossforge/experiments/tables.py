"""Tables of results: one content, as plain text of a given width, Markdown, LaTeX, CSV or HTML."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Literal, final, get_args

from lossforge.errors import unknown_name

Form = Literal["plain", "markdown", "latex", "csv", "json"]
"""how the program prints what it found"""

GAP = "  "
SHORTEST_NAME = 8
"""characters that a name keeps, however narrow the terminal"""


@final
@dataclass(frozen=True)
class Table:
    """A table whose first columns are text and whose others are numbers.

    Attributes:
        title: stands above.
        columns: headings.
        rows: as many cells each as there are columns.
        text_columns: how many columns are text, on the left; they are shortened where a table is
            wider than the terminal, and the numbers never.
        notes: sentences that stand below.

    Examples:
        >>> table = Table("error", ("loss", "test"), (("cross_entropy", "0.0351"),))
        >>> print(table.plain(80))
        error
        loss             test
        ---------------------
        cross_entropy  0.0351
        >>> print(table.plain(16))
        error
        loss        test
        ----------------
        cros…opy  0.0351
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    notes: tuple[str, ...] = ()

    def plain(self, width: int = 80) -> str:
        """Return the table as lines of at most `width` characters, if its numbers allow it."""
        widths = self._widths(width)
        lines = [self._line(cells, widths) for cells in (self.columns, *self.rows)]
        rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
        notes = [fill(note, width, break_on_hyphens=False) for note in self.notes]
        return "\n".join([fill(self.title, width), lines[0], rule, *lines[1:], *notes])

    def markdown(self) -> str:
        """Return the table in Markdown, as GitHub reads it."""
        align = ["---" if i < self.text_columns else "---:" for i in range(len(self.columns))]
        rows = [f"| {' | '.join(map(_cell, row))} |" for row in (self.columns, *self.rows)]
        body = [rows[0], f"|{'|'.join(align)}|", *rows[1:]]
        notes = [line for note in self.notes for line in ("", note)]
        return "\n".join([f"### {self.title}", "", *body, *notes]) + "\n"

    def latex(self) -> str:
        r"""Return the table in LaTeX, for the package booktabs.

        Examples:
            >>> print(Table("error", ("loss", "test"), (("a_b", "0.1"),)).latex())
            % error
            \begin{tabular}{lr}
            \toprule
            loss & test \\
            \midrule
            a\_b & 0.1 \\
            \bottomrule
            \end{tabular}
        """
        align = "l" * self.text_columns + "r" * (len(self.columns) - self.text_columns)
        head, *body = (
            f"{' & '.join(map(_latex, cells))} \\\\" for cells in (self.columns, *self.rows)
        )
        notes = [f"% {note}" for note in self.notes]
        lines = [
            f"% {self.title}",
            f"\\begin{{tabular}}{{{align}}}",
            "\\toprule",
            head,
            "\\midrule",
        ]
        return "\n".join([*lines, *body, "\\bottomrule", "\\end{tabular}", *notes])

    def csv(self) -> str:
        r"""Return headings and rows as CSV, as they are shown.

        Examples:
            >>> Table("error", ("loss", "test"), (("a, b", "0.1"),)).csv()
            'loss,test\n"a, b",0.1\n'
        """
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([self.columns, *self.rows])
        return stream.getvalue()

    def html(self) -> str:
        """Return the table in HTML, as notebooks show it."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return (
            f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )

    def _widths(self, width: int) -> list[int]:
        cells = list(zip(self.columns, *self.rows, strict=True))
        widths = [max(map(len, column)) for column in cells]
        spare = width - sum(widths) - len(GAP) * (len(widths) - 1)
        for _ in range(-spare):
            # The widest text gives way first.
            widest = max(range(self.text_columns), key=widths.__getitem__)
            if widths[widest] <= SHORTEST_NAME:
                break
            widths[widest] -= 1
        return widths

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        placed = [
            shorten(cell, width).ljust(width) if i < self.text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return GAP.join(placed).rstrip()


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` characters, the middle left out: names differ at both ends.

    Examples:
        >>> shorten("label_smoothing:smoothing=0.1", 18)
        'label_smo…hing=0.1'
    """
    if len(text) <= width:
        return text
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


LONG = 1e5
"""numbers from which on digits after the point say nothing"""


def number(value: float | None) -> str:
    """Return a metric; None and infinity stand for a run that diverged, NaN for none.

    Examples:
        >>> number(0.03511), number(None), number(float("nan"))
        ('0.0351', 'diverged', '-')
    """
    if value is None or math.isinf(value):
        return "diverged"
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < LONG else f"{value:.4g}"


def p_value(value: float | None) -> str:
    """Return a p-value; None stands for a test that is not applicable.

    Examples:
        >>> p_value(0.03125), p_value(1e-16), p_value(None)
        ('0.031', '<0.001', 'n/a')
    """
    if value is None:
        return "n/a"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def check_form(form: str) -> None:
    """Raise `UnknownNameError` unless a result can be shown in that form."""
    if form not in get_args(Form):
        raise unknown_name("format", form, get_args(Form))


LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", "×": r"$\times$", "<": "$<$", ">": "$>$", "|": r"\textbar{}"},  # noqa: RUF001
        "·": r"$\cdot$",
    }
)
"""what stands for characters that LaTeX reads as commands or lacks"""


def _latex(text: str) -> str:
    return text.translate(LATEX)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
