"""`lossforge explain` for people and for programs."""

import json

import lossforge as lf
from lossforge.cli import main


def test_text_names_the_nearest_loss(capsys, tmp_path):
    lf.save(lf.losses.SymbolicLoss("3 - 2*y*log(p)"), tmp_path / "loss.json")
    assert main(["explain", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "cross_entropy" in text
    assert "calibrated" in text
    assert "LaTeX" in text


def test_json_is_json_alone(capsys, tmp_path):
    plots = tmp_path / "plots"
    assert main(["explain", "huber:delta=0.3", "--json", "--plots", str(plots)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["matches"][0]["name"] == "huber:delta=0.3"
    assert document["bounded"] is True
    assert (plots / "curves.png").exists()


def test_mistakes_are_told(capsys):
    assert main(["explain", "crossentropy"]) == 2
    assert "did you mean 'cross_entropy'" in capsys.readouterr().err
    assert main(["explain"]) == 2
    assert capsys.readouterr().err.startswith("lossforge: ")


def test_markdown_and_json_by_format(capsys):
    assert main(["explain", "focal", "--format", "markdown"]) == 0
    assert "| nearest |" in capsys.readouterr().out
    assert main(["explain", "focal", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "classification"


def test_text_fits_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["explain", "focal"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60
