"""Every attack on a run is survived: a sample by default, all of them with `pytest -m slow`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("attacks.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="tries are forked processes")


def table(*options: str) -> str:
    # A process of its own: a fork of one that has threads, as after other tests, may hang.
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), *options],
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
    return finished.stdout


RUNS = [
    *("kills", "repeated_kills", "overwriting", "full_disks", "damages", "edits", "exchanges"),
    *("crowds", "limits"),
]
DATA = ["losses", "bombs", "tables", "archives", "parquets", "images", "texts"]
PROCESSES = ["signals", "pipes", "terminals", "widths", "optimized", "imports"]


@pytest.mark.parametrize("classes", [RUNS, DATA, PROCESSES], ids=["runs", "data", "processes"])
def test_a_sample_of_all_attacks_is_survived(classes):
    rows = [line for line in table("--only", *classes).splitlines() if line]
    assert rows[0].split() == ["attack", "tries", "survived"]
    assert len(rows) >= len(classes) + 2
    assert all(int(row.split()[-2]) > 0 for row in rows[1:])


def test_every_class_is_sampled():
    listed = (line for line in table("--help").split() if line)
    assert {word.strip("{},") for each in listed for word in each.split(",")} >= {
        *RUNS,
        *DATA,
        *PROCESSES,
    }


@pytest.mark.slow
def test_all_attacks_are_survived():
    print(table("--full"))
