"""Networks of one form trained side by side: same start, same batches, each under its own loss.

Two strategies give the same numbers up to rounding. Stacked: weights gain a first dimension and all
networks run as one, which pays on a GPU and, on a CPU, for small dense networks. Separate: one
network after the other, which keeps a large network's weights in the cache.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never, final

import torch
from torch import Tensor, nn
from torch.func import vmap

from lossforge.losses.population import LossPopulation
from lossforge.randomness import PrivateStream
from lossforge.tasks import Batches, Split
from lossforge.tasks.metrics import Metric
from lossforge.training.network import Buffers, Network
from lossforge.training.optimizers import Optimizer, Tensors

Stacking = Literal["auto", "stacked", "separate"]

EVALUATION_ROWS = 1024
"""rows that are evaluated at once"""

CHECK_EVERY = 25
"""steps after which a network that diverged is given up; looking costs a transfer from a GPU"""


@final
@dataclass(frozen=True)
class EnsembleConfig:
    """What the networks of an ensemble share.

    Attributes:
        network: their form.
        parameters: from which all start.
        optimizer: of the parameters.
        batches: makes the stream of training batches; each call gives the same stream from its
            beginning.
        seed: of what the network draws itself, such as dropout masks.
    """

    network: Network
    parameters: Tensors
    optimizer: Optimizer
    batches: Callable[[], Batches]
    seed: int


class Ensemble(ABC):
    """P networks in training."""

    @abstractmethod
    def __len__(self) -> int:
        """Return P."""

    @abstractmethod
    def advance(self, steps: int) -> None:
        """Train every network for that many steps; one that diverged is left as it is."""

    @abstractmethod
    def score(self, split: Split, metric: Metric) -> list[float]:
        """Return each network's cost by a metric on a split; infinity for one that diverged."""

    @abstractmethod
    def predict(self, split: Split) -> Tensor:
        """Return each network's outputs on a split, [P, N, C]."""

    @abstractmethod
    def failures(self) -> list[str | None]:
        """Return why and when each network diverged, None where it did not."""

    @abstractmethod
    def keep(self, indices: Sequence[int]) -> None:
        """Go on with the networks at `indices` alone."""


def make_ensemble(
    setup: EnsembleConfig, losses: LossPopulation, stacking: Stacking = "auto"
) -> Ensemble:
    """Begin to train one network under each loss of a population.

    Examples:
        >>> from lossforge.losses import CrossEntropy, Focal, ModulePopulation
        >>> from lossforge.randomness import torch_generator
        >>> from lossforge.tasks import load
        >>> from lossforge.training import SGD
        >>> task = load("iris")
        >>> network = Network(nn.Linear(4, 3))
        >>> stream = lambda: Batches(task.train, 32, torch_generator(0, "batches"))
        >>> setup = EnsembleConfig(network, network.parameters(), SGD(0.1), stream, seed=0)
        >>> ensemble = make_ensemble(setup, ModulePopulation([CrossEntropy(), Focal()]))
        >>> ensemble.advance(50)
        >>> max(ensemble.score(task.valid, task.measure)) < 0.5
        True
    """
    match stacking:
        case "auto":
            return make_ensemble(setup, losses, choose_stacking(setup))
        case "stacked":
            return StackedEnsemble(setup, losses)
        case "separate":
            return SeparateEnsemble(setup, losses)
    assert_never(stacking)


STACKED_LIMIT = 150_000
"""parameters up to which stacking dense networks was faster on a CPU; see benchmarks/stacking.py"""


def choose_stacking(setup: EnsembleConfig) -> Literal["stacked", "separate"]:
    """Return the strategy that was measured to be faster for a network on its device."""
    if any(True for _ in setup.network.module.buffers()):
        return "separate"
    if setup.parameters[0].device.type != "cpu":
        return "stacked"
    plain = all(
        isinstance(part, (nn.Linear, nn.Flatten)) or not any(True for _ in part.parameters(False))
        for part in setup.network.module.modules()
    )
    size = sum(theta.numel() for theta in setup.parameters)
    return "stacked" if plain and size <= STACKED_LIMIT else "separate"


