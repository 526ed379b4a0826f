"""Pieces of a page: tables, figures, lists, text to copy. Each is safe HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from markupsafe import Markup


class TableLike(Protocol):
    """A table: text on the left, numbers on the right."""

    @property
    def title(self) -> str:
        """What stands above."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings."""

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """As many cells each as there are columns."""

    @property
    def text_columns(self) -> int:
        """How many columns are text."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that stand below."""


@final
@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: heading.
        blocks: what is below it.
    """

    title: str
    blocks: tuple[Markup, ...]

    @property
    def name(self) -> str:
        """The heading as an anchor."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


def paragraph(text: str, classes: str = "") -> Markup:
    """Return a paragraph."""
    return Markup('<p class="{}">{}</p>').format(classes, text)


def figure(title: str, chart: str, note: str = "") -> Markup:
    """Return a chart with its title, and perhaps a sentence on how to read it.

    Args:
        title: above the chart.
        chart: SVG and HTML made by this package.
        note: below.
    """
    below = Markup('<p class="note">{}</p>').format(note) if note else Markup()
    return Markup("<figure><figcaption>{}</figcaption>{}{}</figure>").format(
        title, Markup(chart), below
    )


def flow(blocks: Sequence[Markup]) -> Markup:
    """Return blocks side by side, as many as fit."""
    return Markup('<div class="flow">{}</div>').format(Markup().join(blocks))


def table(content: TableLike) -> Markup:
    """Return a table; where the page is narrow, it can be scrolled within its frame."""

    def row(cells: Sequence[str], tag: str) -> Markup:
        styled = (
            Markup("<{0}{1}>{2}</{0}>").format(
                Markup(tag), Markup(' class="number"' if i >= content.text_columns else ""), cell
            )
            for i, cell in enumerate(cells)
        )
        return Markup("<tr>{}</tr>").format(Markup().join(styled))

    body = Markup().join(row(cells, "td") for cells in content.rows)
    notes = Markup().join(paragraph(note, "note") for note in content.notes)
    return Markup(
        '<div class="table"><p class="caption">{0}</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table>'
        "<thead>{1}</thead><tbody>{2}</tbody></table></div>{3}</div>"
    ).format(content.title, row(content.columns, "th"), body, notes)


def definitions(rows: Sequence[tuple[str, object]]) -> Markup:
    """Return names with what they stand for."""
    items = Markup().join(Markup("<dt>{}</dt><dd>{}</dd>").format(*row) for row in rows)
    return Markup("<dl>{}</dl>").format(items)


def warnings(sentences: Sequence[str]) -> Markup:
    """Return what a user needs to know, so that it is not overlooked; nothing without any."""
    if not sentences:
        return Markup()
    items = Markup().join(Markup("<li>{}</li>").format(each) for each in sentences)
    return Markup('<div class="warning"><strong>{}</strong><ul>{}</ul></div>').format(
        "Beware" if len(sentences) > 1 else "Beware:", items
    )


def to_copy(text: str, what: str, name: str) -> Markup:
    """Return text with a button that copies it; its lines are broken where they are long.

    Args:
        text: to be copied.
        what: of the button: "Copy WHAT".
        name: of the text in the page.
    """
    return Markup('<div class="copy">{}{}</div>').format(_code(text, name, "command"),
                                                         _copier(what, name))  # fmt: skip


def codes_to_copy(texts: Mapping[str, str]) -> Markup:
    """Return a button for each text that copies it, and the texts folded.

    Args:
        texts: by what they are, such as LaTeX.
    """
    buttons = Markup().join(_copier(what, f"code-{what}") for what in texts)
    parts = Markup().join(
        Markup("<h3>{}</h3>{}").format(what, _code(text, f"code-{what}"))
        for what, text in texts.items()
    )
    return Markup('<div class="copies">{}</div>{}').format(buttons, folded("Show the code", parts))


def _copier(what: str, name: str) -> Markup:
    return Markup('<button type="button" class="copier" data-copies="{}">Copy {}</button>').format(
        name, what
    )


def _code(text: str, name: str, classes: str = "code") -> Markup:
    return Markup('<pre tabindex="0" class="{}"><code id="{}">{}</code></pre>').format(
        classes, name, text
    )


def folded(title: str, content: Markup) -> Markup:
    """Return content that opens on demand."""
    return Markup("<details><summary>{}</summary>{}</details>").format(title, content)
