import csv
import json

import pytest

from lossforge.cli import main

SMALL = ["--models", "linear", "--steps", "10", "--check-every", "5", "--repetitions", "2"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_benchmark_prints_and_writes_its_tables_and_is_read_again(capsys):
    words = ["benchmark", "--tasks", "iris", *SMALL, "--out", "run"]
    options = ["--methods", "gp-lfl:population=3,generations=1", "focal:gamma=1"]
    searches = ["--search-options", "fitness_steps=5", "filter_steps=5"]
    assert main([*words, *options, *searches]) == 0
    printed = capsys.readouterr().out
    assert "learned losses against: best handcrafted" in printed
    assert "Tables are in run/report.md, tables.tex and cells.csv" in printed
    with open("run/cells.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2 * 5
    with open("run/result.json") as stream:
        found = json.load(stream)
    assert found["methods"] == options[1:]
    assert main(["resume", "run"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "needs a task"),
        (["--tasks", "irs"], "iris"),
        (["--tasks", "iris", "--methods", "evomall"], "evomal"),
        (["--tasks", "iris", "--suite", "small"], "one of them"),
        (["--suite", "smal"], "small"),
        (["--suite", "small", "--steps", "5"], "--budget"),
        (["--tasks", "iris", "--search-options", "population"], "NAME=VALUE"),
        (["--tasks", "iris", "--search-options", "populatoin=3"], "population"),
        (["--tasks", "iris", "--optimizer", "adam"], "sgd"),
        (["--tasks", "iris", "--budgte", "1"], "--budget"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(words, says, capsys, tmp_path):
    assert main(["benchmark", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lossforge: ")
    assert error.count("\n") == 1
    assert says in error
    assert not list(tmp_path.iterdir())
