"""`lossforge report`: the page of a complete run."""

import json

import lossforge as lf
from lossforge.cli import main
from lossforge.runs import RunFolder


def test_it_writes_the_page_and_tells_where(tmp_path, capsys):
    folder = tmp_path / "run"
    lf.train("iris", model="linear", steps=5, out=folder, progress=False)
    page = (folder / "report.html").read_text()
    assert main(["report", str(folder), "--out", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().out == f"the page is {tmp_path / 'a.html'}\n"
    assert (tmp_path / "a.html").read_text() == page
    assert main(["report", str(folder), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"run": str(folder), "page": str(folder / "report.html")}


def test_no_run_is_told(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("lossforge: ")


def test_an_incomplete_run_is_told(tmp_path, capsys):
    RunFolder.create(tmp_path / "run", {"command": "train"}, overwrite=False)
    assert main(["report", str(tmp_path / "run")]) == 2
    assert "not complete" in capsys.readouterr().err
