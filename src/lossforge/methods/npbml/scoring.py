"""How well a learner does in an episode."""

import math

import torch

from lossforge.methods.npbml.base import FewShotLearner
from lossforge.tasks.episodes import Episode, FewShotTask


@torch.no_grad()
def score_of(learner: FewShotLearner, episode: Episode, task: FewShotTask) -> float:
    """Return the accuracy in percent, or the squared error, on an episode's query set.

    It is NaN where an output is not finite: the largest of NaNs would count as the first class.
    """
    outputs = learner.predict(episode)
    if not bool(outputs.isfinite().all()):
        return math.nan
    if task.kind.predicts_probabilities:
        return float((outputs.argmax(1) == episode.query_targets).double().mean()) * 100
    return float((outputs - episode.query_targets).square().mean())