@final
class StackedEnsemble(Ensemble):
    """Networks whose weights share tensors [P, ...]."""

    def __init__(self, setup: EnsembleConfig, losses: LossPopulation):
        self._setup, self._losses = setup, losses
        count = len(losses)
        self._parameters = [_repeat(theta, count) for theta in setup.parameters]
        self._buffers = {k: _repeat(b, count) for k, b in setup.network.buffers().items()}
        self._state = setup.optimizer.init(self._parameters)
        self._batches = setup.batches()
        self._draws = PrivateStream(setup.seed)
        self._failed_at = torch.zeros(count, dtype=torch.int64, device=self._parameters[0].device)

    def __len__(self) -> int:
        return len(self._losses)

    def advance(self, steps: int) -> None:
        """Train every network for that many steps."""
        with self._draws.active():
            for _ in range(steps):
                self._step(*self._batches.draw())

    def _step(self, inputs: Tensor, targets: Tensor) -> None:
        leaves = [theta.requires_grad_() for theta in self._parameters]
        with torch.enable_grad():
            outputs = self._run(leaves, inputs, train=True)
        slope = self._losses.slope(outputs.detach(), targets)
        gradient = torch.autograd.grad(outputs, leaves, slope, materialize_grads=True)
        with torch.no_grad():
            self._parameters, self._state = self._setup.optimizer.step(
                leaves, list(gradient), self._state
            )
            self._watch(slope)

    def _watch(self, slope: Tensor) -> None:
        """Note the first step at which a network's slope is not finite, without a transfer."""
        broken = ~slope.isfinite().flatten(1).all(-1)
        now = torch.where(broken, self._state.step, 0)
        self._failed_at = torch.where(self._failed_at > 0, self._failed_at, now)

    def _run(self, parameters: Tensors, inputs: Tensor, *, train: bool) -> Tensor:
        network = self._setup.network

        def one(parameters: Tensors, buffers: Buffers) -> Tensor:
            return network(parameters, inputs, buffers, train=train)

        if len(self) > 1:
            outputs = vmap(one, randomness="same")(parameters, self._buffers)
            assert isinstance(outputs, Tensor)
            return outputs
        buffers = {name: buffer.squeeze(0) for name, buffer in self._buffers.items()}
        return one([theta.squeeze(0) for theta in parameters], buffers)[None]

    @torch.no_grad()
    def score(self, split: Split, metric: Metric) -> list[float]:
        """Return each network's cost by a metric on a split; infinity for one that diverged."""
        parts = ((self._run(self._parameters, x, train=False), y) for x, y in _chunks(split))
        return _scores(metric.costs(parts), self._failed_at)

    @torch.no_grad()
    def predict(self, split: Split) -> Tensor:
        """Return each network's outputs on a split, [P, N, C]."""
        parts = [self._run(self._parameters, x, train=False) for x, _ in _chunks(split)]
        return torch.cat(parts, dim=1)

    def failures(self) -> list[str | None]:
        """Return why and when each network diverged, None where it did not."""
        return [_reason(step) for step in self._failed_at.tolist()]

    def keep(self, indices: Sequence[int]) -> None:
        """Go on with the networks at `indices` alone."""
        chosen = torch.tensor(indices, dtype=torch.int64, device=self._failed_at.device)
        self._losses = self._losses.select(indices)
        self._parameters = [theta[chosen] for theta in self._parameters]
        self._buffers = {name: buffer[chosen] for name, buffer in self._buffers.items()}
        slots = tuple([tensor[chosen] for tensor in slot] for slot in self._state.slots)
        self._state = replace(self._state, slots=slots)
        self._failed_at = self._failed_at[chosen]


@final
class SeparateEnsemble(Ensemble):
    """Networks that are trained one after the other."""

    def __init__(self, setup: EnsembleConfig, losses: LossPopulation):
        self._members = [StackedEnsemble(setup, losses.select([i])) for i in range(len(losses))]

    def __len__(self) -> int:
        return len(self._members)

    def advance(self, steps: int) -> None:
        """Train every network that has not diverged for that many steps."""
        for member in self._members:
            for done in range(0, steps, CHECK_EVERY):
                if member.failures() == [None]:
                    member.advance(min(CHECK_EVERY, steps - done))

    def score(self, split: Split, metric: Metric) -> list[float]:
        """Return each network's cost by a metric on a split; infinity for one that diverged."""
        return [score for member in self._members for score in member.score(split, metric)]

    def predict(self, split: Split) -> Tensor:
        """Return each network's outputs on a split, [P, N, C]."""
        return torch.cat([member.predict(split) for member in self._members])

    def failures(self) -> list[str | None]:
        """Return why and when each network diverged, None where it did not."""
        return [failure for member in self._members for failure in member.failures()]

    def keep(self, indices: Sequence[int]) -> None:
        """Go on with the networks at `indices` alone."""
        self._members = [self._members[index] for index in indices]


def _repeat(tensor: Tensor, count: int) -> Tensor:
    if count == 1:
        return tensor.detach().clone()[None]  # keeps the memory layout
    return tensor.detach().expand(count, *tensor.shape).contiguous()


def _chunks(split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(
        split.inputs.split(EVALUATION_ROWS), split.targets.split(EVALUATION_ROWS), strict=True
    )


def _scores(metric: Tensor, failed_at: Tensor) -> list[float]:
    usable = metric.isfinite() & (failed_at == 0)
    return torch.where(usable, metric, math.inf).tolist()


def _reason(step: int) -> str | None:
    return f"diverged: non-finite slope at step {step}" if step else None
