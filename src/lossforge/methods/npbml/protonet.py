"""Prototypical networks: the control that does not adapt.

Source: Snell et al., "Prototypical Networks for Few-shot Learning" (arXiv 1703.05175).

    (1)  c_k = mean of f(x) over the support rows of class k
    (2)  outputs = -‖f(x) - c_k‖²
"""

from typing import final

from torch import Tensor

from lossforge.methods.npbml.base import DirectLearner, embed_both
from lossforge.methods.npbml.loss import class_means
from lossforge.tasks.episodes import Episode


@final
class ProtoNet(DirectLearner):
    """Classify a query row by its distance to the classes' mean features.

    Args:
        encoder: gives the features.
    """

    def outputs(self, episode: Episode) -> Tensor:
        """Return minus the squared distances of query rows to prototypes, [Q, N]."""
        support, query = embed_both(self.encoder, episode)
        ways = int(episode.support_targets.max()) + 1
        prototypes = class_means(support, episode.support_targets, ways)  # Eq. (1)
        distances: Tensor = (query[:, None] - prototypes).square().sum(2)
        return -distances  # Eq. (2)
