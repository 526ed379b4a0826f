"""What all charts are made of: a box that fits its column, and text."""

from html import escape

WIDTH = 420
"""units across a chart; a column shows them about one to one"""


def figure(body: str, height: float, about: str, below: str = "") -> str:
    """Return a chart.

    Args:
        body: SVG elements.
        height: of the view box; its width is `WIDTH`.
        about: what the chart shows, for those who do not see it.
        below: HTML that follows, such as a legend.
    """
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(about)}">{body}</svg>{below}'
    )


def text(x: float, y: float, content: str, classes: str) -> str:
    """Return text at a place; classes tell its size and which end is there."""
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'


def cut(content: str, length: int) -> str:
    """Return text of at most so many characters, the middle left out.

    Examples:
        >>> cut("label_smoothing:smoothing=0.1", 15)
        'label_s…hing=0.1'
    """
    if len(content) <= length:
        return content
    head = length // 2
    return f"{content[:head]}…{content[-(length - head) :]}"
