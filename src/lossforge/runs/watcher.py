"""What sees the history of a run as it is written: loggers."""

from collections.abc import Iterator
from typing import Any, Protocol

from lossforge.searching import State


class Watcher(Protocol):
    """Receives what a run writes for people."""

    def entry(self, number: int, entry: State) -> None:
        """Receive a line of history.

        Args:
            number: of the line, from 1.
            entry: the line, as plain data.
        """

    def result(self, result: State) -> None:
        """Receive the results of the complete run."""

    def close(self) -> None:
        """Pass on what was received; the process leaves the run, complete or not."""


def numbers_in(content: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers in plain data, each under the path of its name.

    Examples:
        >>> dict(numbers_in({"best": 0.5, "counts": {"in full": 3}, "expression": "abs(y - p)"}))
        {'best': 0.5, 'counts/in full': 3}
    """
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers_in(value, f"{name}/{key}" if name else str(key))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield name, content
