import json

import pytest

from lossforge.cli import main

SMALL = ["--model", "mlp:width=8", "--steps", "60", "--check-every", "20"]
ADAPTING = ["--loss", "adalfl", "--adalfl.warm-up-steps", "10", "--adalfl.trial-steps", "5"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def result(folder: str) -> dict:
    with open(f"{folder}/result.json") as stream:
        return json.load(stream)


@pytest.mark.parametrize("more", [[], ["--loss", "focal:gamma=1"], ADAPTING])
def test_it_trains_and_writes_what_other_programs_read(more):
    assert main(["train", "--task", "iris", *SMALL, "--out", "run", *more]) == 0
    found = result("run")
    for key in ("method", "task", "model", "metric", "loss", "version"):
        assert isinstance(found[key], str)
    for key in ("valid", "test", "seconds", "evaluations"):
        assert isinstance(found[key], int | float)
    assert found["baseline"]["name"] == "cross_entropy"
    with open("run/history.jsonl") as stream:
        assert len(stream.readlines()) == 3


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--adalfl.warm-up-scales"], "warmed up at a horizon of 1"),
        (["--adalfl.warm-up-steps", "0"], "begins as what did best in short trainings"),
        (
            ["--adalfl.warm-up-steps", "0", "--adalfl.form", ""],
            "begins as the default loss, which no warm-up bettered",
        ),
        (
            ["--adalfl.warm-up-steps", "0", "--adalfl.warm-up-scales"],
            "begins without a warm-up: network 2-40-40-1",
        ),
    ],
)
def test_it_tells_what_came_of_the_warm_up(more, says, capsys):
    assert main(["train", "--task", "iris", *SMALL, *ADAPTING, *more]) == 0
    assert says in capsys.readouterr().err


def test_a_saved_loss_is_trained_under():
    search = ["search", "evomal", "--task", "iris", "--model", "linear", "--population", "4"]
    tiny = ["--generations", "1", "--meta-steps", "2", "--fitness-steps", "5", "--compare-seeds"]
    assert main([*search, *tiny, "1", "--compare-steps", "5", "--out", "found"]) == 0
    assert main(["train", "--task", "wine", *SMALL, "--loss", "found", "--out", "run"]) == 0
    assert result("run")["loss"] == result("found")["loss"]


@pytest.mark.parametrize("more", [[], ADAPTING])
def test_an_interrupted_training_goes_on(more, monkeypatch):
    words = ["train", "--task", "iris", *SMALL, *more]
    assert main([*words, "--out", "whole"]) == 0
    from lossforge.training.full import FullTraining

    real, looks = FullTraining._evaluate, []

    def stopped(self):
        real(self)
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(FullTraining, "_evaluate", stopped)
    assert main([*words, "--out", "stopped"]) == 130
    monkeypatch.setattr(FullTraining, "_evaluate", real)
    assert main(["resume", "stopped"]) == 0
    ours, theirs = result("stopped"), result("whole")
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_a_damaged_checkpoint_is_named(capsys, monkeypatch):
    from lossforge.training.full import FullTraining

    def stopped(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(FullTraining, "_outcome", stopped)
    assert main(["train", "--task", "iris", *SMALL, "--out", "run"]) == 130
    with open("run/checkpoint.pt", "wb") as stream:
        stream.write(b"no checkpoint")
    assert main(["resume", "run"]) == 2
    assert "checkpoint.pt is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--task", "iris", "--loss", "mse"], "regression"),
        (["--task", "iris", "--loss", "nothing"], "no loss or file"),
        (["--task", "iris", "--loss", "nothing.json"], "starts from the working directory"),
        (["--task", "iris", "--loss", "adalfl", "--task-loss", "mse"], "regression"),
        (["--task", "iris", "--loss", "focal:x=1"], "options of focal"),
        (["--task", "iris", "--loss", "focal:gamma=x"], "not a number"),
        (["--task", "iris", "--steps", "0"], "steps"),
        (["--task", "iris", "--optimizer", "lion"], "invalid choice"),
        (["--task", "iris", "--adalfl.every", "0"], "every"),
        (["--task", "iris", "--model", "lenet"], "lenet"),
        ([], "task"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(words, says, capsys, tmp_path):
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lossforge: ")
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_training_that_diverges_says_so(capsys):
    words = ["train", "--task", "diabetes", *SMALL, "--learning-rate", "1e6", "--out", "run"]
    assert main(words) == 2
    assert "broke off" in capsys.readouterr().err
