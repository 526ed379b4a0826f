"""A run as plain data: what is missing or damaged is no reason to fail."""

import json

import pytest

from lossforge.report.facts import CLASSES, Facts, number


@pytest.mark.parametrize(
    ("result", "classes"), [({}, CLASSES), ({"outputs": 3}, 3), ({"outputs": 1}, 2)]
)
def test_losses_are_looked_at_on_the_runs_outputs(result, classes):
    assert Facts({}, result).classes == classes


def test_words():
    facts = Facts({"command": "train"}, {"metric": "error_rate"})
    assert (facts.command, facts.metric) == ("train", "error rate")
    assert (Facts({}, {}).command, Facts({}, {}).metric) == ("", "metric")


def test_files_of_the_run_are_read(tmp_path):
    (tmp_path / "good.json").write_text('{"a": 1}')
    (tmp_path / "damaged.json").write_text('{"a": ')
    facts = Facts({}, {}, path=tmp_path)
    assert facts.file("good.json") == {"a": 1}
    assert facts.file("damaged.json") is None
    assert facts.file("missing.json") is None
    assert Facts({}, {}).file("good.json") is None


def test_histories_of_runs_inside_are_read(tmp_path):
    lines = [{"step": 1}, {"step": 2}]
    for name, damage in (("maml", ""), ("damaged", "\n{")):
        (tmp_path / name).mkdir()
        text = "\n".join(map(json.dumps, lines)) + damage
        (tmp_path / name / "history.jsonl").write_text(text)
    facts = Facts({}, {}, path=tmp_path)
    assert facts.history_of("maml") == lines
    assert facts.history_of("damaged") == []
    assert facts.history_of("missing") == []


def test_numbers_are_short_and_none_diverged():
    assert number(0.123456) == "0.1235"
    assert number(0.123456, 2) == "0.12"
    assert number(None) == "diverged"
