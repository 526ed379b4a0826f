"""The options of `lossforge search METHOD` have the defaults that were stored; others may be added.

    python tests/golden/test_options.py

stores them anew, where a change is meant to change them.
"""

import contextlib
import io
import json
import os
import re
from pathlib import Path
from unittest import mock

import pytest

from lossforge.cli import main
from lossforge.methods import METHODS

STORED = Path(__file__).with_name("options.json")
PRESETS = ("quick", "paper")
OPTION = re.compile(r"^(--.*)$", re.MULTILINE)
NAME = re.compile(r"--[a-z-]+")
DEFAULT = re.compile(r"\(default: ?([^()]*)\)|\((required)\)")


def options(method: str, preset: str) -> dict[str, str]:
    """Return the default of each option, as the help says it."""
    text = io.StringIO()
    with (
        # Narrow enough for one column.
        mock.patch.dict(os.environ, {"COLUMNS": "90"}),
        contextlib.redirect_stdout(text),
        contextlib.suppress(SystemExit),
    ):
        main(["search", method, "--preset", preset, "--help"])
    lines = [line.strip("│| ") for line in text.getvalue().splitlines()]
    _, *parts = OPTION.split("\n".join(lines))
    found = {}
    for heading, about in zip(parts[::2], parts[1::2], strict=True):
        if defaults := DEFAULT.findall(" ".join(f"{heading} {about}".split())):
            # What follows two spaces is help.
            names = NAME.findall(heading.partition("  ")[0])
            found |= dict.fromkeys(names, "".join(defaults[-1]))
    return found


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("method", json.loads(STORED.read_text(encoding="utf-8")))
def test_options_and_defaults_are_as_they_were(method, preset):
    stored = json.loads(STORED.read_text())[method][preset]
    found = options(method, preset)
    assert {name: found.get(name) for name in stored} == stored


def store() -> None:
    """Write what the options are now."""
    rows = {method: {preset: options(method, preset) for preset in PRESETS} for method in METHODS}
    STORED.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    store()
