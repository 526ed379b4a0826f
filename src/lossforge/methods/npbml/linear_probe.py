"""A linear probe: logistic regression on the features of an encoder that was trained to classify.

Source: Tian et al., "Rethinking Few-Shot Image Classification: A Good Embedding Is All You Need?"
(ECCV 2020, arXiv 2003.11539), without its self-distillation.

    (1)  encoder f and head W minimize the cross-entropy of all meta-training classes
    (2)  of a task, logistic regression is fitted to f(x) / ‖f(x)‖ of the support rows

There is no meta-learning: a step of it is a step of Eq. (1) on as many rows as the episodes of
other methods have.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.base import FewShotLearner, embed_both
from lossforge.tasks.episodes import Episode
from lossforge.training.network import channels_last

INVERSE_PENALTY = 1.0
"""of the logistic regression's L2 penalty; scikit-learn's C"""


@final
class LinearProbe(FewShotLearner):
    """Classify query rows by logistic regression on the support set's features.

    Args:
        encoder: gives the features.
        classifier: of all meta-training classes, from features.
    """

    def __init__(self, encoder: nn.Module, classifier: nn.Linear):
        super().__init__(encoder)
        self.classifier = classifier

    def accumulate_rows(self, inputs: Tensor, labels: Tensor) -> float:
        """Add the gradient of a step of plain classification, Eq. (1), to `grad`.

        Args:
            inputs: rows of meta-training classes, [B, ...].
            labels: their classes, [B].

        Returns:
            their cross-entropy.
        """
        value = F.cross_entropy(self.classifier(self.encoder(channels_last(inputs))), labels)
        value.backward()
        return float(value.detach())

    @torch.no_grad()
    def predict(self, episode: Episode) -> Tensor:
        """Return log-probabilities of query rows under a logistic regression, [Q, N]; Eq. (2)."""
        support, query = (F.normalize(rows, dim=1) for rows in embed_both(self.encoder, episode))
        if not bool(support.isfinite().all() and query.isfinite().all()):
            return torch.full_like(query[:, :1], torch.nan)
        from sklearn.linear_model import LogisticRegression

        regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
        regression.fit(support.double().cpu().numpy(), episode.support_targets.cpu().numpy())
        found = regression.predict_log_proba(query.double().cpu().numpy())
        return torch.from_numpy(found).to(query)
