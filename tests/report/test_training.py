"""The page of a training: its curve, and an adaptive loss over time."""

import json
import re
from itertools import pairwise

import pytest

from lossforge.report import Facts
from lossforge.report.training import FRAMES, sections, verdict
from report.svg_reading import tips

RESULT = {"metric": "error_rate", "task": "iris", "loss": "focal", "test": 0.125, "valid": 0.25}
RESULT |= {"step": 20, "curve": [[10, 0.5], [20, 0.25], [30, 0.375]]}


def facts(path=None, **result) -> Facts:
    return Facts({"command": "train"}, RESULT | result, path=path)


def test_the_scores_and_the_step_of_the_weights_are_told():
    told = verdict(facts())
    assert "under focal has a test error rate of 0.125, and of 0.25 on the validation data" in told
    assert "step 20" in told
    assert "x" * 79 + "… has" in verdict(facts(loss="x" * 100))


def test_the_curve_has_every_evaluation():
    (section,) = sections(facts())
    assert len(tips(section.blocks[0])) == 3
    assert "went from 0.5 to 0.375" in section.blocks[0]
    assert "<figure>" not in sections(facts(curve=[]))[0].blocks[0]


def moment(step, **more):
    return {"step": step, "p": [0.1, 0.5, 0.9], "target": [2.0, 1.0, step], **more}


def adaptation(folder, moments):
    (folder / "adaptation.json").write_text(json.dumps({"moments": moments}))
    return [each for each in sections(facts(folder)) if each.title == "The loss over time"]


@pytest.mark.parametrize("count", [2, FRAMES, FRAMES + 1, 500])
def test_a_film_begins_and_ends_with_the_training(count, tmp_path):
    moments = [moment(10 * i, non_target=[0.0, 0.5, i]) for i in range(count)]
    (section,) = adaptation(tmp_path, moments)
    (told,) = re.findall('data-times="([^"]*)"', section.blocks[1])
    times = [int(time) for time in told.split()]
    assert len(times) == min(count, FRAMES)
    assert (times[0], times[-1]) == (0, 10 * (count - 1))
    gaps = {b - a for a, b in pairwise(times)}
    assert max(gaps) - min(gaps) <= 10
    frames = re.findall('data-frames="([^"]*)"', section.blocks[1])
    assert [len(each.split(";")) for each in frames] == [len(times)] * 2
    assert "probability p" in section.blocks[1]


def test_numbers_have_a_chart_each(tmp_path):
    told = {"slope": 0.5, "smoothing": None, "non_target": [0.0]}
    moments = [{"step": s, "factor": 1 + s, **told} for s in (0, 1)]
    (section,) = adaptation(tmp_path, moments)
    shown = section.blocks[1]
    assert "step from 1 to 2" in shown
    assert "<figcaption>Slope</figcaption>" in shown
    assert "never pushes back" in shown


@pytest.mark.parametrize("moments", [None, [], ["a"], [1, 2]])
def test_what_was_not_recorded_is_left_out(moments, tmp_path):
    assert adaptation(tmp_path, moments) == []
    assert len(sections(facts())) == 1
