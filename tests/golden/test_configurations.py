"""Runs that older versions began: their configurations load, their checkpoints are refused."""

import json
from pathlib import Path

import pytest

from lossforge.cli import main
from lossforge.runs import RunFolder
from lossforge.tasks import load

STORED = Path(__file__).with_name("searches.json")


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """A run whose flat configuration was written before settings were composed."""
    stored = json.loads(STORED.read_text())["gp-lfl"]
    config = {
        "version": "0.1.0",
        "command": "search",
        "method": stored["method"],
        "preset": "quick",
        "task": stored["task"],
        "model": stored["model"],
        "seed": 5,
        "device": "cpu",
        "data_dir": None,
        "settings": stored["settings"],
        "comparison": {"compare_seeds": 1, "compare_steps": 5},
        "data": load(stored["task"]).fingerprint(),
    }
    return RunFolder.create(tmp_path / "run", config, overwrite=False)


def test_an_old_configuration_is_carried_out(begun, capsys):
    assert main(["resume", str(begun.path)]) == 0
    stored = json.loads(STORED.read_text())["gp-lfl"]["result"]
    assert begun.result is not None
    assert begun.result["fitness"] == pytest.approx(stored["valid"], rel=1e-6)
    assert begun.result["evaluations"] == stored["evaluations"]


def test_an_old_checkpoint_is_refused_in_a_line(begun, capsys):
    begun.checkpoint({"generation": 1, "archive": {}}, {"generation": 1, "best": None})
    begun.checkpoint({"generation": 2}, {"generation": 2, "best": 0.5, "counts": {}})
    assert main(["resume", str(begun.path)]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("lossforge: this run's checkpoint is of another version")
