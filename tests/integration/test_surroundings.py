"""The real program where disks are full, folders closed, readers gone, and signals come."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossforge import files
from lossforge.cli import main

SHORT = ["--task", "iris", "--model", "linear", "--steps", "4", "--check-every", "2"]
TRAIN = ["train", *SHORT]
LONG = ["train", "--task", "iris", "--model", "linear", "--steps", "1000000", "--check-every", "5"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def start(words, **settings):
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | settings.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-m", "lossforge", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,
    )


def one_line(error):
    (line,) = [line for line in error.splitlines() if line.startswith("lossforge: ")]
    assert "Traceback" not in error
    return line


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows lacks these signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_end_a_run_as_ctrl_c_does(name):
    if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        pytest.skip(f"{name} is ignored here, as under nohup, and so by what is started")
    process = start([*LONG, "--out", "my run"])
    while not Path("my run/history.jsonl").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name)
    said = one_line(error.decode())
    assert said == "lossforge: interrupted; go on with: lossforge resume 'my run'"
    assert not list(Path("my run").glob(".*"))


def test_a_run_outlives_its_readers_and_its_encoding():
    process = start([*TRAIN, "--out", "run"], env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    assert process.wait(timeout=120) == 0
    assert json.loads(Path("run/result.json").read_text())["step"] >= 0


def test_results_are_printed_in_ascii_where_nothing_else_is_known():
    words = ["compare", *SHORT, "--losses", "cross_entropy", "focal", "--seeds", "2"]
    process = start([*words, "--out", "run"], env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    output, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert output.isascii()
    assert error.isascii()


def test_a_full_disk_leaves_a_run_that_can_go_on():
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))

    process = start([*TRAIN, "--out", "run"], preexec_fn=limit)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    said = one_line(error.decode())
    assert "file too large" in said
    assert said.endswith("go on with: lossforge resume run")
    assert main(["resume", "run"]) == 0


@pytest.mark.parametrize("number", range(8))
def test_a_write_that_fails_is_told_in_a_line(number, monkeypatch, capsys):
    """Whichever write of a run finds the disk full, the run goes on to the same result."""
    assert main([*TRAIN, "--out", "whole"]) == 0
    real, done = files._fill, []

    def full(temporary, data):
        done.append(temporary)
        if len(done) > number:
            temporary.write_bytes(data[: len(data) // 2])
            raise OSError(28, "No space left on device", str(temporary))
        real(temporary, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_fill", full)
        assert main([*TRAIN, "--out", "run"]) == 2
    said = one_line(capsys.readouterr().err)
    assert "no space left on device; free some space" in said
    assert "tmp" not in said.replace("/tmp/", "")
    begun = Path("run/config.json").exists()
    assert main(["resume", "run"] if begun else [*TRAIN, "--out", "run"]) == 0
    ours, theirs = (json.loads(Path(f"{n}/result.json").read_text()) for n in ("run", "whole"))
    assert ours | {"seconds": 0} == theirs | {"seconds": 0}
    assert not list(Path("run").glob(".*"))


@pytest.mark.parametrize(
    ("out", "says"),
    [("x" * 300, "shorter name"), ("file/run", "check the path"), ("/proc/run", "check the path")],
)
def test_a_folder_that_cannot_be_made_is_told_in_a_line(out, says, capsys):
    Path("file").write_text("")
    assert main([*TRAIN, "--out", out]) == 2
    assert says in one_line(capsys.readouterr().err)


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="the superuser may do anything")
def test_closed_folders_are_told_in_a_line(capsys):
    assert main([*TRAIN, "--out", "run"]) == 0
    Path("run").chmod(0o555)
    assert main([*TRAIN, "--out", "run", "--overwrite"]) == 2
    assert "permission denied" in one_line(capsys.readouterr().err)
    assert main(["resume", "run"]) == 0
    Path("run").chmod(0o000)
    assert main(["resume", "run"]) == 2
    Path("run").chmod(0o755)
    assert "permission denied" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("number", [28, 30, 13, 5])
def test_the_last_line_of_output_that_finds_no_place_is_told(number, capsys, monkeypatch):
    from lossforge.cli import output

    def full(self):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(output.ForgivingStream, "flush", full)
    assert main(["--version"]) == 2
    one_line(capsys.readouterr().err)
