"""Tiny searches whose losses and fitness were stored: the same seeds find the same losses.

    python tests/golden/test_searches.py

stores them anew, where a change is meant to change them. Settings are stored in the form of a run's
``config.json``, so that this also shows that saved configurations still load.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lossforge.losses.storage import to_document
from lossforge.methods import METHODS
from lossforge.tasks import load

STORED = Path(__file__).with_name("searches.json")
RELATIVE, ABSOLUTE = 1e-6, 1e-9

NEURAL = {"meta_steps": 20, "check_every": 4, "fitness_steps": 20, "hidden": (6,)}
GENETIC = {"population": 8, "generations": 3, "fitness_steps": 40, "filter_steps": 30}
TUNED = GENETIC | {"meta_steps": 5, "meta_learning_rate": 0.05}
VARIED = {"keep_untuned": True, "redraws": 2, "finalists": 3, "final_steps": 30, "horizon": 2}
SEEDED = {"seed_expressions": ("abs(y - p)", "square(y - p)"), "softplus": True, "racing": False}
CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "evomal": ("evomal", "digits", "mlp:width=16", TUNED),
    "evomal, all options": ("evomal", "iris", "linear", TUNED | VARIED | {"best_look": True}),
    "evomal, regression": ("evomal", "diabetes", "mlp:width=8", TUNED | SEEDED),
    "gp-lfl": ("gp-lfl", "iris", "mlp:width=16", GENETIC | {"gradient_filter": False}),
    "random": ("random", "wine", "linear", TUNED | {"finalists": 2, "final_runs": 2}),
    "ml3": ("ml3", "iris", "mlp:width=16", NEURAL),
    "ml3, horizons": ("ml3", "diabetes", "linear", NEURAL | {"horizons": (2, 1), "patience": 2}),
    "taylorglo": (
        *("taylorglo", "digits", "mlp:width=16"),
        {"population": 6, "generations": 4, "fitness_steps": 40, "finalists": 3},
    ),
}


class History:
    """A journal that keeps the lines of history."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def restore(self) -> None:
        return None

    def checkpoint(self, state: dict[str, Any], entry: dict[str, Any]) -> None:
        json.dumps(state, allow_nan=False)
        self.entries.append(entry)

    def progress(self, stage: str, done: int, total: int) -> None: ...


def search(method: str, task: str, model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Carry out a search and return what it did, as plain data."""
    history = History()
    found = METHODS[method].from_settings(settings).run(load(task), model, 5, journal=history)
    return {
        "loss": to_document(found.loss),
        "weights": {name: value.tolist() for name, value in found.loss.weights().items()},
        "valid": found.valid,
        "evaluations": found.evaluations,
        "counts": dict(found.counts),
        "front": [
            {"loss": to_document(member.loss), "size": member.size, "valid": member.valid}
            for member in found.front
        ],
        "history": history.entries,
    }


def assert_alike(found: Any, stored: Any, where: str = "") -> None:
    """Hold plain data against what was stored; new fields may be added."""
    if isinstance(stored, dict):
        for name, value in stored.items():
            assert_alike(found[name], value, f"{where}.{name}")
    elif isinstance(stored, list):
        assert len(found) == len(stored), where
        for i, (a, b) in enumerate(zip(found, stored, strict=True)):
            assert_alike(a, b, f"{where}[{i}]")
    elif isinstance(stored, float):
        assert found == pytest.approx(stored, rel=RELATIVE, abs=ABSOLUTE), where
    else:
        assert found == stored, where


@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_finds_what_it_found_before(case):
    stored = json.loads(STORED.read_text())[case]
    found = search(stored["method"], stored["task"], stored["model"], stored["settings"])
    assert_alike(json.loads(json.dumps(found)), stored["result"])


def store() -> None:
    """Write what the searches find now."""
    import torch

    torch.set_num_threads(1)
    rows = {}
    for case, (method, task, model, changes) in CASES.items():
        settings = METHODS[method]().settings() | changes
        result = search(method, task, model, settings)
        rows[case] = {
            "method": method,
            "task": task,
            "model": model,
            "settings": settings,
            "result": result,
        }
    STORED.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    store()
