"""Prototypical networks: the control that does not adapt (Snell et al. 2017)."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.learner import Order
from lossforge.tasks.episodes import Episode
from lossforge.training.network import channels_last


@final
class ProtoNet(nn.Module):
    """Classify a query row by its distance to the classes' mean features.

    Args:
        encoder: gives the features.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def accumulate(self, episode: Episode, order: Order, share: float) -> float:
        """Add the gradient of one episode, times `share`, to `grad`; `order` is of no effect."""
        value = F.cross_entropy(self.predict(episode), episode.query_targets)
        (share * value).backward()
        return float(value.detach())

    def predict(self, episode: Episode) -> Tensor:
        """Return minus the squared distances of query rows to prototypes, [Q, N]."""
        rows = channels_last(torch.cat([episode.support, episode.query]))
        support, query = self.encoder(rows).split([len(episode.support), len(episode.query)])
        member = F.one_hot(episode.support_targets).to(support.dtype)
        prototypes = (member.T @ support) / member.sum(0)[:, None]
        distances: Tensor = (query[:, None] - prototypes).square().sum(2)
        return -distances
