"""Workers and drivers that are killed: a run ends as if nothing had happened."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import lossforge as lf
from lossforge.searching.executors import Executor, Here, LocalPool

pytestmark = pytest.mark.skipif(not hasattr(os, "kill"), reason="processes are killed by signals")

GRID = ["compare", "--losses", "cross_entropy", "focal", "label_smoothing", "--task", "iris"]
GRID += ["--model", "linear", "--seeds", "3", "--steps", "100", "--check-every", "50"]


@contextmanager
def killer(kills: int, seed: int, pause: tuple[float, float] = (0.05, 0.5)) -> Iterator[list[int]]:
    """Kill random workers of this process inside the block; yields those that were killed.

    Args:
        kills: how many, at most.
        seed: of the times and the victims.
        pause: least and most seconds between two.
    """
    draw, killed, over = random.Random(seed), list[int](), threading.Event()

    def run() -> None:
        while len(killed) < kills and not over.wait(draw.uniform(*pause)):
            # Only workers that compute: a start that is cut short again and again is no retry.
            children = [each for each in multiprocessing.active_children() if is_at_work(each.pid)]
            if children:
                victim = draw.choice(children)
                with suppress(ProcessLookupError):
                    os.kill(victim.pid or 0, signal.SIGKILL)
                    killed.append(victim.pid or 0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def is_at_work(pid: int | None) -> bool:
    """Tell whether a worker has read its data, which it maps into its memory."""
    try:
        return "/lossforge-" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def trained(workers: int, seeds: int) -> object:
    report = lf.compare(
        ["cross_entropy", "focal", "label_smoothing"],
        "digits",
        "mlp:width=64",
        seeds=seeds,
        steps=100,
        check_every=50,
        workers=workers,
        progress=False,
    )
    return [{**line, "seconds": 0} for line in report.result["lines"]]


def survives(kills: int, seeds: int) -> None:
    expected = trained(workers=1, seeds=seeds)
    with killer(kills, seed=0) as killed:
        found = trained(workers=2, seeds=seeds)
    assert len(killed) == kills, "the run ended before enough workers were killed"
    assert found == expected


needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")


@needs_proc
def test_three_workers_are_killed():
    survives(3, seeds=6)


@needs_proc
@pytest.mark.slow
def test_fifty_workers_are_killed():
    survives(50, seeds=150)


def searched(executor: Executor) -> object:
    method = lf.EvoMAL.preset("quick").with_options(
        **{"population": 24, "generations": 3, "fitness_steps": 150, "filter_steps": 20},
        **{"meta_steps": 4, "finalists": 4, "final_kept": 2},
    )
    found = method.run("digits", "mlp:width=64", 0, progress=False, executor=executor)
    weights = {name: value.tolist() for name, value in found.loss.weights().items()}
    return found.valid, weights, dict(found.counts), str(found.loss)


def search_survives(kills: int) -> None:
    expected = searched(Here())
    # Rarely enough that no chunk loses its worker three times.
    with LocalPool(2) as pool, killer(kills, seed=0, pause=(0.5, 3.0)) as killed:
        found = [searched(pool)]
        while len(killed) < kills:
            found.append(searched(pool))
    assert all(each == expected for each in found)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, 50])
def test_workers_of_a_search_are_killed(kills):
    search_survives(kills)


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lossforge", *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def finish(words: list[str], folder: Path, status: int = 0) -> str:
    process = start(words, folder)
    _, error = process.communicate(timeout=900)
    assert process.returncode == status, error
    return error


def outcome(run: Path) -> object:
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    result = json.loads((run / "result.json").read_text())
    return result | {"seconds": 0}, [line | {"seconds": 0} for line in history]


def test_a_run_goes_on_with_another_number_of_workers(tmp_path):
    finish([*GRID, "--workers", "1", "--out", "whole"], tmp_path)
    process, run = (
        start([*GRID, "--workers", "2", "--out", "killed"], tmp_path),
        tmp_path / "killed",
    )
    while process.poll() is None and not (run / "history.jsonl").exists():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (run / "result.json").exists()
    finish(["resume", "killed", "--workers", "1"], tmp_path)
    assert outcome(run) == outcome(tmp_path / "whole")


def test_time_that_is_up_has_an_exit_status_and_the_way_to_go_on(tmp_path):
    endless = [*GRID, "--steps", "1000000", "--max-time", "1s", "--out", "run"]
    error = finish(endless, tmp_path, status=75)
    assert "lossforge: the time is up; go on with: lossforge resume run" in error
    assert "Traceback" not in error


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_search_whose_process_is_killed_ends_as_an_undisturbed_one(kills, workers):
    # A process of its own: a fork of one that has threads, as after other tests, may hang.
    program = str(Path(__file__).with_name("driver_kills.py"))
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", program, "--kills", f"{kills}", "--workers", f"{workers}"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert int(finished.stdout.splitlines()[-1].split()[0]) >= kills
