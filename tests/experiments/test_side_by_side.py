"""Trainings side by side give the same bytes as one after the other."""

import json
from pathlib import Path

import pytest

import lossforge as lf
from conftest import Memory
from lossforge.experiments import Comparison
from lossforge.losses import CrossEntropy, Focal, NeuralLoss
from lossforge.searching import BaseTraining, Calibration, Calibrator, Fitness, make_problems
from lossforge.searching.executors import Execution, Here, LocalPool
from lossforge.searching.executors.automatic import Automatic
from lossforge.tasks import load


@pytest.fixture(scope="module")
def pool():
    """Two workers, started once."""
    with LocalPool(2) as pool:
        yield pool


def files(run: Path) -> dict[str, object]:
    """Return what a run wrote, times left out."""
    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return {
        "result": result | {"seconds": 0},
        "history": [line | {"seconds": 0} for line in lines],
        "config": json.loads((run / "config.json").read_text()),
        "report": (run / "report.md").read_text(),
    }


def compared(
    pool: LocalPool | None, monkeypatch: pytest.MonkeyPatch, out: Path
) -> dict[str, object]:
    with monkeypatch.context() as patch:
        if pool is not None:
            patch.setattr(LocalPool, "close", lambda self: None)
            patch.setattr(Execution, "open", lambda self, threads=1: pool)
        lf.compare(
            ["cross_entropy", Focal(1.5), NeuralLoss(), "adalfl"],
            "iris",
            "linear",
            seeds=2,
            steps=6,
            check_every=3,
            tune="handcrafted",
            factors=(1, 1e30),
            tuning_seeds=1,
            adalfl=lf.AdaLFL(warm_up_steps=2, warm_up_scales=(), warm_up_horizons=(1,)),
            out=out,
            progress=False,
        )
    return files(out)


def test_a_comparison(pool, tmp_path, monkeypatch):
    here = compared(None, monkeypatch, tmp_path / "here")
    assert compared(pool, monkeypatch, tmp_path / "pool") == here


@pytest.mark.parametrize("model", ["linear", "mlp:width=400"])
def test_a_calibration(pool, model):
    """The small network trains stacked, the large one under one loss after the other."""

    def kept(executor):
        journal = Memory()
        calibrator = Calibrator(
            Calibration(rival_steps=6, rival_seeds=1),
            Fitness(),
            make_problems(load("iris"), model),
            BaseTraining(),
            0,
            journal,
            executor=executor,
        )
        return calibrator.calibrate(), journal.checkpoints

    assert kept(pool) == kept(Here())


@pytest.mark.parametrize("model", ["linear", "mlp:width=400"])
def test_a_closing_comparison(pool, model):
    (problem,) = make_problems(load("iris"), model)
    groups = [
        ({"ce": CrossEntropy(), "focal": Focal()}, BaseTraining()),
        ({"ce": CrossEntropy()}, BaseTraining(learning_rate=0.1)),
    ]
    comparison = Comparison(compare_seeds=2, compare_steps=30)
    stages = []

    def scores(executor):
        return comparison.several(groups, problem, 0, lambda *stage: stages.append(stage), executor)

    assert scores(pool) == scores(Here())
    assert {name for name, *_ in stages} == {"comparing"}


def test_an_ablation(pool, tmp_path, monkeypatch):
    tiny = {"meta_steps": 2, "pretrain_steps": 1, "valid_tasks": 2, "test_tasks": 2, "width": 4}

    def learned(out):
        report = lf.fewshot(
            *("ablation", "clusters"),
            ways=3,
            queries=3,
            variants=("maml", "protonet"),
            out=out,
            progress=False,
            **tiny,
        )
        weights = {
            name: [theta.tolist() for theta in learner.parameters()]
            for name, learner in report.learners.items()
        }
        return [{**row, "seconds": 0} for row in report.rows()], weights

    here = learned(None)
    monkeypatch.setattr(LocalPool, "close", lambda self: None)
    monkeypatch.setattr(Execution, "open", lambda self, threads=1: pool)
    assert learned(None) == learned(tmp_path / "run") == here
    assert (tmp_path / "run" / "maml" / "learner.pt").exists()


def test_workers_are_started_when_they_pay(pool, monkeypatch):
    monkeypatch.setattr(LocalPool, "close", lambda self: None)
    for patience, expected in ((1e9, False), (0.0, True)):
        executor = Automatic(pool, patience)
        problems = make_problems(load("iris"), "linear")
        Calibrator(
            *(Calibration(rival_steps=6, rival_seeds=1), Fitness(), problems, BaseTraining(), 0),
            Memory(),
            executor=executor,
        ).calibrate()
        assert executor.has_started is expected
