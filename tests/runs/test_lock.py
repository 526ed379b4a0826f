"""The lock keeps processes apart, and goes with the process that has it."""

import signal
import subprocess
import sys

import pytest

from lossforge.errors import RunError
from lossforge.runs.lock import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from lossforge.runs.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""

RACE = """
import sys
from pathlib import Path
from lossforge.errors import RunError
from lossforge.runs import RunFolder
sys.stdin.readline()
try:
    run = RunFolder.claim(Path(sys.argv[1]), {"seed": int(sys.argv[2])}, overwrite=False)
    print("mine", flush=True)
    sys.stdin.readline()
    run.release()
except RunError as error:
    print(error, flush=True)
"""


def test_a_killed_process_gives_the_lock_back(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=f"in use by process {process.pid} on "):
        FolderLock(tmp_path).acquire()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lock = FolderLock(tmp_path)
    lock.acquire()
    assert lock.is_held
    lock.release()
    lock.release()
    assert not list(tmp_path.iterdir())


def test_one_of_several_processes_gets_a_new_folder(tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path / "run"), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.stdout.readline() for process in started if process.stdout]
    assert said.count("mine\n") == 1
    assert all(
        "in use by" in line or "holds another run" in line for line in said if line[:4] != "mine"
    )
    for process in started:
        process.communicate("done\n")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_an_unreadable_owner_is_another_process(content, tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    (tmp_path / ".lock").write_text(content)
    with pytest.raises(RunError, match="in use by another process"):
        FolderLock(tmp_path).acquire()
    lock.release()
