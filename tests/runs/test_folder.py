"""Runs on disk: never overwritten unasked, never resumed from damage."""

import json
import os

import pytest

from lossforge import files
from lossforge.errors import FileFormatError, RunError
from lossforge.files import write_json
from lossforge.losses import Huber
from lossforge.runs import RunFolder


class DeathError(Exception):
    """Stands for the end of a process."""


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


def test_another_run_s_checkpoint_is_refused(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        run = RunFolder.create(tmp_path / name, {"seed": seed}, overwrite=False)
        run.checkpoint({"n": seed}, {})
    (tmp_path / "a" / "checkpoint.json").write_bytes((tmp_path / "b/checkpoint.json").read_bytes())
    with pytest.raises(RunError, match="another run's"):
        RunFolder.open(tmp_path / "a").restore()


def test_no_flipped_bit_of_the_tensors_is_accepted(tmp_path):
    run = RunFolder.create(tmp_path / "a", {}, overwrite=False)
    run.checkpoint_bytes(bytes(range(64)), [{"step": 1}])
    assert RunFolder.open(tmp_path / "a").restore_bytes() == bytes(range(64))
    whole = (tmp_path / "a" / "checkpoint.pt").read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a" / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(FileFormatError, match="checksum does not match"):
            RunFolder.open(tmp_path / "a").restore_bytes()


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_tensors_and_their_checkpoint_agree_whenever_the_process_dies(kept, tmp_path, monkeypatch):
    """The second checkpoint is killed before, between and after its two files are written."""
    run = RunFolder.create(tmp_path / "a", {}, overwrite=False)
    run.checkpoint_bytes(b"first", [{"step": 1}])
    real, done = files._rename, []

    def die(temporary, path):
        if len(done) == kept:
            raise DeathError
        done.append(path)
        real(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_rename", die)
        with pytest.raises(DeathError):
            run.checkpoint_bytes(b"second", [{"step": 1}, {"step": 2}])
    again = RunFolder.open(tmp_path / "a")
    assert again.restore_bytes() == (b"second" if kept == 2 else b"first")
    lines = (tmp_path / "a" / "history.jsonl").read_text().splitlines()
    assert len(lines) == (2 if kept == 2 else 1)


@pytest.mark.parametrize("change", [lambda lines: lines[:-1], lambda lines: lines + lines[-1:]])
def test_the_history_is_mended_from_the_checkpoint(change, tmp_path):
    run = RunFolder.create(tmp_path / "a", {}, overwrite=False)
    run.checkpoint({"n": 1}, {"best": 1})
    run.checkpoint({"n": 2}, {"best": 2})
    history = tmp_path / "a" / "history.jsonl"
    whole = history.read_text()
    history.write_text("".join(change(whole.splitlines(keepends=True))))
    RunFolder.open(tmp_path / "a").restore()
    assert history.read_text() == whole


def test_an_edited_configuration_is_refused_by_the_name_of_its_fields(tmp_path):
    RunFolder.create(tmp_path / "a", {"seed": 1, "model": "mlp"}, overwrite=False).verify()
    write_json(tmp_path / "a" / "config.json", {"seed": 2, "model": "mlp"})
    with pytest.raises(RunError, match=r"config.json was changed .*: seed; .*--overwrite"):
        RunFolder.open(tmp_path / "a").verify()


@pytest.mark.parametrize("name", ["result.json", "history.jsonl", "loss.json", "checksums.json"])
def test_a_complete_run_is_told_from_an_edited_one(name, tmp_path):
    run = RunFolder.create(tmp_path / "a", {"seed": 1}, overwrite=False)
    run.checkpoint({"n": 1}, {"best": 0.125})
    run.write_loss(Huber(0.125))
    run.write_result({"test": 0.125})
    run.verify()
    path = tmp_path / "a" / name
    text = path.read_text()
    path.write_text(text.replace("0.125", "0.126") if "0.125" in text else text.replace("a", "b"))
    with pytest.raises(FileFormatError, match=name):
        RunFolder.open(tmp_path / "a").verify()


def test_a_run_without_checksums_is_refused(tmp_path):
    run = RunFolder.create(tmp_path / "a", {"seed": 1}, overwrite=False)
    (tmp_path / "a" / "checksums.json").unlink()
    with pytest.raises(RunError, match="begin anew"):
        run.verify()


def test_a_complete_run_that_lost_its_checksums_is_refused(tmp_path):
    run = RunFolder.create(tmp_path / "a", {"version": "0.1.0"}, overwrite=False)
    run.write_result({"test": 1})
    run.verify()
    (tmp_path / "a" / "checksums.json").unlink()
    write_json(tmp_path / "a" / "result.json", {"test": 2})
    with pytest.raises(RunError, match=r"has no checksums\.json"):
        run.verify()


@pytest.mark.parametrize("name", ["history.jsonl", "loss.json"])
def test_a_complete_run_that_lost_what_its_report_needs_is_refused(name, tmp_path):
    run = RunFolder.create(tmp_path / "a", {"version": "0.1.0"}, overwrite=False)
    run.checkpoint({"n": 1}, {"best": 1})
    run.write_loss(Huber(0.5))
    run.write_result({"test": 1})
    (tmp_path / "a" / "checkpoint.json").unlink()
    run.verify()
    (tmp_path / "a" / name).unlink()
    with pytest.raises(FileFormatError, match=f"{name} is missing"):
        run.verify()


def test_what_a_process_left_that_was_killed_after_the_results_is_removed(tmp_path):
    run = RunFolder.claim(tmp_path / "a", {"version": "0.1.0"}, overwrite=False)
    child = run.child("maml", {"version": "0.1.0"})
    child.write_result({"test": 1})
    run.write_result({"test": 1})
    before = {path for path in run.path.rglob("*") if path.name[0] != "."}
    for place in (run.path, child.path):
        (place / ".report.html.0123abcd.tmp").write_text("<")
    other = RunFolder.open(run.path)
    other.tidy()  # another process still works on it
    assert (run.path / ".report.html.0123abcd.tmp").exists()
    run.release()
    for place in (run.path, child.path):
        (place / ".lock").write_text("{}")
    other.tidy()
    assert set(run.path.rglob("*")) == before


@pytest.mark.parametrize("config", [None, b"", b'{"seed', b"\xff"])
def test_a_folder_whose_configuration_is_lost_can_be_begun_anew(config, tmp_path):
    run = RunFolder.create(tmp_path / "a", {"seed": 1}, overwrite=False)
    run.checkpoint({"n": 1}, {})
    path = tmp_path / "a" / "config.json"
    path.unlink()
    if config is not None:
        path.write_bytes(config)
    with pytest.raises(RunError, match="--overwrite"):
        RunFolder.create(tmp_path / "a", {"seed": 2}, overwrite=False)
    anew = RunFolder.create(tmp_path / "a", {"seed": 2}, overwrite=True)
    assert anew.config == {"seed": 2}
    assert anew.restore() is None


def test_what_a_process_left_that_was_killed_as_it_began_is_in_nobody_s_way(tmp_path):
    for name in (".config.json.0123abcd.tmp", ".config.json.ab_d1234", ".lock"):
        (tmp_path / name).write_text("{")
    (tmp_path / ".mine.tmp").write_text("kept")
    with pytest.raises(RunError, match="not a run's"):
        RunFolder.claim(tmp_path, {}, overwrite=False)
    (tmp_path / ".mine.tmp").unlink()
    run = RunFolder.claim(tmp_path, {}, overwrite=False)
    run.release()
    assert {path.name for path in tmp_path.iterdir()} == {"checksums.json", "config.json"}


@pytest.mark.parametrize("damage", ["stale", "config", "result"])
def test_a_child_that_is_no_part_of_the_run_is_begun_anew(damage, tmp_path):
    run = RunFolder.create(tmp_path / "a", {}, overwrite=False)
    child = run.child("maml", {"seed": 0 if damage == "stale" else 1})
    child.write_result({"test": 1})
    if damage != "stale":
        (tmp_path / "a" / "maml" / f"{damage}.json").write_text("{")
    assert RunFolder.open(tmp_path / "a").child("maml", {"seed": 1}).result is None


def test_children_of_a_discarded_run_are_not_taken_over(tmp_path):
    run = RunFolder.create(tmp_path / "a", {"data": 1}, overwrite=False)
    run.child("maml", {"seed": 1}).write_result({"test": 1})
    anew = RunFolder.create(tmp_path / "a", {"data": 2}, overwrite=True)
    assert anew.child("maml", {"seed": 1}).result is None


def test_a_folder_in_use_says_who_has_it(tmp_path):
    run = RunFolder.claim(tmp_path / "a", {}, overwrite=False)
    child = run.child("maml", {})
    for path in (tmp_path / "a", tmp_path / "a" / "maml"):
        with pytest.raises(RunError, match=rf"in use by process {os.getpid()} on .* since 20"):
            RunFolder.claim(path, {}, overwrite=True)
        with pytest.raises(RunError, match="in use"):
            RunFolder.open(path).lock()
    assert child.config == {}
    run.release()
    RunFolder.claim(tmp_path / "a", {}, overwrite=True).release()
