"""Candidates from a checkpoint: those that were trained to the end."""

import json

import pytest

from lossforge.report import Candidate, Facts
from lossforge.report.archive import LONGEST, MOST, candidates_of


def row(expression="mul(y, p)", size=3, fitness=0.5, outcome=None):
    document = {"expression": expression, "coefficients": [1.0] * size}
    return [document, {}, [fitness, 50, outcome, []]]


def read(folder, evaluations) -> list[Candidate]:
    content = {"state": {"archive": {"evaluations": evaluations}}}
    (folder / "checkpoint.json").write_text(json.dumps({"content": content}))
    return candidates_of(Facts({}, {}, path=folder))


def test_candidates_have_size_fitness_and_expression(tmp_path):
    assert read(tmp_path, [row(), row("p", 1, 0.9)]) == [
        Candidate(3, 0.5, "mul(y, p)"),
        Candidate(1, 0.9, "p"),
    ]


def test_those_that_were_stopped_or_failed_are_left_out(tmp_path):
    rows = [row(outcome="stopped: hopeless"), row(fitness=None), row(expression=None), row()]
    assert len(read(tmp_path, rows)) == 1
    assert read(tmp_path, [row(fitness=float("inf"))]) == []


def test_a_page_holds_so_many_of_so_many_characters(tmp_path):
    found = read(tmp_path, [row("p" * (LONGEST + 1))] + [row()] * MOST)
    assert len(found) == MOST
    assert found[0].formula == "p" * (LONGEST - 1) + "…"


@pytest.mark.parametrize(
    "evaluations", [None, [1], [[{}]], [[{"expression": "p"}, {}, [1, 2, None]]]]
)
def test_checkpoints_of_another_form_have_none(evaluations, tmp_path):
    assert read(tmp_path, evaluations) == []


def test_without_a_checkpoint_there_are_none(tmp_path):
    assert candidates_of(Facts({}, {}, path=tmp_path)) == []
    assert candidates_of(Facts({}, {})) == []
