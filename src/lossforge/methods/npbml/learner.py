"""What gradient-based methods meta-learn, and the inner loop of one task.

Source: thesis, ch. 7. A task's inner loop, and what is meta-learned by its outer loss:

    θ ← θ0                                                        `begin`
    repeat inner_steps times:                                     `inner_loop`
        L ← M_φ(support, query inputs, θ; FiLM ψ of the task)     `inner_loss`, `loss.py`
        θ ← θ - rate · P_ω ∇θ L                                   `step`; ω: warps, `networks.py`
    outer loss ← cross-entropy of the query set under θ           `query_loss`
    θ0, φ, ψ, ω ← Adam(∇ outer loss, averaged over tasks)         `course.py`

All but the adapted θ is shared by tasks. MAML and its descendants are the same loop with parts
switched off, or with another rule for the step (`inner_rule.py`) or another loss (`metal.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from lossforge.methods.npbml.base import EpisodicLearner, Order
from lossforge.methods.npbml.film import FiLM
from lossforge.methods.npbml.inner_rule import InnerRule
from lossforge.methods.npbml.loss import InnerLoss, class_means, task_loss
from lossforge.methods.npbml.maml_plus_plus import step_weights
from lossforge.methods.npbml.metal import TaskAdaptiveLoss
from lossforge.methods.npbml.networks import Warp
from lossforge.methods.npbml.norm import is_plain
from lossforge.methods.npbml.task_encoder import RelationNetwork
from lossforge.tasks.episodes import Episode
from lossforge.tasks.kinds import Kind
from lossforge.training.hypergradient.unroll import Point, Step, pull_back_through
from lossforge.training.network import channels_last
from lossforge.training.optimizers import SGD
from lossforge.validation import require

HEAD = ("head.weight", "head.bias")

HeadInit = Literal["shared", "prototypes"]
"""what the ways of a head begin from: one meta-learned vector, or their prototypes"""


class Head(nn.Module, ABC):
    """The last layer as a task finds it.

    Attributes:
        ways: outputs N.
        sees_support: whether it begins from the features of the support set.
    """

    ways: int
    sees_support: bool

    @abstractmethod
    def begin(self, features: Tensor | None, labels: Tensor) -> list[Tensor]:
        """Return weight [N, F] and bias [N], connected to what is meta-learned.

        Args:
            features: of the support rows, [B, F]; None for a head that does not see them.
            labels: of the support rows, [B].
        """


@final
class VectorHead(Head):
    """A head that is meta-learned as it is.

    Args:
        features: that it sees.
        ways: outputs N.
        shared: whether all ways begin from one vector, so that no task can depend on which class
            has which label. A head that does not adapt must tell its ways apart from the start.
    """

    def __init__(self, features: int, ways: int, *, shared: bool):
        super().__init__()
        shape = (features,) if shared else (ways, features)
        self.ways, self.sees_support = ways, False
        self.weight = nn.Parameter(torch.randn(shape) / features**0.5)
        self.bias = nn.Parameter(torch.zeros(() if shared else ways))

    def begin(self, features: Tensor | None, labels: Tensor) -> list[Tensor]:
        """Return weight [N, F] and bias [N], connected to what is meta-learned."""
        weight = self.weight.expand(self.ways, -1) if self.weight.dim() == 1 else self.weight
        return [weight.clone(), self.bias.expand(self.ways).clone()]


@final
class PrototypeHead(Head):
    """A head that begins as a prototypical network: outputs are minus squared distances.

    Source: Triantafillou et al., "Meta-Dataset" (ICLR 2020, arXiv 1903.03096), its Proto-MAML.

        (1)  c_k = mean of the features of class k in the support set
        (2)  weight_k = 2·s·c_k,  bias_k = -s·‖c_k‖²

    so that outputs are -s·‖x - c_k‖², up to what all classes share. The scale s is meta-learned and
    begins at 1, as in the paper.

    Args:
        ways: outputs N.
    """

    def __init__(self, ways: int):
        super().__init__()
        self.ways, self.sees_support = ways, True
        self.log_scale = nn.Parameter(torch.zeros(()))

    def begin(self, features: Tensor | None, labels: Tensor) -> list[Tensor]:
        """Return weight [N, F] and bias [N], connected to what is meta-learned."""
        assert features is not None
        prototypes = class_means(features, labels, self.ways)  # Eq. (1)
        scale = self.log_scale.exp()
        return [2 * scale * prototypes, -scale * prototypes.square().sum(1)]  # Eq. (2)


@final
@dataclass(frozen=True)
class Adapted:
    """Which weights adapt to a task.

    Attributes:
        body: names of the encoder's.
        head: whether the head's do.
    """

    body: tuple[str, ...]
    head: bool

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in the order of a point's parameters."""
        return (*self.body, *(HEAD if self.head else ()))


