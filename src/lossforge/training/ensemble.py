"""Networks of one form trained side by side: same start, same batches, each under its own loss.

Two strategies give the same numbers up to rounding. Stacked: weights gain a first dimension and all
networks run as one, which pays on a GPU and, on a CPU, for small dense networks. Separate: one
network after the other, which keeps a large network's weights in the cache.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never, final

import torch
from torch import Tensor, nn
from torch.func import vmap

from lossforge.losses.population import LossPopulation
from lossforge.randomness import PrivateStream, RandomState
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


@final
@dataclass(frozen=True)
class EnsembleState:
    """P networks between two steps, on the CPU: training goes on from here in any process.

    Attributes:
        parameters: [P, ...] each.
        buffers: [P, ...] each, by name.
        slots: what the optimizer remembers, [P, ...] each.
        failed_at: the step at which each network diverged, 0 where it did not, [P].
        step: how many steps were made.
        batches: state of the stream of training batches.
        draws: of what the networks draw themselves.
    """

    parameters: Tensors
    buffers: Buffers
    slots: tuple[Tensors, ...]
    failed_at: Tensor
    step: int
    batches: Mapping[str, str | int]
    draws: RandomState

    def __len__(self) -> int:
        return len(self.failed_at)

    @property
    def bytes_each(self) -> int:
        """Memory that each network takes."""
        tensors = [*self.parameters, *self.buffers.values(), *itertools.chain(*self.slots)]
        return sum(tensor.nbytes for tensor in tensors) // len(self)

    def select(self, indices: Sequence[int]) -> "EnsembleState":
        """Return the networks at `indices`."""
        chosen = torch.tensor(indices, dtype=torch.int64)
        return self._with([self], lambda parts: parts[0][chosen])

    @staticmethod
    def joined(states: Sequence["EnsembleState"]) -> "EnsembleState":
        """Return networks that have made the same steps as one ensemble."""
        # A network that diverged may have stopped before the others, whose streams go on.
        longest = max(states, key=lambda state: state.step)
        return longest._with(states, torch.cat)

    def _with(
        self, states: Sequence["EnsembleState"], merge: Callable[[list[Tensor]], Tensor]
    ) -> "EnsembleState":
        """Return this state with other networks: each tensor is made of those of `states`."""

        def merged(lists: Sequence[Tensors]) -> Tensors:
            return [merge(list(parts)) for parts in zip(*lists, strict=True)]

        names = list(self.buffers)
        buffers = merged([[state.buffers[name] for name in names] for state in states])
        return replace(
            self,
            parameters=merged([state.parameters for state in states]),
            buffers=dict(zip(names, buffers, strict=True)),
            slots=tuple(
                merged(list(slots))
                for slots in zip(*(state.slots for state in states), strict=True)
            ),
            failed_at=merge([state.failed_at for state in states]),
        )


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

    @abstractmethod
    def state(self) -> EnsembleState:
        """Return where training stands."""

    @abstractmethod
    def restore(self, state: EnsembleState) -> None:
        """Go on from where `state` was taken, of as many networks of the same form."""


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

    def state(self) -> EnsembleState:
        """Return where training stands."""
        return EnsembleState(
            [_to_cpu(theta) for theta in self._parameters],
            {name: _to_cpu(buffer) for name, buffer in self._buffers.items()},
            tuple([_to_cpu(tensor) for tensor in slot] for slot in self._state.slots),
            _to_cpu(self._failed_at),
            self._state.step,
            self._batches.state(),
            self._draws.state,
        )

    def restore(self, state: EnsembleState) -> None:
        """Go on from where `state` was taken, of as many networks of the same form."""
        assert len(state) == len(self)
        device = self._failed_at.device
        self._parameters = [theta.to(device) for theta in state.parameters]
        self._buffers = {name: buffer.to(device) for name, buffer in state.buffers.items()}
        slots = tuple([tensor.to(device) for tensor in slot] for slot in state.slots)
        self._state = replace(self._state, step=state.step, slots=slots)
        self._failed_at = state.failed_at.to(device)
        self._batches.restore(state.batches)
        self._draws.state = state.draws


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

    def state(self) -> EnsembleState:
        """Return where training stands."""
        return EnsembleState.joined([member.state() for member in self._members])

    def restore(self, state: EnsembleState) -> None:
        """Go on from where `state` was taken, of as many networks of the same form."""
        for i, member in enumerate(self._members):
            member.restore(state.select([i]))


def _to_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu")


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
