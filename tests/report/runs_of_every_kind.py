"""Tiny runs on disk, one of each kind, for tests of their pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lossforge as lf
import lossforge.experiments
from lossforge.experiments import Report
from lossforge.experiments.benchmark_settings import Setting
from lossforge.training.full import Recipe

TRAIN = {"steps": 40, "check_every": 10}
SEARCH = {"population": 6, "generations": 2, "meta_steps": 2, "fitness_steps": 10}
SEARCH |= {"filter_steps": 10, "compare_seeds": 2, "compare_steps": 10, "rival_steps": 10}
FEW = {"network": "dense", "width": 5, "meta_steps": 4, "check_every": 2, "valid_tasks": 2}
FEW |= {"test_tasks": 4, "pretrain_steps": 2}
COMPARE = {"seeds": 2, "tune": "handcrafted", "factors": (0.3, 1.0), "tuning_seeds": 1}
LOSSES = ["cross_entropy", "focal:gamma=2", "label_smoothing:smoothing=0.1"]
TASKS = ["iris", "wine", "breast_cancer"]
SHORT = Setting("", recipe=Recipe(steps=20, check_every=10))
ADAPTIVE = lf.AdaLFL(warm_up_steps=5, trial_steps=5, record_every=5)

KINDS: dict[str, Callable[..., Report]] = {
    "search": lambda **to: lf.search("evomal", "iris", "linear", **to, **SEARCH),
    "train": lambda **to: lf.train("iris", LOSSES[2], "linear", **to, **TRAIN),
    "regression": lambda **to: lf.train("diabetes", "huber", "linear", **to, **TRAIN),
    "adaptive": lambda **to: lf.train("iris", "adalfl", "linear", adalfl=ADAPTIVE, **to, **TRAIN),
    "compare": lambda **to: lf.compare(LOSSES, TASKS, "linear", **to, **COMPARE, **TRAIN),
    "fewshot": lambda **to: lf.fewshot("maml", "clusters", ways=3, **to, **FEW),
    "ablation": lambda **to: lf.fewshot(
        "ablation", "clusters", ways=3, variants=["maml", "protonet"], **to, **FEW
    ),
    "benchmark": lambda **to: lf.experiments.benchmark(
        ["focal:gamma=1", "label_smoothing"], TASKS, "linear", repetitions=2, base=SHORT, **to
    ),
}


def make_run(kind: str, folder: Path, **options: Any) -> Report:
    """Carry out a run of a kind in a folder that is called like it."""
    return KINDS[kind](out=folder / kind, progress=False, **options)
