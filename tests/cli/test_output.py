"""Output falls back where an encoding lacks a character, and outlives its reader."""

import io
import os
import subprocess
import sys

import pytest

from lossforge.cli import main
from lossforge.cli.output import ForgivingStream, fall_back, forgiving_output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_text_can_be_written_in_any_encoding(encoding):
    raw = io.BytesIO()
    stream = ForgivingStream(io.TextIOWrapper(raw, encoding=encoding))
    text = "0.1 ± 0.2 ─ λ 猫 \udcff"
    stream.write("before ")
    assert stream.write(text) == len(text)
    stream.flush()
    assert raw.getvalue().decode(encoding).startswith("before 0.1 ")


def test_likenesses_are_ascii():
    assert fall_back("± — … │╭─╮ ≤", "ascii") == "+- - ... |+-+ <="


def test_a_reader_that_has_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as inner:
        stream = ForgivingStream(inner)
        stream.write("lost")
        stream.flush()
        stream.write("lost too")
        stream.flush()
        assert not stream.isatty()


def test_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with pytest.raises(ValueError, match="x"), forgiving_output():
        raise ValueError("x")
    assert (sys.stdout, sys.stderr) == before


def test_markup_in_paths_is_shown_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--task", "iris", "--model", "linear", "--steps", "2"]
    assert main([*words, "--out", "x[b]run[/b]"]) == 0
    assert "the run is x[b]run[/b]" in "".join(capsys.readouterr())
    assert main(["train", "--task", "csv:data[train].csv:y", "--model", "linear"]) == 2
    assert "data[train].csv" in capsys.readouterr().err
    assert main([*words, "--out", "y", "surplus[/b]"]) == 2
    assert "surplus[/b]" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="streams are closed in a process of its own")
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1), (0, 1, 2)])
def test_no_file_takes_the_place_of_a_closed_stream(closed, tmp_path):
    program = (
        "import os, sys\n"
        f"[os.close(n) for n in {closed}]\n"
        "from lossforge.cli.output import occupy_standard_streams\n"
        "occupy_standard_streams()\n"
        "handle = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "os.write(handle, str(handle).encode())\n"
        "os.write(1, b'output')\n"
    )
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == 0
    assert int(path.read_text()) > 2
