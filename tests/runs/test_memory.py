"""A run in memory keeps what a run on disk would."""

import json

import pytest

from lossforge.losses import Huber
from lossforge.runs import MemoryRun, RunFolder


@pytest.fixture(params=["memory", "disk"])
def run(request, tmp_path):
    if request.param == "memory":
        return MemoryRun({"seed": 1})
    return RunFolder.create(tmp_path / "run", {"seed": 1}, overwrite=False)


def test_both_kinds_of_run_keep_the_same(run):
    assert (run.config, run.restore(), run.restore_bytes()) == ({"seed": 1}, None, None)
    assert (run.result, run.loss, run.learner) == (None, None, None)
    run.checkpoint({"n": 1}, {"best": 0.5})
    assert [entry["best"] for entry in run.history] == [0.5]
    run.checkpoint_bytes(b"tensors", [{"step": 1}, {"step": 2}])
    assert run.history == [{"step": 1}, {"step": 2}]
    run.write_loss(Huber(0.5))
    assert str(run.loss) == "huber:delta=0.5"
    run.write_learner(b"weights")
    assert run.learner == b"weights"
    run.write_result({"tests": (1.0, None)})
    assert run.result == {"tests": [1.0, None]}
    assert run.seconds >= 0


def test_a_child_has_a_configuration_of_its_own(run):
    child = run.child("maml", {"method": "maml"})
    assert child.config == {"method": "maml"}
    child.write_result({"test": 1})
    assert run.result is None


def test_results_that_json_cannot_hold_are_refused_by_both(run):
    with pytest.raises(ValueError, match="Out of range float"):
        run.write_result({"test": float("inf")})


def test_a_child_on_disk_is_found_again(tmp_path):
    run = RunFolder.create(tmp_path / "run", {}, overwrite=False)
    run.child("maml", {"method": "maml"}).write_result({"test": 1})
    assert run.child("maml", {"method": "maml"}).result == {"test": 1}
    assert json.loads((tmp_path / "run/maml/result.json").read_text()) == {"test": 1}


def test_beginning_anew_discards_everything_of_the_run_before(tmp_path):
    run = RunFolder.create(tmp_path / "run", {}, overwrite=False)
    run.checkpoint_bytes(b"tensors", [{"step": 1}])
    run.write_learner(b"weights")
    run.write_loss(Huber(0.5))
    run.write_result({})
    anew = RunFolder.create(tmp_path / "run", {}, overwrite=True)
    assert (anew.result, anew.loss, anew.learner, anew.restore_bytes()) == (None,) * 4
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"checksums.json", "config.json"}
