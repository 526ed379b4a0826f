import json

import pytest

from lossforge.cli import main

SMALL = ["--model", "mlp:width=8", "--steps", "40", "--check-every", "20", "--seeds", "2"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def result(folder: str) -> dict:
    with open(f"{folder}/result.json") as stream:
        return json.load(stream)


def test_a_grid_of_losses_and_tasks(capsys, tmp_path):
    words = ["compare", "--task", "iris", "wine", *SMALL, "--out", "run"]
    assert main([*words, "--losses", "cross_entropy", "focal"]) == 0
    found = result("run")
    assert [(line["task"], line["loss"]) for line in found["lines"]] == [
        (task, loss) for task in ("iris", "wine") for loss in ("cross_entropy", "focal")
    ]
    assert all(len(line["tests"]) == 2 for line in found["lines"])
    assert found["lines"][0]["against"] is None
    assert found["lines"][1]["against"]["pairs"] == 2
    report = (tmp_path / "run" / "report.md").read_text()
    assert report.count("| cross_entropy |") == 2
    for ending in ("png", "svg"):
        assert len(list((tmp_path / "run").glob(f"curves-*.{ending}"))) == 2
    assert "lower is better" in capsys.readouterr().out


def test_it_tells_which_loss_an_adaptive_one_begins_as(capsys):
    words = ["compare", "--task", "iris", *SMALL, "--out", "run"]
    short = ["--adalfl.warm-up-steps", "4", "--adalfl.trial-steps", "2"]
    assert main([*words, *short, "--losses", "cross_entropy", "adalfl"]) == 0
    assert capsys.readouterr().err.count(" + network") == 2
    assert [line["loss"] for line in result("run")["lines"]] == ["cross_entropy", "adalfl"]


def test_a_warm_up_that_diverges_ends_one_training_and_not_the_grid():
    words = ["compare", "--task", "diabetes", *SMALL, "--out", "run"]
    short = ["--adalfl.warm-up-steps", "4", "--adalfl.warm-up-learning-rate", "1e30"]
    assert main([*words, *short, "--losses", "mse", "adalfl"]) == 0
    usual, adaptive = result("run")["lines"]
    assert usual["test"] is not None
    assert adaptive["test"] is None


def test_a_loss_compared_with_itself_is_equal():
    words = ["compare", "--task", "iris", *SMALL, "--out", "run"]
    assert main([*words, "--losses", "cross_entropy", "label_smoothing:smoothing=0"]) == 0
    first, second = result("run")["lines"]
    assert first["tests"] == second["tests"]
    assert second["against"]["mean"] == 0


def test_tuning_chooses_on_validation_data_alone():
    words = ["compare", "--task", "iris", *SMALL, "--tune", "handcrafted", "--out", "run"]
    more = ["--losses", "cross_entropy", "--factors", "1e-6", "10", "--learning-rate", "0.01"]
    assert main([*words, *more]) == 0
    usual, tuned = result("run")["lines"]
    assert (usual["tuned"], tuned["tuned"]) == (False, True)
    assert tuned["learning_rate"] == pytest.approx(0.1)
    assert tuned["valid"] <= usual["valid"]


def test_an_interrupted_grid_goes_on(monkeypatch):
    words = ["compare", "--task", "iris", *SMALL, "--losses", "cross_entropy", "focal"]
    assert main([*words, "--out", "whole"]) == 0
    from lossforge.experiments.compare_run import TrainCell

    real, cells = TrainCell.__call__, []

    def stopped(self, cell, report):
        if len(cells) == 2:
            raise KeyboardInterrupt
        cells.append(cell)
        return real(self, cell, report)

    monkeypatch.setattr(TrainCell, "__call__", stopped)
    assert main([*words, "--out", "stopped"]) == 130
    monkeypatch.setattr(
        TrainCell, "__call__", lambda self, *job: cells.append(job) or real(self, *job)
    )
    assert main(["resume", "stopped"]) == 0
    assert len(cells) == 4
    assert {**result("stopped"), "seconds": 0} == {**result("whole"), "seconds": 0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--task", "iris"], "losses"),
        (["--losses", "mse", "--task", "iris"], "regression"),
        (["--losses", "mse", "--task", "nothing"], "no task"),
        (["--losses", "cross_entropy", "cross_entropy", "--task", "iris"], "twice"),
        (["--losses", "cross_entropy", "--task", "iris", "--seeds", "0"], "seeds"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(words, says, capsys, tmp_path):
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lossforge: ")
    assert says in error
    assert not list(tmp_path.iterdir())


def test_other_formats(capsys):
    words = ["compare", "--task", "iris", *SMALL, "--losses", "cross_entropy", "focal", "--out"]
    assert main([*words, "a", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == result("a")
    assert main([*words, "b", "--format", "markdown"]) == 0
    with open("b/report.md") as stream:
        assert capsys.readouterr().out == stream.read()
