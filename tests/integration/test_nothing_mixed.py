"""A run whose settings, data, losses or checkpoint were exchanged is refused, in a line."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lossforge.cli import main
from lossforge.experiments import benchmark
from lossforge.experiments.benchmark_settings import Setting
from lossforge.losses import Huber, NeuralLoss, SymbolicLoss, save
from lossforge.runs import RunFolder
from lossforge.searching import Calibration
from lossforge.tasks.few_shot_sets import load_few_shot
from lossforge.training.full import Recipe

SHORT = ["--model", "linear", "--steps", "4", "--check-every", "2"]
TRAIN = ["train", "--task", "iris", *SHORT]
FEW_SHOT = ["fewshot", "maml", "--task", "clusters", "--ways", "3", "--queries", "3"]
FEW_SHOT += ["--meta-steps", "2", "--pretrain-steps", "1", "--valid-tasks", "2"]
FEW_SHOT += ["--test-tasks", "2", "--width", "4", "--check-every", "1"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stop_before_the_result(words, monkeypatch, capsys):
    def stop(self, result):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_result", stop)
        assert main([*words, "--out", "run"]) == 130
    capsys.readouterr()


def refusal(words, capsys):
    assert main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lossf")]
    return line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("seed", 1), ("model", "mlp:width=4"), ("version", "9.9"), ("task", "wine")),
        ("recipe", {"steps": 5}),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_edited_settings_are_refused(field, value, complete, monkeypatch, capsys):
    if complete:
        assert main([*TRAIN, "--out", "run"]) == 0
    else:
        stop_before_the_result(TRAIN, monkeypatch, capsys)
    config = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps(config | {field: value}))
    said = refusal(["resume", "run"], capsys)
    assert f"config.json was changed after the run began: {field};" in said
    assert "--overwrite" in said
    assert main([*TRAIN, "--out", "run", "--overwrite"]) == 0


def test_another_run_s_tensors_are_refused(monkeypatch, capsys):
    stop_before_the_result([*TRAIN, "--seed", "1"], monkeypatch, capsys)
    Path("run").rename("other")
    stop_before_the_result(TRAIN, monkeypatch, capsys)
    shutil.copy("other/checkpoint.pt", "run/checkpoint.pt")
    assert "checkpoint.pt is damaged or another run's" in refusal(["resume", "run"], capsys)
    shutil.copy("other/checkpoint.json", "run/checkpoint.json")
    assert "is another run's" in refusal(["resume", "run"], capsys)


def test_a_run_of_another_version_is_not_continued(monkeypatch, capsys):
    stop_before_the_result(TRAIN, monkeypatch, capsys)
    monkeypatch.setattr("lossforge.experiments.resuming.__version__", "9.9")
    assert "begun by lossforge 0" in refusal(["resume", "run"], capsys)


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize("kind", ["symbolic", "neural"])
def test_a_loss_file_that_was_replaced_is_refused(command, kind, monkeypatch, capsys):
    first, second = SymbolicLoss("square(y - p)"), SymbolicLoss("abs(y - p)")
    if kind == "neural":
        first, second = (NeuralLoss(generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    save(first, "mine.json")
    words = {
        "train": [*TRAIN, "--loss", "mine.json"],
        "compare": ["compare", "--task", "iris", "--losses", "cross_entropy", "mine.json", *SHORT],
    }[command]
    words += ["--seeds", "1"] if command == "compare" else []
    stop_before_the_result(words, monkeypatch, capsys)
    save(second, "mine.json")
    assert "another content of its losses" in refusal(["resume", "run"], capsys)
    save(first, "mine.json")
    assert main(["resume", "run"]) == 0


def test_few_shot_data_that_changed_are_refused(monkeypatch, capsys):
    stop_before_the_result(FEW_SHOT, monkeypatch, capsys)

    def blackened(*arguments, **options):
        task = load_few_shot(*arguments, **options)
        for pool in task.pools.values():
            pool.inputs.zero_()
        return task

    with monkeypatch.context() as patch:
        patch.setattr("lossforge.experiments.fewshot_run.load_few_shot", blackened)
        assert "run of another data" in refusal(["resume", "run"], capsys)
    assert main(["resume", "run"]) == 0


def test_a_loss_that_was_given_as_an_object_is_kept_and_checked(monkeypatch, capsys):
    import lossforge as lf

    def stop(self, result):
        raise KeyboardInterrupt

    loss = SymbolicLoss("square(y - p)")
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_result", stop)
        with pytest.raises(KeyboardInterrupt, match="lossforge resume"):
            lf.train("iris", loss, "linear", steps=4, out="run", progress=False)
    whole = Path("run/losses/0.json").read_bytes()
    save(SymbolicLoss("abs(y - p)"), "run/losses/0.json")
    assert "another content of its losses" in refusal(["resume", "run"], capsys)
    Path("run/losses/0.json").write_bytes(whole)
    assert main(["resume", "run"]) == 0


def test_losses_that_differ_have_different_digests():
    from lossforge.losses.storage import digest

    some = [Huber(0.5), Huber(0.6), NeuralLoss(), SymbolicLoss("y - p"), SymbolicLoss("p - y")]
    assert len({digest(loss) for loss in some}) == len(some)


def table(factor):
    rows = [f"{(i * 7 * factor) % 13},{i % 5},{i % 2}" for i in range(80)]
    Path("table.csv").write_text("\n".join(["a,b,y", *rows]))


def test_data_of_a_benchmark_that_were_replaced_are_refused(monkeypatch, capsys):
    words = ["benchmark", "--tasks", "csv:table.csv:y", "--models", "linear", "--seeds", "1"]
    words += ["--methods", "focal:gamma=1", "--steps", "2", "--check-every", "1"]
    table(1)
    stop_before_the_result([*words, "--rival-steps", "2", "--workers", "1"], monkeypatch, capsys)
    table(2)
    assert "run of another data" in refusal(["resume", "run", "--workers", "1"], capsys)
    table(1)
    assert main(["resume", "run", "--workers", "1"]) == 0


def test_a_file_that_was_edited_is_read_anew_by_the_next_benchmark():
    short = Setting(
        "", recipe=Recipe(steps=2, check_every=1), calibration=Calibration(rival_steps=2)
    )

    def data(factor):
        table(factor)
        options = {"repetitions": 1, "base": short, "progress": False}
        return benchmark("focal:gamma=1", "csv:table.csv:y", "linear", **options).run.config["data"]

    assert data(1) != data(2)
