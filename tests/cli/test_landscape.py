"""`lossforge landscape`: options reach the experiment, and each loss has its line."""

import json
from types import SimpleNamespace

import pytest

from lossforge.cli import landscape, main


def test_options_reach_the_experiment_and_every_loss_has_a_line(monkeypatch, capsys, tmp_path):
    seen = {}

    def draw(losses, task, model, **settings):
        seen.update(settings, losses=losses, task=task, model=model)
        around = SimpleNamespace(at_weights=0.25, sharpness=0.5)
        return [SimpleNamespace(name=name, test=0.125, around=around) for name in losses]

    monkeypatch.setattr(landscape, "draw_landscape", draw)
    words = ["--losses", "focal", "adalfl", "--task", "iris", "--out", str(tmp_path / "a")]
    words += ["--steps", "7", "--points", "5", "--span", "0.5", "--seed", "3", "--rows", "40"]
    assert main(["landscape", *words, "--model", "linear", "--device", "cpu"]) == 0
    assert seen == {
        **{"losses": ("focal", "adalfl"), "task": "iris", "model": "linear"},
        **{"out": tmp_path / "a", "steps": 7, "points": 5, "span": 0.5, "seed": 3, "rows": 40},
        **{"learning_rate": 0.01, "data_dir": None, "device": "cpu"},
    }
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["focal", "adalfl", "pictures"]
    assert "test metric 0.1250" in lines[0]
    assert "0.25 at the weights and +0.5 more" in lines[0]


@pytest.mark.parametrize("form", ["json", "markdown", "csv"])
def test_other_forms(form, monkeypatch, capsys, tmp_path):
    around = SimpleNamespace(at_weights=0.25, sharpness=0.5)
    ending = SimpleNamespace(name="focal", test=0.125, around=around)
    monkeypatch.setattr(landscape, "draw_landscape", lambda *_, **__: [ending])
    words = ["--losses", "focal", "--task", "iris", "--out", str(tmp_path)]
    assert main(["landscape", *words, "--format", form]) == 0
    printed = capsys.readouterr().out
    row = {"loss": "focal", "test": 0.125, "at_weights": 0.25, "sharpness": 0.5}
    if form == "json":
        assert json.loads(printed) == {"losses": [row], "pictures": str(tmp_path)}
    else:
        cells = ("focal", "0.1250", "0.25", "+0.5")
        assert (" | " if form == "markdown" else ",").join(cells) in printed


def test_a_task_is_needed(capsys):
    assert main(["landscape", "--losses", "focal", "--out", "a"]) == 2
    assert "--task" in capsys.readouterr().err
