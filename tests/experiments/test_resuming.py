"""Runs are continued by the version that began them, and read where they are complete."""

import json

import pytest

import lossforge as lf
from lossforge.errors import LossforgeError, RunError
from lossforge.experiments.resuming import COMMANDS, check_version, resume
from lossforge.runs import RunFolder
from lossforge.training.full import FullTraining

SMALL = {"steps": 20, "check_every": 10, "progress": False}


def test_a_complete_run_is_only_read(tmp_path, monkeypatch):
    done = lf.train("iris", "focal", "linear", out=tmp_path / "run", **SMALL)
    monkeypatch.setattr(FullTraining, "__init__", None)  # nothing is trained
    again = resume(tmp_path / "run", progress=False)
    assert type(again) is type(done)
    assert again.result == json.loads(json.dumps(done.result))


def test_an_unknown_command_is_told(tmp_path):
    config = {"command": "serach", "version": lf.__version__}
    RunFolder.create(tmp_path / "run", config, overwrite=False)
    with pytest.raises(LossforgeError, match="did you mean 'search'"):
        resume(tmp_path / "run")
    # The lock was given back.
    with pytest.raises(LossforgeError, match="did you mean 'search'"):
        resume(tmp_path / "run")


@pytest.mark.parametrize("version", ["0.0.1", None])
def test_runs_of_other_versions_are_not_continued(version, tmp_path):
    config = {"command": "train"} | ({"version": version} if version else {})
    folder = RunFolder.create(tmp_path / "run", config, overwrite=False)
    with pytest.raises(RunError, match=f"was begun by lossforge {version}, this is"):
        check_version(folder)


def test_every_experiment_can_be_resumed():
    assert {"search", "train", "compare", "fewshot"} <= set(COMMANDS)


def test_no_run_is_told(tmp_path):
    with pytest.raises(LossforgeError):
        resume(tmp_path / "nothing")
