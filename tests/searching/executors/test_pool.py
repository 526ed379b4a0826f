"""The pool of local processes: results in order, faults that cost a retry, clear errors."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, DataError
from lossforge.searching.executors import LocalPool, WorkerError
from searching.executors.jobs import Faulty, Shared, end_pool_of_two, leave, square


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    """Two workers, started once: each takes seconds to load PyTorch."""
    with LocalPool(2) as pool:
        yield pool


@given(jobs=st.lists(st.integers(), max_size=7))
def test_results_come_in_the_order_of_the_jobs(pool, jobs):
    assert list(pool.map(square, jobs)) == [job * job for job in jobs]


def test_progress_is_told_with_the_number_of_its_job(pool):
    told: list[tuple[int, str, int, int]] = []
    assert list(pool.map(square, [5, 6], lambda *report: told.append(report))) == [25, 36]
    assert {each for each in told if each[2] == 2} == {(0, "training", 2, 2), (1, "training", 2, 2)}


def test_jobs_are_computed_in_other_processes_by_one_thread_on_the_same_data(pool):
    found = list(pool.map(Shared(torch.ones(1000)), range(6)))
    assert [total for _, total, _ in found] == [1000.0 + job for job in range(6)]
    assert {pid for pid, *_ in found} <= set(pool.pids)
    assert os.getpid() not in pool.pids
    assert {threads for *_, threads in found} == {1}


@pytest.mark.parametrize("how", ["killed", "memory", "torch memory"])
def test_a_fault_costs_a_retry(pool, tmp_path, how):
    assert list(pool.map(Faulty(tmp_path, how, times=2), range(3))) == [0, 10, 20]


def test_what_fails_three_times_is_given_up_with_its_reason(pool, tmp_path):
    work = Faulty(tmp_path, "memory", times=3)
    found = list(pool.map(work, range(3), give_up=lambda job, reason: (job, reason)))
    assert found == [0, (1, "failed 3 times; at last out of memory (no more)"), 20]


def test_without_that_it_is_an_error(pool, tmp_path):
    with pytest.raises(WorkerError, match=r"failed 3 times; at last out of memory.*fewer workers"):
        list(pool.map(Faulty(tmp_path, "memory", times=3), range(3)))


def test_a_job_that_hangs_is_begun_anew_and_data_are_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    marks = tmp_path / "marks"
    marks.mkdir()
    work = Faulty(marks, "hung", times=1)
    with LocalPool(1, limit=2) as pool:
        for _ in range(2):
            assert list(pool.map(work, range(3))) == [0, 10, 20]
        assert len(list(tmp_path.rglob("*.pt"))) == 1
    assert list(tmp_path.iterdir()) == [marks]


def test_a_limit_longer_than_the_system_can_wait_is_no_limit(tmp_path):
    with LocalPool(1, limit=1e308) as pool:
        assert list(pool.map(Faulty(tmp_path, "hung", times=0), range(2))) == [0, 10]


def test_errors_of_a_job_are_raised_as_they_are(pool, tmp_path):
    with pytest.raises(DataError, match="the data are wrong") as caught:
        list(pool.map(Faulty(tmp_path, "error", times=1), range(3)))
    assert "in a worker" in caught.value.__notes__[0]
    (tmp_path / "1-0").unlink()
    with pytest.raises(RuntimeError, match="_OwnError"):
        list(pool.map(Faulty(tmp_path, "own error", times=1), range(3)))
    assert list(pool.map(square, [3])) == [9]


def test_what_cannot_be_sent_is_refused_in_a_line(pool):
    with pytest.raises(ConfigurationError, match=r"cannot be sent .* use one worker"):
        list(pool.map(lambda job, report: job, [1]))


def test_a_consumer_that_stops_early_ends_what_is_being_computed(pool):
    results = pool.map(square, range(4))
    assert next(results) == 0
    results.close()
    assert list(pool.map(square, [4])) == [16]


def test_workers_end_with_a_killed_parent():
    process = subprocess.Popen(
        [sys.executable, "-c", f"from {end_pool_of_two.__module__} import *; end_pool_of_two()"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pids, _ = process.communicate(timeout=120)
    assert process.returncode < 0
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids.split()):
        assert time.monotonic() < end, "workers go on without their pool"
        time.sleep(0.05)


def test_workers_that_cannot_start_are_an_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"from {leave.__module__} import square\n"
        "from lossforge.searching.executors import LocalPool\n"
        "list(LocalPool(1).map(square, [1]))\n"
    )
    finished = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "workers cannot start: worker ended with status 1" in finished.stderr
    assert "__main__" in finished.stderr
