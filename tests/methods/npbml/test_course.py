"""Meta-training in stretches: it resumes exactly, keeps the best, and never learns from NaN."""

import dataclasses
import math
from statistics import mean, stdev

import pytest
import torch

from lossforge.errors import DataError, DivergedError
from lossforge.methods.npbml import FewShot, Learner, MetaCourse
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot

SHAPE = EpisodeSpec(ways=3, shots=1, queries=3)
TINY = {
    "network": "dense",
    "width": 6,
    "meta_steps": 4,
    "meta_batch": 2,
    "pretrain_steps": 2,
    "check_every": 2,
    "valid_tasks": 3,
    "test_tasks": 5,
}


@pytest.mark.parametrize("variant", ["npbml", "maml", "protonet"])
def test_a_restored_course_ends_as_one_that_was_not_interrupted(variant):
    task = load_few_shot("clusters")
    settings = FewShot(variant, **TINY)
    whole = MetaCourse(settings, task, SHAPE, 5)
    whole.advance()
    saved = whole.state()
    whole.advance()
    resumed = MetaCourse(settings, task, SHAPE, 5)
    resumed.restore(saved)
    resumed.advance()
    assert whole.is_over
    assert resumed.is_over
    assert resumed.curve == whole.curve
    assert resumed.conclude().score == whole.conclude().score


@pytest.mark.parametrize(
    ("settings", "stacked"),
    [
        ({"variant": "npbml"}, True),  # the network is dense
        ({"variant": "maml", "meta_batch": 1}, False),
        ({"variant": "npbml", "order": "recompute"}, False),
        ({"variant": "npbml", "stacking": "separate"}, False),
        ({"variant": "maml", "stacking": "stacked"}, True),
        ({"variant": "protonet", "stacking": "stacked"}, False),
    ],
)
def test_tasks_are_stacked_where_it_pays_or_is_asked_for(settings, stacked, monkeypatch):
    called = []
    whole = Learner.accumulate_stacked
    monkeypatch.setattr(
        Learner,
        "accumulate_stacked",
        lambda self, *told: called.append(len(told[0])) or whole(self, *told),
    )
    course = MetaCourse(FewShot(**(TINY | settings)), load_few_shot("clusters"), SHAPE, 0)
    course.advance()
    assert called == ([2, 2] if stacked else [])


def test_a_checkpoint_of_another_network_is_refused():
    task = load_few_shot("clusters")
    saved = MetaCourse(FewShot("maml", **TINY), task, SHAPE, 0)
    other = MetaCourse(FewShot("maml", **(TINY | {"width": 7})), task, SHAPE, 0)
    saved.advance()
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.restore(saved.state())


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("clusters", EpisodeSpec(40, 1, 1), "classes, fewer than 40 ways"),
        ("clusters", EpisodeSpec(5, 30, 15), "fewer than 30 shots and 15 queries"),
        ("clusters", EpisodeSpec(1, 1, 1), "pass --ways 2"),
        ("sinusoids", EpisodeSpec(5, 1, 1), "pass --ways 1"),
    ],
)
def test_episodes_that_cannot_be_drawn_are_told_before_training(name, shape, says):
    with pytest.raises(DataError, match=says):
        MetaCourse(FewShot("maml", **TINY), load_few_shot(name), shape, 0)


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("name", ["clusters", "sinusoids"])
def test_a_network_that_diverges_in_adaptation_has_no_score(part, name, monkeypatch):
    task = load_few_shot(name)
    shape = SHAPE if name == "clusters" else EpisodeSpec(1, 5, 5)
    course = MetaCourse(FewShot("maml", **TINY), task, shape, 0)
    if part == "test":
        while not course.is_over:
            course.advance()
    nothing = torch.full((9, 3) if name == "clusters" else (5, 1), torch.nan)
    monkeypatch.setattr(Learner, "predict", lambda *_: nothing)
    with pytest.raises(DivergedError, match=f"adapted to meta-{part} task 1"):
        course.conclude() if part == "test" else course.advance()


def test_nothing_is_learned_from_a_step_that_diverged():
    course = MetaCourse(FewShot("maml", **TINY), load_few_shot("clusters"), SHAPE, 0)
    course.advance()
    before = {name: value.clone() for name, value in course.learner.state_dict().items()}
    course.learner.optimizer = dataclasses.replace(course.learner.optimizer, learning_rate=1e30)
    with pytest.raises(DivergedError):
        course.advance()
    assert all(torch.equal(before[n], value) for n, value in course.learner.state_dict().items())


@pytest.mark.parametrize("name", ["clusters", "sinusoids"])
def test_the_learner_of_the_best_evaluation_is_tested(name, monkeypatch):
    """More is better of an accuracy, less of an error."""
    shape = SHAPE if name == "clusters" else EpisodeSpec(1, 5, 5)
    settings = FewShot("maml", **(TINY | {"check_every": 1}))
    course = MetaCourse(settings, load_few_shot(name), shape, 0)
    valid, tests, states = [20.0, 30.0, 10.0, 25.0], [1.0, 2.0, 4.0, 8.0, 16.0], []
    monkeypatch.setattr(
        course,
        "_scores",
        lambda part, *_: tests if part == "test" else [valid[len(states)]],
    )
    while not course.is_over:
        course.advance()
        states.append({n: v.clone() for n, v in course.learner.state_dict().items()})
    assert course.curve == list(zip([1, 2, 3, 4], valid, strict=True))
    found = course.conclude()
    best = 1 if name == "clusters" else 2
    assert all(torch.equal(v, states[best][n]) for n, v in found.learner.state_dict().items())
    assert found.valid == valid[best]
    assert found.score == pytest.approx(mean(tests))
    assert found.interval == pytest.approx(1.96 * stdev(tests) / math.sqrt(5))


def test_the_meta_rate_falls_along_half_a_cosine(monkeypatch):
    settings = FewShot("maml", meta_rate=0.01, final_meta_rate=0.002, **TINY)
    course = MetaCourse(settings, load_few_shot("clusters"), SHAPE, 0)
    rates, step = [], course._adam.step
    monkeypatch.setattr(
        course._adam, "step", lambda: rates.append(course._adam.param_groups[0]["lr"]) or step()
    )
    while not course.is_over:
        course.advance()
    expected = [0.002 + 0.008 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    assert rates == pytest.approx(expected)


def test_progress_counts_meta_steps_and_then_tests():
    told = []
    course = MetaCourse(FewShot("maml", **TINY), load_few_shot("clusters"), SHAPE, 0)
    while not course.is_over:
        course.advance(lambda *each: told.append(each))
    course.conclude(lambda *each: told.append(each))
    assert [each for each in told if each[0] == "meta-training"] == [
        ("meta-training", done, 4) for done in (1, 2, 3, 4)
    ]
    assert [each for each in told if each[0] == "meta-testing"] == [
        ("meta-testing", done, 5) for done in (1, 2, 3, 4, 5)
    ]
