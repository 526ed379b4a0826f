"""`lossforge resume`: any run goes on, or is printed again where it is complete."""

import pytest

from lossforge.cli import main, resume

TRAIN = ["--task", "iris", "--model", "linear", "--steps", "20", "--check-every", "10"]


def test_a_complete_run_is_printed_again(tmp_path, capsys):
    assert main(["train", *TRAIN, "--out", str(tmp_path / "run")]) == 0
    first = capsys.readouterr().out
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("name", ["search", "training", "comparison", "few_shot"])
def test_every_report_has_its_printer(name, monkeypatch, capsys):
    kinds = {
        "search": resume.SearchReport,
        "training": resume.TrainingReport,
        "comparison": resume.ComparisonReport,
        "few_shot": resume.FewShotReport,
    }
    report = object.__new__(kinds[name])
    printed = []
    monkeypatch.setattr(resume.experiments, "resume", lambda *_, **__: report)
    for each in kinds:
        monkeypatch.setattr(resume, f"print_{each}", lambda r, each=each: printed.append((each, r)))
    assert main(["resume", "run"]) == 0
    assert printed == [(name, report)]
    monkeypatch.setattr(resume.Printing, "report", lambda s, r, _: printed.append((s.format, r)))
    assert main(["resume", "run", "--format", "json"]) == 0
    assert printed[1:] == [("json", report)]


@pytest.mark.parametrize(
    ("words", "says"), [([], "say which run"), (["a", "b"], "'b' belongs to no option")]
)
def test_one_run_is_needed(words, says, capsys):
    assert main(["resume", *words]) == 2
    assert says in capsys.readouterr().err


def test_no_run_is_told(tmp_path, capsys):
    assert main(["resume", str(tmp_path)]) == 2
    assert "lossforge: " in capsys.readouterr().err
