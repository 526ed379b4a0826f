"""`lossforge landscape`: options reach the experiment, and each loss has its line."""

from types import SimpleNamespace

from lossforge.cli import landscape, main


def test_options_reach_the_experiment_and_every_loss_has_a_line(monkeypatch, capsys, tmp_path):
    seen = {}

    def draw(losses, task, model, **settings):
        seen.update(settings, losses=losses, task=task, model=model)
        around = SimpleNamespace(line=[3.0, 0.25, 2.0], sharpness=0.5)
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


def test_a_task_is_needed(capsys):
    assert main(["landscape", "--losses", "focal", "--out", "a"]) == 2
    assert "--task" in capsys.readouterr().err
