"""Loggers: TensorBoard's files are read back; the others are held against modules that record."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import ConfigurationError, MissingPackageError
from lossforge.experiments.watching import Watching
from lossforge.extras import PACKAGES
from lossforge.integrations.loggers import LOGGERS, MLflow, TensorBoard, WeightsAndBiases
from lossforge.runs import MemoryRun

SMALL = {"steps": 4, "check_every": 2}


def trained(logger, out=None):
    watching = Watching(False, (logger,))
    return lf.train("iris", model="linear", out=out, progress=watching, **SMALL).result


def test_tensorboard_files_hold_the_history_and_the_results(tmp_path):
    pytest.importorskip("tensorboard", reason="the package is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = trained(TensorBoard, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    valid = [(event.step, event.value) for event in events.Scalars("valid")]
    assert valid == [(step, pytest.approx(score)) for step, score in result["curve"]]
    (test,) = events.Scalars("result/test")
    assert test.value == pytest.approx(result["test"])


def test_tensorboard_needs_a_folder(monkeypatch):
    monkeypatch.setattr("lossforge.integrations.loggers.require_extra", lambda *_: None)
    with pytest.raises(ConfigurationError, match="out="):
        TensorBoard(MemoryRun({}))


def module(monkeypatch, name, **content):
    fake = ModuleType(name)
    fake.__dict__.update(content)
    fake.__spec__ = SimpleNamespace()
    monkeypatch.setitem(sys.modules, name, fake)


def test_wandb_receives_history_and_results(monkeypatch):
    calls, summary = [], {}
    run = SimpleNamespace(
        log=lambda row, step: calls.append((row, step)),
        summary=summary,
        finish=lambda: calls.append("finished"),
    )
    begun = {}
    module(monkeypatch, "wandb", init=lambda **settings: begun.update(settings) or run)
    result = trained(WeightsAndBiases)
    assert begun["config"]["task"] == "iris"
    assert [(step, row["valid"]) for row, step in calls[:-1]] == [tuple(c) for c in result["curve"]]
    assert summary["test"] == result["test"]
    assert summary["loss"] == "cross_entropy"
    assert calls[-1] == "finished"


def test_mlflow_receives_history_and_results(monkeypatch):
    metrics, calls = [], []
    module(
        monkeypatch,
        "mlflow",
        set_experiment=calls.append,
        start_run=lambda run_name: calls.append(run_name),  # noqa: PLW0108
        log_params=lambda params: calls.append(params["task"]),
        log_metrics=lambda row, step=None: metrics.append((step, row)),
        set_tag=lambda name, value: calls.append(value),
        end_run=lambda: calls.append("ended"),
    )
    result = trained(MLflow)
    assert [(step, row["valid"]) for step, row in metrics[:-1]] == [
        tuple(check) for check in result["curve"]
    ]
    assert metrics[-1][1]["result/test"] == result["test"]
    assert calls == ["lossforge", "lossforge", "iris", "cross_entropy", "ended"]


@pytest.mark.parametrize("name", LOGGERS)
def test_what_is_missing_is_named_before_anything_is_written(name, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, PACKAGES[name][0], None)
    monkeypatch.chdir(tmp_path)
    words = ["train", "--task", "iris", "--model", "linear", "--log", name, "--out", "run"]
    assert main(words) == 2
    assert f"lossforge[{name}]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MissingPackageError):
        LOGGERS[name](MemoryRun({}))
