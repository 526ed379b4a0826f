"""What is meta-learned: initialization, preconditioner, loss, rates; and one task's inner loop.

Source: thesis, ch. 7: θ ← θ - rate·P∇M(task, θ), with everything but the adapted θ shared by tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from lossforge.methods.npbml.film import FiLM
from lossforge.methods.npbml.loss import InnerLoss, Similarity, task_loss
from lossforge.methods.npbml.networks import Warp
from lossforge.methods.npbml.norm import is_plain
from lossforge.tasks.episodes import Episode
from lossforge.tasks.kinds import Kind
from lossforge.training.hypergradient.unroll import Point, Step, pull_back_through
from lossforge.training.network import channels_last
from lossforge.training.optimizers import SGD

Order = Literal["second", "recompute", "first"]
"""second: exact, all inner steps in memory; recompute: exact, in the memory of one step; first:
inner gradients are taken as constant"""

HEAD = ("head.weight", "head.bias")


@final
@dataclass(frozen=True)
class Components:
    """Which parts are meta-learned besides the initialization.

    Attributes:
        warp: warp layers as preconditioner.
        film: modulation of warp layers and of the loss's terms by the task.
        rates: a step size for each weight, itself learned (Meta-SGD, Li et al. 2017).
        inductive: the loss's term of predictions with targets.
        transductive: the loss's term of predictions without targets.
        penalty: the loss's term of weights.
    """

    warp: bool = True
    film: bool = True
    rates: bool = False
    inductive: bool = True
    transductive: bool = True
    penalty: bool = True


@final
class Learner(nn.Module):
    """Everything that tasks share.

    Args:
        encoder: with its warp layers.
        features: that it gives.
        kind: of the tasks.
        ways: outputs N.
        parts: what is meta-learned.
        optimizer: of the inner loop.
        inner_steps: of it.
        unlabelled: query rows that the transductive term sees; 0 for all.
        similarity: of query rows to prototypes, for the same term: cosine or distance.
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        kind: Kind,
        ways: int,
        parts: Components,
        optimizer: SGD,
        inner_steps: int,
        unlabelled: int = 0,
        similarity: Similarity = "cosine",
    ):
        super().__init__()
        self.encoder, self.kind, self.ways = encoder, kind, ways
        self._unlabelled = unlabelled
        self.optimizer, self.inner_steps = optimizer, inner_steps
        # One vector for all ways: no task can depend on which class has which label.
        self.head = nn.Parameter(torch.randn(features) / features**0.5)
        self.head_bias = nn.Parameter(torch.zeros(()))
        self.adapted = tuple(_adapted_names(encoder))
        self.loss = InnerLoss(
            kind,
            ways,
            tuple(n for n in (*self.adapted, HEAD[0]) if self._weight(n).dim() > 1 or n == HEAD[0]),
            inductive=parts.inductive,
            transductive=parts.transductive and kind.predicts_probabilities,
            penalty=parts.penalty,
            film=parts.film,
            similarity=similarity,
        )
        self.rates = nn.ParameterList(self._first_rates() if parts.rates else [])

    def _weight(self, name: str) -> Tensor:
        return self.head if name in HEAD else self.encoder.get_parameter(name)

    def _first_rates(self) -> list[Tensor]:
        """Return the step size of each weight; all ways share those of the head, as its weights."""
        weights = [*(self._weight(name) for name in self.adapted), self.head, self.head_bias]
        return [torch.full_like(theta, self.optimizer.learning_rate) for theta in weights]

    def begin(self) -> Point:
        """Return the weights that a task begins from, connected to what is meta-learned."""
        own = [self.encoder.get_parameter(name) for name in self.adapted]
        head = [self.head.expand(self.ways, -1).clone(), self.head_bias.expand(self.ways).clone()]
        weights = [*own, *head]
        return Point(weights, self.optimizer.init(weights))

    def embed(self, weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """Return features [B, F] under adapted weights."""
        fast = dict(zip(self.adapted, weights, strict=False))
        arranged = inputs if is_plain(inputs) else channels_last(inputs)
        features: Tensor = functional_call(self.encoder, fast, (arranged,))
        return features

    def outputs(self, weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """Return outputs [B, N] under adapted weights."""
        return F.linear(self.embed(weights, inputs), *weights[-2:])

    def inner_loss(self, weights: Sequence[Tensor], episode: Episode) -> Tensor:
        """Return M; the query targets are never looked at."""
        embedded = self.embed(weights, episode.support)
        support = F.linear(embedded, *weights[-2:])
        query = similarities = None
        if self.loss.prototypes is not None:
            features = self.embed(weights, self._some(episode.query))
            query = F.linear(features, *weights[-2:])
            similarities = self.loss.prototypes(
                features, embedded, episode.support_targets, self.ways
            )
        named = dict(zip((*self.adapted, *HEAD), weights, strict=True))
        value: Tensor = self.loss(support, episode.support_targets, query, similarities, named)
        return value

    def _some(self, query: Tensor) -> Tensor:
        """Return rows chosen without regard to where they stand: rows are sorted by class."""
        if not 0 < self._unlabelled < len(query):
            return query
        order = torch.randperm(len(query), generator=torch.Generator().manual_seed(0))
        return query[order[: self._unlabelled].to(query.device)]

    def step(self, point: Point, episode: Episode, *, build: bool) -> Point:
        """Take one inner step; differentiable with `build`."""
        value = self.inner_loss(point.parameters, episode)
        gradients = torch.autograd.grad(value, point.parameters, create_graph=build)
        return self._moved(point, gradients)

    def _moved(self, point: Point, gradients: Sequence[Tensor]) -> Point:
        if not len(self.rates):
            return Point(*self.optimizer.step(point.parameters, list(gradients), point.state))
        # A step is linear in gradient and decay, and rates do not change within a task: a rate on
        # both before the momentum is the same as a rate on the step.
        decay = self.optimizer.weight_decay
        rated = [
            rate * g.add(theta, alpha=decay)
            for rate, g, theta in zip(self.rates, gradients, point.parameters, strict=True)
        ]
        unit = replace(self.optimizer, learning_rate=1.0, weight_decay=0.0)
        return Point(*unit.step(point.parameters, rated, point.state))

    def adapt(self, episode: Episode, order: Order = "first") -> Point:
        """Return where a task's inner loop ends, connected to where it began."""
        point = self.begin()
        for _ in range(self.inner_steps):
            point = self.step(point, episode, build=order != "first")
        return point

    def predict(self, episode: Episode) -> Tensor:
        """Return outputs on the query inputs after adaptation, [Q, N], detached."""
        with torch.enable_grad():
            weights = self.adapt(episode).parameters
        with torch.no_grad():
            return self.outputs(weights, episode.query)

    def query_loss(self, weights: Sequence[Tensor], episode: Episode) -> Tensor:
        """Return the outer loss: the usual one on the query set."""
        outputs = self.outputs(weights, episode.query)
        return task_loss(outputs, episode.query_targets, self.kind).mean()

    def accumulate(self, episode: Episode, order: Order, share: float) -> float:
        """Add the meta-gradient of one task, times `share`, to `grad`; return the outer loss."""
        if order == "recompute":
            return self._accumulate_again(episode, share)
        value = self.query_loss(self.adapt(episode, order).parameters, episode)
        (share * value).backward()
        return float(value.detach())

    def accumulate_stacked(self, episodes: Sequence[Episode], order: Order) -> float:
        """Do what `accumulate` does for the mean over several tasks, all in one pass.

        Weights gain a first dimension, one entry a task, and all steps stay in memory.
        """
        parts = [[getattr(e, item.name) for e in episodes] for item in fields(Episode)]
        outer = vmap(partial(self._outer_loss, order), randomness="different")
        value: Tensor = outer(*map(torch.stack, parts)).mean()
        value.backward()
        return float(value.detach())

    def _outer_loss(self, order: Order, *parts: Tensor) -> Tensor:
        episode, point = Episode(*parts), self.begin()
        slopes = grad(self.inner_loss)
        for _ in range(self.inner_steps):
            gradients = slopes(point.parameters, episode)
            if order == "first":
                gradients = [g.detach() for g in gradients]
            point = self._moved(point, gradients)
        return self.query_loss(point.parameters, episode)

    def _accumulate_again(self, episode: Episode, share: float) -> float:
        """Run every step twice, and keep the graph of one at a time."""
        points = [self.begin().leaf()]
        for _ in range(self.inner_steps):
            points.append(self.step(points[-1], episode, build=False).leaf())
        last = points.pop()
        shared = [theta for theta in self.parameters() if theta.requires_grad]
        value = self.query_loss(last.parameters, episode)
        found = torch.autograd.grad(
            share * value, [*last.tensors(), *shared], materialize_grads=True
        )
        adjoint, direct = list(found[: -len(shared)]), found[-len(shared) :]
        steps: list[Step] = [self._repeated(episode)] * len(points)
        adjoint, inner = pull_back_through(steps, points, adjoint, shared)
        begin = self.begin().parameters
        first = torch.autograd.grad(begin, shared, adjoint[: len(begin)], materialize_grads=True)
        for theta, *parts in zip(shared, direct, inner, first, strict=True):
            total = sum(parts[1:], start=parts[0])
            theta.grad = total if theta.grad is None else theta.grad + total
        return float(value.detach())

    def _repeated(self, episode: Episode) -> Step:
        return lambda point, build: self.step(point, episode, build=build)


def _adapted_names(encoder: nn.Module) -> list[str]:
    """Return the weights that a task changes: those of its layers, but not of warps and norms."""
    names = []
    for path, module in encoder.named_modules():
        inside = any(
            isinstance(encoder.get_submodule(path.rsplit(".", depth)[0]), Warp | FiLM)
            for depth in range(1, path.count(".") + 1)
        )
        if isinstance(module, nn.Conv2d | nn.Linear) and not inside:
            names += [f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)]
    return names
