"""The walk from a command to the first training step is short: who reads along need not go far."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from lossforge.cli import search, train

SOURCE = Path(search.__file__).parents[1]

MOST = 10
"""functions on the way, the command included"""

STEPS = {"StackedEnsemble._step", "plain_step"}
"""functions that make one training step"""

TINY = ["--model", "linear", "--quiet", "--task", "iris"]


class ArrivedError(Exception):
    """Ends a command at its first training step."""


def walk(command: Any, words: Sequence[str]) -> list[str]:
    """Return the project's functions from a command to its first training step, in order."""
    found = list[str]()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or frame.f_code.co_qualname not in STEPS or found:
            return
        there = frame.f_back
        while there is not None and there.f_code is not command.__code__:
            if SOURCE in Path(there.f_code.co_filename).parents:
                found.append(there.f_code.co_qualname)
            there = there.f_back
        found.append(command.__qualname__)
        found.reverse()
        raise ArrivedError

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        with pytest.raises(ArrivedError):
            command(list(words))
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (search.search, ["evomal", *TINY]),
        (search.search, ["evomal", "--no-rivals", *TINY]),
        (search.search, ["gp-lfl", "--no-rivals", *TINY]),
        (search.search, ["evomal", *TINY, "wine"]),
        (train.train, TINY),
    ],
    ids=["search", "search without rivals", "another method", "several tasks", "train"],
)
def test_the_walk_is_short(command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = walk(command, words)
    assert path[0] == command.__qualname__
    assert len(path) <= MOST, " → ".join(path)
