"""What few-shot learners share: they meta-learn from episodes, and predict in them."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.tasks.episodes import Episode
from lossforge.training.network import channels_last

Order = Literal["second", "recompute", "first"]
"""second: exact, all inner steps in memory; recompute: exact, in the memory of one step; first:
inner gradients are taken as constant"""


class FewShotLearner(nn.Module, ABC):
    """Everything that is shared by tasks, and how a task is predicted with it.

    Args:
        encoder: gives the features.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    @abstractmethod
    def predict(self, episode: Episode) -> Tensor:
        """Return outputs on an episode's query rows, [Q, N], detached."""


class EpisodicLearner(FewShotLearner):
    """One that meta-learns from episodes."""

    @abstractmethod
    def accumulate(
        self, episode: Episode, order: Order, share: float, progress: float = 1.0
    ) -> float:
        """Add the meta-gradient of one episode, times `share`, to `grad`; return the outer loss.

        Args:
            episode: to learn from.
            order: how to differentiate through inner steps, where there are any.
            share: factor on the gradient.
            progress: share of meta-training that is done, where the outer loss changes with it.
        """


class DirectLearner(EpisodicLearner):
    """One that computes a task's outputs without an inner loop."""

    @abstractmethod
    def outputs(self, episode: Episode) -> Tensor:
        """Return outputs on an episode's query rows, [Q, N]."""

    def accumulate(
        self, episode: Episode, order: Order, share: float, progress: float = 1.0
    ) -> float:
        """Add the gradient of the query rows' cross-entropy; only `share` is of effect."""
        value = F.cross_entropy(self.outputs(episode), episode.query_targets)
        (share * value).backward()
        return float(value.detach())

    def predict(self, episode: Episode) -> Tensor:
        """Return outputs on an episode's query rows, [Q, N], detached."""
        with torch.no_grad():
            return self.outputs(episode)


def embed_both(encoder: nn.Module, episode: Episode) -> tuple[Tensor, Tensor]:
    """Return features of support rows [B, F] and query rows [Q, F], embedded as one batch."""
    rows = channels_last(torch.cat([episode.support, episode.query]))
    support, query = encoder(rows).split([len(episode.support), len(episode.query)])
    return support, query
