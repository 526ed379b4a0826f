"""`lossforge benchmark`: options become settings, a report its lines, mistakes one line."""

import csv
import json
from types import SimpleNamespace

import pytest

from lossforge.cli import benchmark, main
from lossforge.cli.printing import Printing
from lossforge.experiments.tables import Table

WORDS = ["--methods", "random", "--tasks", "iris", "--models", "linear"]


class ReachedError(Exception):
    """Ends a command where its experiment begins."""


@pytest.fixture
def given(monkeypatch):
    seen = {}

    def reached(*arguments, **settings):
        seen.update(settings, arguments=arguments)
        raise ReachedError

    monkeypatch.setattr(benchmark.experiments, "benchmark", reached)

    def call(*words: str):
        with pytest.raises(ReachedError):
            benchmark.benchmark([*WORDS, *words])
        return seen

    return call


def test_what_is_not_said_is_the_plain_setting(given):
    assert given()["base"] == benchmark.PLAIN


def test_options_of_training_reach_the_setting(given):
    seen = given("--steps", "7", "--out", "runs/b", "--overwrite")
    assert seen["base"].recipe.steps == 7
    assert str(seen["out"]) == "runs/b"
    assert seen["overwrite"] is True


def test_an_unknown_option_is_told(capsys):
    assert main(["benchmark", *WORDS, "--step", "7"]) == 2
    assert "no option is named --step" in capsys.readouterr().err


@pytest.mark.parametrize("path", [None, "runs/b"])
def test_a_report_tells_what_it_is_held_against_and_where_it_is(path, capsys):
    report = SimpleNamespace(
        result={"seconds": 3.2},
        path=path,
        tables=lambda: [Table("iris", ("method", "error"), (("random", "0.1"),), 1)],
    )
    benchmark.print_benchmark(report)
    printed = " ".join(capsys.readouterr().out.split())
    assert "random 0.1" in printed
    assert "The references are the default loss" in printed
    assert ("runs/b/report.md" in printed) == (path is not None)
    Printing("json").report(report, benchmark.print_benchmark)
    assert capsys.readouterr().out == '{\n  "seconds": 3.2\n}\n'


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