@final
class Learner(EpisodicLearner):
    """Everything that tasks share; made by `make_learner`.

    Args:
        encoder: with its warp layers.
        head: the last layer.
        kind: of the tasks.
        adapted: which weights adapt to a task.
        loss: of the inner loop.
        rule: how an inner step moves the weights.
        optimizer: of the inner loop.
        inner_steps: of it.
        unlabelled: query rows that a loss of query inputs sees; 0 for all.
        every_step: whether the outer loss is that of all inner steps at first (MAML++).
        task_encoder: gives the vector that FiLM sees; None where FiLM sees mean rows.
    """

    def __init__(
        self,
        encoder: nn.Module,
        head: Head,
        kind: Kind,
        adapted: Adapted,
        loss: InnerLoss | TaskAdaptiveLoss,
        rule: InnerRule,
        optimizer: SGD,
        inner_steps: int,
        *,
        unlabelled: int = 0,
        every_step: bool = False,
        task_encoder: RelationNetwork | None = None,
    ):
        super().__init__(encoder)
        self.head, self.kind, self.ways, self.adapted = head, kind, head.ways, adapted
        self.loss, self.rule, self.task_encoder = loss, rule, task_encoder
        self.optimizer, self.inner_steps = optimizer, inner_steps
        self._unlabelled, self._every_step = unlabelled, every_step

    @property
    def fixed_ways(self) -> int:
        """How many classes or values every task has."""
        return self.ways

    def begin(self, episode: Episode) -> Point:
        """Return the weights that a task begins from, connected to what is meta-learned.

        Args:
            episode: the task; its query targets are never looked at.
        """
        weights = self._begin_body()
        if self.task_encoder is not None or self.head.sees_support:
            # Inner gradients must not reach what the same parameters give beforehand: the task's
            # vector and the first head.
            weights = [weight.clone() for weight in weights]
        if self.adapted.head:
            weights += self._begin_head(episode)
        return Point(weights, self.optimizer.init(weights))

    def _begin_body(self) -> list[Tensor]:
        return [self.encoder.get_parameter(name) for name in self.adapted.body]

    def _begin_head(self, episode: Episode) -> list[Tensor]:
        features = None
        if self.head.sees_support:
            features = self.embed(self._begin_body(), episode.support, self.task_of(episode))
        return self.head.begin(features, episode.support_targets)

    def embed(
        self, weights: Sequence[Tensor], inputs: Tensor, task: Tensor | None = None
    ) -> Tensor:
        """Return features [B, F] under adapted weights, and of a task's vector for FiLM."""
        fast = dict(zip(self.adapted.body, weights, strict=False)) | _told(self.encoder, task)
        arranged = inputs if is_plain(inputs) else channels_last(inputs)
        features: Tensor = functional_call(self.encoder, fast, (arranged,))
        return features

    def outputs(
        self, weights: Sequence[Tensor], inputs: Tensor, task: Tensor | None = None
    ) -> Tensor:
        """Return outputs [B, N] under adapted weights."""
        return F.linear(self.embed(weights, inputs, task), *self._head_of(weights))

    def _head_of(self, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        if self.adapted.head:
            return weights[-2:]
        # A head that does not adapt sees no support set.
        return self.head.begin(None, torch.arange(self.ways))

    def task_of(self, episode: Episode) -> Tensor | None:
        """Return the vector of a task for FiLM, from its support set and the first weights."""
        if self.task_encoder is None:
            return None
        features = self.embed(self._begin_body(), episode.support)
        found: Tensor = self.task_encoder(features, episode.support_targets)
        return found

    def inner_loss(self, weights: Sequence[Tensor], episode: Episode, index: int = 0) -> Tensor:
        """Return M in an inner step; the query targets are never looked at."""
        task, head = self.task_of(episode), self._head_of(weights)
        embedded = self.embed(weights, episode.support, task)
        support = F.linear(embedded, *head)
        query = similarities = None
        if self.loss.needs_query:
            features = self.embed(weights, self._some(episode.query), task)
            query = F.linear(features, *head)
            if self.loss.prototypes is not None:
                similarities = self.loss.prototypes(
                    features, embedded, episode.support_targets, self.ways
                )
        named = dict(zip(self.adapted.names, weights, strict=True))
        seen = (support, episode.support_targets, query, similarities, named, index)
        value: Tensor = functional_call(self.loss, _told(self.loss, task), seen)
        return value

    def _some(self, query: Tensor) -> Tensor:
        """Return rows chosen without regard to where they stand: rows are sorted by class."""
        if not 0 < self._unlabelled < len(query):
            return query
        order = torch.randperm(len(query), generator=torch.Generator().manual_seed(0))
        return query[order[: self._unlabelled].to(query.device)]

    def step(self, point: Point, episode: Episode, index: int, *, build: bool) -> Point:
        """Take one inner step; differentiable with `build`."""
        value = self.inner_loss(point.parameters, episode, index)
        gradients = torch.autograd.grad(value, point.parameters, create_graph=build)
        moved: Point = self.rule(point, gradients, index, self.optimizer)
        return moved

    def path(self, episode: Episode, order: Order = "first") -> list[Point]:
        """Return where a task's inner loop begins and where each of its steps ends."""
        points = [self.begin(episode)]
        for index in range(self.inner_steps):
            points.append(self.step(points[-1], episode, index, build=order != "first"))
        return points

    def inner_loop(self, episode: Episode, order: Order = "first") -> Point:
        """Return where a task's inner loop ends, connected to where it began."""
        return self.path(episode, order)[-1]

    def predict(self, episode: Episode) -> Tensor:
        """Return outputs on the query inputs after adaptation, [Q, N], detached."""
        with torch.enable_grad():
            weights = self.inner_loop(episode).parameters
        with torch.no_grad():
            return self.outputs(weights, episode.query, self.task_of(episode))

    def query_loss(self, weights: Sequence[Tensor], episode: Episode) -> Tensor:
        """Return the usual loss on the query set."""
        outputs = self.outputs(weights, episode.query, self.task_of(episode))
        return task_loss(outputs, episode.query_targets, self.kind).mean()

    def outer_loss(
        self, points: Sequence[Point], episode: Episode, progress: float = 1.0
    ) -> Tensor:
        """Return what meta-learning lowers, for the points that a task's inner loop passes."""
        pairs = zip(points, self._shares(progress), strict=True)
        losses = [share * self.query_loss(p.parameters, episode) for p, share in pairs if share]
        return torch.stack(losses).sum()

    def _shares(self, progress: float) -> list[float]:
        """Return the weight of each point's query loss in the outer loss."""
        if not self.inner_steps:
            return [1.0]
        return [0.0, *step_weights(self.inner_steps, progress if self._every_step else 1.0)]

    def accumulate(
        self, episode: Episode, order: Order, share: float, progress: float = 1.0
    ) -> float:
        """Add the meta-gradient of one task, times `share`, to `grad`; return the outer loss."""
        if order == "recompute":
            return self._accumulate_again(episode, share, progress)
        value = self.outer_loss(self.path(episode, order), episode, progress)
        (share * value).backward()
        return float(value.detach())

    def accumulate_stacked(
        self, episodes: Sequence[Episode], order: Order, progress: float = 1.0
    ) -> float:
        """Do what `accumulate` does for the mean over several tasks, all in one pass.

        Weights gain a first dimension, one entry a task, and all steps stay in memory.
        """
        parts = [[getattr(e, item.name) for e in episodes] for item in fields(Episode)]
        outer = vmap(partial(self._outer_loss, order, progress), randomness="different")
        value: Tensor = outer(*map(torch.stack, parts)).mean()
        value.backward()
        return float(value.detach())

    def _outer_loss(self, order: Order, progress: float, *parts: Tensor) -> Tensor:
        episode = Episode(*parts)
        points = [self.begin(episode)]
        slopes = grad(self.inner_loss)
        for index in range(self.inner_steps):
            gradients = slopes(points[-1].parameters, episode, index)
            if order == "first":
                gradients = [g.detach() for g in gradients]
            points.append(self.rule(points[-1], gradients, index, self.optimizer))
        return self.outer_loss(points, episode, progress)

    def _accumulate_again(self, episode: Episode, share: float, progress: float) -> float:
        """Run every step twice, and keep the graph of one at a time."""
        points = [self.begin(episode).leaf()]
        for index in range(self.inner_steps):
            points.append(self.step(points[-1], episode, index, build=False).leaf())
        shared = [theta for theta in self.parameters() if theta.requires_grad]
        totals, total = [torch.zeros_like(theta) for theta in shared], 0.0
        adjoint = [torch.zeros_like(tensor) for tensor in points[-1].tensors()]
        shares = self._shares(progress)
        for index in reversed(range(len(points))):
            point, found = points[index], []
            if shares[index]:
                value = shares[index] * self.query_loss(point.parameters, episode)
                found = list(
                    torch.autograd.grad(
                        share * value, [*point.tensors(), *shared], materialize_grads=True
                    )
                )
                total += float(value.detach())
                adjoint = [a + g for a, g in zip(adjoint, found, strict=False)]
                totals = _added(totals, found[len(adjoint) :])
            if index:
                before = points[index - 1]
                steps = [self._repeated(episode, index - 1)]
                adjoint, inner = pull_back_through(steps, [before], adjoint, shared)
                totals = _added(totals, inner)
        begin = self.begin(episode).parameters
        first = torch.autograd.grad(begin, shared, adjoint[: len(begin)], materialize_grads=True)
        for theta, g in zip(shared, _added(totals, first), strict=True):
            theta.grad = g if theta.grad is None else theta.grad + g
        return total

    def _repeated(self, episode: Episode, index: int) -> Step:
        return lambda point, build: self.step(point, episode, index, build=build)


def _added(ones: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    return [one + other for one, other in zip(ones, others, strict=True)]


def _told(module: nn.Module, task: Tensor | None) -> dict[str, Tensor]:
    """Return a task's vector under the name of each FiLM's buffer."""
    if task is None:
        return {}
    return {f"{name}.task": task for name, each in module.named_modules() if isinstance(each, FiLM)}


def adapted_names(encoder: nn.Module, blocks: Sequence[int] = ()) -> tuple[str, ...]:
    """Return the weights that a task changes: those of its layers, but not of warps and norms.

    Args:
        encoder: a network of few-shot learning.
        blocks: of it that adapt, counted from 1; empty for all.

    Raises:
        ConfigurationError: there is no such block.
    """
    names = list[str]()
    for path, module in encoder.named_modules():
        inside = any(
            isinstance(encoder.get_submodule(path.rsplit(".", depth)[0]), Warp | FiLM)
            for depth in range(1, path.count(".") + 1)
        )
        if isinstance(module, nn.Conv2d | nn.Linear) and not inside:
            names += [f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)]
    if not blocks:
        return tuple(names)
    found = list(dict.fromkeys(name.split(".")[0] for name in names))
    for block in blocks:
        require(
            1 <= block <= len(found),
            f"adapt_blocks names block {block}, but the network has blocks 1 to {len(found)}",
        )
    chosen = {found[block - 1] for block in blocks}
    return tuple(name for name in names if name.split(".")[0] in chosen)
