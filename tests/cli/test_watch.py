"""`lossforge watch`: looks at a run's files until it is complete."""

import csv
import json

import pytest

from lossforge.cli import main
from lossforge.runs import RunFolder

RESULT = {"metric": "mse", "valid": 0.1, "test": 0.2, "loss": "mse", "seconds": 3.2}


@pytest.fixture
def begun(tmp_path) -> RunFolder:
    run = RunFolder.create(tmp_path / "run", {"command": "train"}, overwrite=False)
    run.checkpoint({}, {"step": 5, "valid": 0.5})
    return run


def shown(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_once_is_one_look_at_a_run_at_work(begun, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", None)
    assert main(["watch", str(begun.path), "--once"]) == 0
    assert "step 5, valid 0.5" in shown(capsys)


def test_it_looks_every_interval_until_the_run_is_complete(begun, capsys, monkeypatch):
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            begun.write_result(RESULT)

    monkeypatch.setattr("time.sleep", sleep)
    assert main(["watch", str(begun.path), "--interval", "0.5"]) == 0
    assert slept == [0.5] * 3
    assert "complete after 3 s" in shown(capsys)


@pytest.mark.parametrize("interval", ["0", "-1", "nan"])
def test_the_interval_is_checked(interval, begun, capsys):
    assert main(["watch", str(begun.path), f"--interval={interval}"]) == 2
    assert "interval" in capsys.readouterr().err


def test_no_run_is_told(tmp_path, capsys):
    assert main(["watch", str(tmp_path), "--once"]) == 2
    assert capsys.readouterr().err.startswith("lossforge: ")


def test_a_complete_run_is_shown_once(begun, capsys):
    begun.write_result({"metric": "mse", "valid": 0.1, "test": 0.2, "loss": "mse", "seconds": 3.2})
    assert main(["watch", str(begun.path)]) == 0
    assert main(["watch", str(begun.path), "--once"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("train, complete after 3 s") == 2
    assert "metric mse, valid 0.1, test 0.2, loss mse" in shown


def test_programs_read_it_as_json(begun, capsys):
    assert main(["watch", str(begun.path), "--once", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["state"], found["result"]) == ("train", "interrupted", None)
    assert found["history"][0]["step"] == 5
    begun.write_result(RESULT)
    assert main(["watch", str(begun.path), "--once", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["result"]) == ("complete", RESULT)


def test_a_table_has_one_row(begun, capsys):
    begun.write_result(RESULT)
    assert main(["watch", str(begun.path), "--once", "--format", "csv"]) == 0
    (row,) = csv.DictReader(
        line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")
    )
    assert (row["run"], row["state"], row["test"]) == (str(begun.path), "complete", "0.2")
    assert row["stage"] == row["seconds_left"] == ""


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "json"])
def test_other_formats_than_plain_text_are_for_one_look(form, begun, capsys):
    assert main(["watch", str(begun.path), "--format", form]) == 2
    assert "add --once" in capsys.readouterr().err
    assert main(["watch", str(begun.path), "--once", "--format", form]) == 0
