"""Mistakes of users: exit status 2, one line that names the culprit, nothing written."""

import json
from pathlib import Path

import pytest

from lossforge.cli import main

TINY = ["--model", "linear", "--population", "4", "--generations", "1", "--meta-steps", "2"]
TINY += ["--fitness-steps", "5", "--filter-steps", "10", "--compare-seeds", "1"]
TINY += ["--compare-steps", "5"]
SEARCH = ["search", "evomal", "--task", "iris", *TINY]

MISTAKES = {
    "unknown command": (["serch"], "search"),
    "unknown method": (["search", "evomol"], "evomal"),
    "unknown task": (["search", "evomal", "--task", "digit"], "digits"),
    "unknown model": ([*SEARCH, "--model", "mpl"], "mlp"),
    "unknown option": ([*SEARCH, "--popultion", "3"], "--population"),
    "missing option": (["search", "evomal"], "--task"),
    "wrong type": ([*SEARCH, "--population", "many"], "--population"),
    "out of range": ([*SEARCH, "--population", "1"], "population"),
    "probability above one": ([*SEARCH, "--crossover", "1.5"], "crossover"),
    "negative seed": ([*SEARCH, "--seed", "-1"], "seed"),
    "network that does not fit": ([*SEARCH, "--model", "lenet"], "lenet"),
    "unknown option of a network": ([*SEARCH, "--model", "mlp:widht=3"], "width"),
    "unknown device": ([*SEARCH, "--device", "gpu9"], "gpu9"),
    "expression with an error": ([*SEARCH, "--seed-expressions", "log(y"], "column 4"),
    "missing table": (["search", "evomal", "--task", "csv:none.csv:y", *TINY], "none.csv"),
    "no run to resume": (["resume", "nothing"], "nothing"),
    "no word for resume": (["resume"], "resume"),
    "unknown list": (["list", "task"], "tasks"),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    error = capsys.readouterr().err
    *before, last = error.splitlines()
    # A resumed run says what it is, and how far it has come, before it finds that it cannot go on.
    assert len(before) <= 2 * (words[0] == "resume")
    assert last.startswith("lossforge: ")
    return last


@pytest.mark.parametrize(("words", "culprit"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_and_nothing_is_written(words, culprit, capsys, tmp_path):
    assert culprit in complaint(words, capsys)
    assert not list(tmp_path.iterdir())


TABLES = {
    "empty": ("", "empty"),
    "header alone": ("a,y\n", "row"),
    "no such column": ("a,b\n1,2\n3,4\n", "y"),
    "constant target": ("a,y\n" + "1,5\n" * 30, "y"),
    "no feature": ("y\n" + "1.5\n2.5\n" * 20, "column"),
    "infinite feature": ("a,y\n" + "".join(f"{i},{i}.5\n" for i in range(40)) + "inf,1\n", "a"),
}


@pytest.mark.parametrize(("content", "culprit"), TABLES.values(), ids=TABLES.keys())
def test_a_table_that_cannot_be_learned_from_is_refused(content, culprit, capsys, tmp_path):
    (tmp_path / "table.csv").write_text(content)
    error = complaint(["search", "evomal", "--task", "csv:table.csv:y", *TINY], capsys)
    assert culprit in error
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_folder_that_holds_something_is_not_overwritten(capsys, tmp_path):
    assert main([*SEARCH, "--out", "run"]) == 0
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    capsys.readouterr()
    assert "--overwrite" in complaint([*SEARCH, "--out", "run"], capsys)
    assert before == {path: path.read_bytes() for path in files}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years of work")
    assert "not a run's" in complaint([*SEARCH, "--out", "other", "--overwrite"], capsys)
    assert main([*SEARCH, "--seed", "1", "--out", "run", "--overwrite"]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["seed"] == 1


@pytest.mark.parametrize("name", ["config.json", "checkpoint.json", "result.json", "loss.json"])
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe"])
def test_damaged_files_are_named(name, damage, capsys, tmp_path):
    assert main([*SEARCH, "--out", "run"]) == 0
    run = tmp_path / "run"
    (run / name).write_bytes(damage)
    if name != "result.json":
        (run / "result.json").unlink()
    words = ["resume", "run"]
    if name == "loss.json":
        words = ["train", "--task", "iris", "--loss", "run", "--steps", "1", "--out", "x"]
    capsys.readouterr()
    error = complaint(words, capsys)
    assert name in error or "loss file" in error


def test_a_table_that_changed_is_not_resumed(capsys, tmp_path):
    rows = [f"{i % 7},{i % 5},{(i % 7) * 2.0 + 0.1 * i}" for i in range(60)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["a,b,y", *rows]))
    words = ["search", "evomal", "--task", "csv:table.csv:y", *TINY, "--out", "run"]
    assert main(words) == 0
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["metric"] == "mse"
    (tmp_path / "run" / "result.json").unlink()
    table.write_text("\n".join(["a,b,y", *rows[:-1], "1,1,99.5"]))
    capsys.readouterr()
    assert "have changed" in complaint(["resume", "run"], capsys)


def test_the_result_has_what_other_programs_read(tmp_path):
    assert main([*SEARCH, "--out", "run"]) == 0
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    for key in ("method", "task", "model", "metric", "loss", "version"):
        assert isinstance(found[key], str), key
    for key in ("seed", "evaluations"):
        assert isinstance(found[key], int), key
    for key in ("valid", "test", "seconds"):
        assert isinstance(found[key], float), key
    assert found["baseline"]["name"] == "cross_entropy"
    assert {"valid", "test"} <= set(found["baseline"])
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        *("config.json", "history.jsonl", "loss.json", "result.json")
    }
