"""Scores: those of scikit-learn, and none where an output is not finite."""

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, mean_squared_error
from torch import nn

from lossforge.methods.npbml.base import FewShotLearner
from lossforge.methods.npbml.scoring import score_of
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot


class Fixed(FewShotLearner):
    """Predicts what it is given."""

    def __init__(self, outputs):
        super().__init__(nn.Identity())
        self.given = outputs

    def predict(self, episode):
        return self.given


@pytest.mark.parametrize(
    ("name", "shape"), [("clusters", EpisodeSpec(3, 1, 5)), ("sinusoids", EpisodeSpec(1, 5, 9))]
)
def test_scores_are_those_of_scikit_learn(name, shape, generator):
    task = load_few_shot(name)
    episode = task.pools["test"].draw(shape, generator)
    outputs = torch.randn(len(episode.query), shape.ways, generator=generator)
    if task.kind.predicts_probabilities:
        expected = 100 * accuracy_score(episode.query_targets, outputs.argmax(1))
        assert 0 < expected < 100
    else:
        expected = mean_squared_error(episode.query_targets, outputs)
    assert score_of(Fixed(outputs), episode, task) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_one_output_that_is_not_finite_leaves_no_score(wrong, generator):
    task = load_few_shot("clusters")
    episode = task.pools["test"].draw(EpisodeSpec(3, 1, 5), generator)
    outputs = torch.zeros(len(episode.query), 3)
    outputs[-1, 1] = wrong
    assert math.isnan(score_of(Fixed(outputs), episode, task))
