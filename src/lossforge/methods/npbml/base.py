"""What few-shot learners share: they meta-learn from episodes, and predict in them."""

from abc import ABC, abstractmethod
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.errors import DataError
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

    @property
    def fixed_ways(self) -> int | None:
        """How many classes every task has; None for a method that takes any number."""
        return None

    def adapt(self, support: Tensor, targets: Tensor) -> "Adaptation":
        """Return the learner for a new task.

        Args:
            support: its labeled rows, [B, ...].
            targets: their labels from 0 to N-1, of which each has a row, or values [B, N].

        Raises:
            DataError: rows and targets do not fit each other or the learner.

        Examples:
            >>> import lossforge as lf
            >>> tiny = {"meta_steps": 2, "pretrain_steps": 2, "valid_tasks": 2, "test_tasks": 2}
            >>> report = lf.fewshot("maml", "clusters", ways=3, progress=False, **tiny)
            >>> support, query = torch.randn(3, 16), torch.randn(7, 16)
            >>> outputs = report.learners["maml"].adapt(support, torch.arange(3)).predict(query)
            >>> outputs.argmax(1).shape
            torch.Size([7])
        """
        return Adaptation(self, support, targets)


@final
class Adaptation:
    """A learner on one task.

    Args:
        learner: meta-trained.
        support: see `FewShotLearner.adapt`.
        targets: likewise.
    """

    def __init__(self, learner: FewShotLearner, support: Tensor, targets: Tensor):
        if len(support) != len(targets) or not len(support):
            raise DataError(
                f"the support set has {len(support)} rows and {len(targets)} targets; give each "
                "row its target"
            )
        if not targets.is_floating_point():
            _check_labels(targets, learner.fixed_ways)
        self._learner, self._support, self._targets = learner, support, targets

    def predict(self, query: Tensor) -> Tensor:
        """Return outputs on rows [Q, ...] of the task: logits or values, [Q, N].

        The methods whose inner loss sees query rows adapt to these very rows; norms take the
        statistics of the rows at hand. So a row's outputs depend on the rows beside it.
        """
        unknown = self._targets.new_zeros(len(query), *self._targets.shape[1:])
        return self._learner.predict(Episode(self._support, self._targets, query, unknown))


def _check_labels(labels: Tensor, ways: int | None) -> None:
    found = sorted(set(labels.tolist()))
    count = max(2, len(found)) if ways is None else ways
    if found != list(range(count)):
        raise DataError(
            f"the labels of the support set are {found}; number its classes from 0 to {count - 1}, "
            "and give each a row"
            + ("" if ways is None else f": the learner was meta-trained for {ways} classes")
        )


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
