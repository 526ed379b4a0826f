"""Every attack on a run is survived: a sample by default, all of them with `pytest -m slow`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("attacks.py")

needs_superuser = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "getuid") or os.getuid() != 0, reason="mounts disks, becomes other users"
    ),
]

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
    *("kills", "random_kills", "repeated_kills", "overwriting", "full_disks", "damages", "edits"),
    *("corruptions", "exchanges", "replacements", "moves", "removals", "crowds", "limits"),
]
DATA = ["losses", "bombs", "tables", "archives", "parquets", "images", "texts"]
OPTIONS = ["options", "words"]
SURROUNDINGS = [
    *(
        "reader_kills",
        "clocks",
        "lost_folders",
        "links",
        "oddities",
        "odd_names",
        "umasks",
        "watched",
    ),
]
"""that need no program started anew, and no rights of the superuser"""
MOUNTED = ["streams", "small_disks", "read_only", "full_workers", "strangers"]
"""that do: they mount disks and become other users"""
PROCESSES = ["signals", "pipes", "terminals", "widths", "optimized", "imports"]
ALL = {*RUNS, *DATA, *OPTIONS, *SURROUNDINGS, *MOUNTED, *PROCESSES}


@pytest.mark.parametrize(
    "classes",
    [
        pytest.param(RUNS, id="runs"),
        pytest.param(DATA, id="data"),
        pytest.param(OPTIONS, id="options"),
        pytest.param([*SURROUNDINGS, "--commands", "train"], id="surroundings"),
        pytest.param([*MOUNTED, "--commands", "train"], id="disks", marks=needs_superuser),
        # Of these tests/integration/test_surroundings.py has a short form.
        pytest.param(PROCESSES, id="processes", marks=pytest.mark.slow),
    ],
)
def test_a_sample_of_all_attacks_is_survived(classes):
    rows = [line for line in table("--only", *classes).splitlines() if line]
    assert rows[0].split() == ["attack", "tries", "survived"]
    assert len(rows) >= len([each for each in classes if each in ALL]) + 2
    assert all(int(row.split()[-2]) > 0 for row in rows[1:])


def test_every_class_is_sampled():
    listed = (line for line in table("--help").split() if line)
    assert {word.strip("{},") for each in listed for word in each.split(",")} >= {
        *RUNS,
        *DATA,
        *OPTIONS,
        "worker_kills",
        *PROCESSES,
        *SURROUNDINGS,
        *MOUNTED,
    }


def test_rows_are_told_once_each_with_its_failures():
    from fault.harness import Tally  # not above: Windows lacks what it imports

    tally = Tally()
    tally.record("kill", "write 0", None)
    assert tally.news().split() == ["kill", "1", "1"]
    tally.record("cut", "byte 3", "a traceback")
    tally.record("cut", "byte 4", None)
    cut, failure = tally.news().splitlines()
    assert cut.split() == ["cut", "2", "1"]
    assert failure == "NOT SURVIVED cut: byte 3: a traceback"
    assert tally.news() == ""
    assert tally.total().split() == ["all", "3", "2"]


@pytest.mark.slow
def test_all_attacks_are_survived():
    print(table("--full"))
