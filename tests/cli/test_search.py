"""`lossforge search`: options become a search, a preset their defaults, a report its lines."""

from types import SimpleNamespace

import pytest

from lossforge.cli import main, search
from lossforge.experiments.tables import Table
from lossforge.methods import EvoMAL


class ReachedError(Exception):
    """Ends a command where its experiment begins."""


@pytest.fixture
def given(monkeypatch):
    seen = {}

    def reached(method, task, model, **settings):
        seen.update(settings, method=method, task=task, model=model)
        raise ReachedError

    monkeypatch.setattr(search.experiments, "search", reached)

    def call(*words: str):
        with pytest.raises(ReachedError):
            search.search(list(words))
        return seen

    return call


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_a_preset_gives_the_defaults_of_all_other_options(preset, given):
    seen = given("evomal", "--task", "iris", "--preset", preset, "--generations", "3")
    assert seen["method"] == EvoMAL.preset(preset).with_options(generations=3)
    assert seen["comparison"] == search.COMPARISONS[preset]
    assert seen["calibration"] == search.CALIBRATIONS[preset]
    assert (seen["task"], seen["model"], seen["seed"]) == (("iris",), "mlp", 0)


def test_options_of_every_part_reach_it(given):
    words = ["--meta-steps", "9", "--compare-seeds", "4", "--seed", "5", "--model", "linear"]
    seen = given("evomal", "--task", "iris", *words)
    assert seen["method"].tuning.steps == 9
    assert seen["comparison"].compare_seeds == 4
    assert (seen["seed"], seen["model"]) == (5, "linear")


@pytest.mark.parametrize("is_recommended", [False, True])
def test_a_report_tells_the_loss_and_how_to_use_it(is_recommended, capsys):
    result = {"loss": "-y·log|p|", "evaluations": 12, "seconds": 3.4}
    report = SimpleNamespace(
        result=result | ({"recommended": "learned"} if is_recommended else {}),
        path="runs/a",
        tables=lambda: [Table("fitness", ("loss", "error"), (("learned", "0.1"),), 1)],
        verdict=lambda: "it is better",
        recommendation=lambda: "use it",
    )
    search.print_search(report)
    printed = capsys.readouterr().out
    assert "learned loss: -y·log|p|" in printed
    assert "it is better\n12 candidates trained in 3 s" in printed
    assert 'lossforge.load("runs/a")' in printed
    assert ("use it" in printed) == is_recommended


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evomall", "--task", "iris"], "did you mean 'evomal'"),
        (["evomal"], "an option is missing: --task"),
        (["evomal", "--task", "iris", "--generation", "3"], "did you mean --generations"),
    ],
)
def test_mistakes_are_told(words, says, capsys):
    assert main(["search", *words]) == 2
    assert says in capsys.readouterr().err


def test_help_names_the_methods(capsys):
    assert main(["search"]) == 0
    assert "evomal" in capsys.readouterr().out
