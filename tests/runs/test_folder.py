"""Runs on disk: never overwritten unasked, never resumed from damage."""

import json

import pytest

from lossforge.errors import FileFormatError, RunError
from lossforge.runs import RunFolder


def test_checkpoints_come_back_with_history_and_time(tmp_path):
    run = RunFolder.create(tmp_path / "a", {"x": 1}, overwrite=False)
    assert run.restore() is None
    run.checkpoint({"n": 1}, {"best": 0.5})
    run.checkpoint({"n": 2}, {"best": 0.4})
    again = RunFolder.open(tmp_path / "a")
    assert again.restore() == {"n": 2}
    assert [entry["best"] for entry in again.history] == [0.5, 0.4]
    assert again.seconds >= 0
    assert len((tmp_path / "a" / "history.jsonl").read_text().splitlines()) == 2


def test_another_run_is_not_overwritten_unasked(tmp_path):
    run = RunFolder.create(tmp_path / "a", {"x": 1}, overwrite=False)
    run.write_result({"test": 1.0})
    with pytest.raises(RunError, match="--overwrite"):
        RunFolder.create(tmp_path / "a", {"x": 2}, overwrite=False)
    assert run.config == {"x": 1}
    anew = RunFolder.create(tmp_path / "a", {"x": 2}, overwrite=True)
    assert anew.result is None
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="not a run's"):
        RunFolder.create(tmp_path / "b", {}, overwrite=True)


def test_damaged_checkpoints_are_refused(tmp_path):
    run = RunFolder.create(tmp_path / "a", {}, overwrite=False)
    run.checkpoint({"n": 1}, {})
    path = tmp_path / "a" / "checkpoint.json"
    content = json.loads(path.read_text())
    content["content"]["state"]["n"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match="checksum does not match"):
        RunFolder.open(tmp_path / "a").restore()
    with pytest.raises(RunError, match="holds no run"):
        RunFolder.open(tmp_path / "nowhere")
