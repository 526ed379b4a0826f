"""Help, version and unknown commands answer without loading torch; every command can be found."""

import subprocess
import sys
from contextlib import suppress
from importlib import import_module

import pytest

import lossforge
from lossforge.cli import COMMANDS, OVERVIEW, main

REPORT = """
import sys
from lossforge.cli import main
status = main({words!r})
assert "torch" not in sys.modules, "torch was loaded"
raise SystemExit(status)
"""


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 0, "lossforge search evomal"),
        (["-h"], 0, "commands:"),
        (["--help"], 0, "commands:"),
        (["--version"], 0, f"lossforge {lossforge.__version__}"),
        (["serch"], 2, "did you mean 'search'?"),
        (["--hepl"], 2, "no command is named '--hepl'"),
    ],
)
def test_an_answer_that_needs_no_torch_does_not_load_it(words, status, said):
    finished = subprocess.run(
        [sys.executable, "-c", REPORT.format(words=words)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == status, finished.stderr
    assert said in (finished.stderr if status else finished.stdout)


def test_the_module_is_the_program():
    finished = subprocess.run(
        [sys.executable, "-m", "lossforge", "--version"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert finished.stdout == f"lossforge {lossforge.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists_and_is_in_the_overview(command):
    module, function = COMMANDS[command]
    assert callable(getattr(import_module(f"lossforge.cli.{module}"), function))
    assert f"\n  {command} " in OVERVIEW


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with suppress(SystemExit):  # how the parser of options ends after its help
        assert main([command, "--help"]) == 0
    assert command in capsys.readouterr().out
