"""Every command prints what it found as text for 80 columns, Markdown, or one JSON document."""

import io
import json
import sys

import pytest

from lossforge.cli import main
from report.runs_of_every_kind import KINDS, make_run

FORMS = ("plain", "markdown", "latex", "csv", "json")

SMALL = ["--model", "linear", "--steps", "10", "--check-every", "5"]
TINY = ["--population", "4", "--generations", "1", "--meta-steps", "1", "--fitness-steps", "5"]
TINY += ["--filter-steps", "5", "--compare-seeds", "2", "--compare-steps", "5"]
FEW = ["--network", "dense", "--width", "4", "--meta-steps", "2", "--check-every", "1"]
FEW += ["--valid-tasks", "2", "--test-tasks", "2"]
COMMANDS = {
    "search": ["search", "evomal", "--task", "iris", "--model", "linear", *TINY],
    "train": ["train", "--task", "iris", *SMALL],
    "compare": ["compare", "--losses", "focal", "poly1", "--task", "iris", "--seeds", "2", *SMALL],
    "fewshot": ["fewshot", "maml", "--task", "clusters", "--ways", "3", *FEW],
    "explain": ["explain", "focal"],
    **{f"list {what}": ["list", what] for what in ("tasks", "models", "losses", "methods", "zoo")},
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module", params=sorted(KINDS))
def run(request, tmp_path_factory):
    make_run(request.param, folder := tmp_path_factory.mktemp("runs"))
    return folder / request.param


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_one_document_and_nothing_else(name, capsys):
    assert main([*COMMANDS[name], "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("form", FORMS)
def test_a_complete_run_is_printed_in_every_form(run, form, capsys):
    assert main(["resume", str(run), "--format", form]) == 0
    printed = capsys.readouterr().out
    if form == "json":
        assert json.loads(printed) == json.loads((run / "result.json").read_text())
    elif form == "plain":
        tables = [line for line in printed.splitlines() if "  " in line.strip()]
        assert not [line for line in tables if len(line) > 80]
    else:
        mark = {"markdown": "|---", "latex": "\\begin{tabular}", "csv": ","}[form]
        assert mark in printed
        assert "runs/" not in printed


def test_a_terminal_that_knows_ascii_alone_reads_well(run, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["resume", str(run)]) == 0
    terminal.flush()
    printed = terminal.buffer.getvalue().decode("ascii")
    assert printed.strip()
    assert "\\u" not in printed


def test_an_unknown_form_is_told(capsys):
    assert main(["train", "--task", "iris", "--format", "xml"]) == 2
    assert "--format" in capsys.readouterr().err
