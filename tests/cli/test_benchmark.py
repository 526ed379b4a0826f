"""`lossforge benchmark`: options become one setting, and a report its lines."""

from types import SimpleNamespace

import pytest

from lossforge.cli import benchmark, main
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


def test_mistakes_are_told(capsys):
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
    benchmark.print_benchmark(report, "json")
    assert capsys.readouterr().out == '{\n  "seconds": 3.2\n}\n'
