"""How far a run is, as its files tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossforge.cli import main
from lossforge.errors import RunError
from lossforge.runs import RunFolder
from lossforge.runs.status import Status

EVENT = {"event": "progress", "stage": "training", "done": 3, "total": 4, "share": 0.75}


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    """A run that this process works on."""
    run = RunFolder.claim(tmp_path / "run", {"command": "compare"}, overwrite=False)
    run.checkpoint({}, {"cell": "iris | linear | mse", "valid": 0.123456})
    run.write_progress({**EVENT, "seconds_left": 100.0})
    return run


def test_a_run_at_work(begun):
    status = Status.read(begun.path)
    headline, entry, present = status.lines()
    assert f"compare, process {os.getpid()} on " in headline
    assert entry.startswith("  cell iris | linear | mse, valid 0.1235")
    assert present.startswith("training 3/4; 75 % of the run, ")
    assert present.endswith(" s left")
    assert not status.is_complete
    begun.release()


def test_an_interrupted_run(begun):
    begun.release()
    headline, _ = Status.read(begun.path).lines()
    assert headline.endswith("compare, interrupted; no process works on it")


def test_a_killed_run(begun):
    """Its lock's file stays; the process that it names is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    owner = json.loads((begun.path / ".lock").read_text()) | {"pid": process.pid}
    (begun.path / ".lock").write_text(json.dumps(owner))
    assert Status.read(begun.path).owner is None
    begun.release()


def test_nothing_is_written(begun):
    before = {path: path.stat().st_mtime_ns for path in begun.path.iterdir()}
    Status.read(begun.path).lines()
    assert {path: path.stat().st_mtime_ns for path in begun.path.iterdir()} == before
    begun.release()


def test_no_run(tmp_path, capsys):
    with pytest.raises(RunError):
        Status.read(tmp_path)
    assert main(["watch", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("lossforge: ")


def test_the_progress_of_a_run_can_be_overwritten_and_read_damaged(begun):
    (begun.path / "progress.json").write_text("{")
    assert Status.read(begun.path).progress is None
    begun.release()
    RunFolder.create(begun.path, {"command": "train"}, overwrite=True)
    assert not (begun.path / "progress.json").exists()


def test_the_state_is_plain_data(begun):
    found = json.loads(json.dumps(Status.read(begun.path).document()))
    assert (found["command"], found["state"], found["result"]) == ("compare", "running", None)
    assert found["process"]["pid"] == os.getpid()
    assert found["progress"].pop("seconds_left") <= 100
    assert found["progress"] == {name: EVENT[name] for name in ("stage", "done", "total", "share")}
    begun.release()
    found = Status.read(begun.path).document()
    assert (found["state"], found["process"], found["progress"]) == ("interrupted", None, None)


@pytest.mark.parametrize(
    "event",
    [{}, {"event": "progress"}, {**EVENT, "share": "half"}, {**EVENT, "seconds_left": [1]}],
)
def test_progress_that_was_edited_is_shown_as_far_as_it_is_known(begun, event):
    (begun.path / "progress.json").write_text(json.dumps(event))
    assert len(Status.read(begun.path).lines()) in (2, 3)
    begun.release()


@pytest.mark.parametrize("history", ["[1]", "3", '"a"', "[" * 10_000])
def test_a_history_that_is_none_is_left_out(begun, history):
    (begun.path / "history.jsonl").write_text(history)
    assert Status.read(begun.path).history == ()
    begun.release()


def test_results_that_were_edited_are_shown_as_far_as_they_are_known(begun):
    begun.write_result({"seconds": "long", "test": 0.5})
    headline, _, present = Status.read(begun.path).lines()
    assert headline == f"{begun.path}: compare, complete"
    assert present == "test 0.5"
    begun.release()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows lacks named pipes")
@pytest.mark.parametrize("name", [".lock", "history.jsonl", "progress.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(begun, name):
    begun.release()
    (begun.path / name).unlink(missing_ok=True)
    os.mkfifo(begun.path / name)
    assert not Status.read(begun.path).is_complete
