"""The real program, killed and interrupted: it goes on, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ["--model", "mlp:width=16", "--population", "6", "--generations", "5"]
SMALL += ["--meta-steps", "20", "--fitness-steps", "60", "--filter-steps", "50"]
SMALL += ["--compare-seeds", "2", "--compare-steps", "50"]
SEARCH = ["search", "evomal", "--task", "iris", *SMALL, "--out"]


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    # A shell starts background jobs, and so perhaps this suite, with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "lossforge", *words],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def finish(words: list[str], folder: Path) -> None:
    process = start(words, folder)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error


def wait_for_generations(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    history = folder / "history.jsonl"
    while process.poll() is None:
        if history.exists() and len(history.read_text().splitlines()) >= count:
            return
        time.sleep(0.02)
    pytest.fail(f"the run ended before generation {count}: {process.communicate()[1]}")


def ending(folder: Path) -> tuple[bytes, dict[str, object]]:
    result = json.loads((folder / "result.json").read_text())
    return (folder / "loss.json").read_bytes(), result | {"seconds": 0}


def test_a_run_killed_three_times_ends_like_an_uninterrupted_one(tmp_path: Path):
    finish([*SEARCH, "whole"], tmp_path)
    words, folder = [*SEARCH, "killed"], tmp_path / "killed"
    for generations in (1, 2, 4):
        process = start(words, tmp_path)
        wait_for_generations(folder, generations, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        words = ["resume", "killed"]
        assert not (folder / "result.json").exists()
    finish(words, tmp_path)
    assert ending(folder) == ending(tmp_path / "whole")


def test_ctrl_c_leaves_a_run_that_can_go_on(tmp_path: Path):
    process = start([*SEARCH, "run"], tmp_path)
    wait_for_generations(tmp_path / "run", 1, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "lossforge: interrupted; go on with: lossforge resume run" in error
    assert "Traceback" not in error
    finish(["resume", "run"], tmp_path)
    # What has ended is reported again, not run again.
    before = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    finish(["resume", "run"], tmp_path)
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == before


BENCHMARK = ["benchmark", "--methods", "gp-lfl", "--tasks", "iris", "--models", "linear"]
BENCHMARK += ["--repetitions", "2", "--steps", "20", "--check-every", "10", "--search-options"]
BENCHMARK += ["population=4", "generations=3", "fitness_steps=10", "filter_steps=10", "--out"]


def benchmark_ending(folder: Path) -> dict[str, object]:
    """Return what a benchmark's cells hold, but for times, and its tables of tests."""
    cells = folder.glob("cells/*/result.json")
    found: dict[str, object] = {
        path.parent.name: json.loads(path.read_text()) | {"seconds": 0} for path in cells
    }
    return found | {"cells.csv": (folder / "cells.csv").read_bytes()}


def test_a_benchmark_killed_twice_ends_like_an_uninterrupted_one(tmp_path: Path):
    finish([*BENCHMARK, "whole"], tmp_path)
    words, folder = [*BENCHMARK, "killed"], tmp_path / "killed"
    for cells in (1, 3):
        process = start(words, tmp_path)
        wait_for_generations(folder, cells, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        words = ["resume", "killed"]
        assert not (folder / "result.json").exists()
    finish(words, tmp_path)
    assert benchmark_ending(folder) == benchmark_ending(tmp_path / "whole")
