"""Few-shot learning: a pool of classes for each purpose, and episodes drawn from them.

An episode is a small task of its own: some rows to adapt to (the support set) and some to be
judged by (the query set). Classes of meta-training, meta-validation and meta-test are disjoint.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.validation import require_in_range

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


@final
@dataclass(frozen=True)
class Episode:
    """One small task.

    Attributes:
        support: inputs to adapt to, [N·K, ...].
        support_targets: labels from 0 to N-1, or values [N·K, 1].
        query: inputs to be judged by, [N·Q, ...].
        query_targets: their labels or values; for the outer loss and the final accuracy alone.
    """

    support: Tensor
    support_targets: Tensor
    query: Tensor
    query_targets: Tensor


@final
@dataclass(frozen=True)
class EpisodeSpec:
    """How large an episode is.

    Attributes:
        ways: N, classes; 1 for regression.
        shots: K, rows of each class in the support set.
        queries: rows of each class in the query set.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15

    def __post_init__(self) -> None:
        require_in_range("ways", self.ways, 1)
        require_in_range("shots", self.shots, 1)
        require_in_range("queries", self.queries, 1)


class Pool(ABC):
    """Where episodes of one purpose come from.

    Attributes:
        device: where they live.
    """

    device: torch.device

    @abstractmethod
    def draw(self, shape: EpisodeSpec, generator: torch.Generator) -> Episode:
        """Return a fresh episode.

        Args:
            shape: its size.
            generator: of the CPU.
        """

    @abstractmethod
    def to(self, device: torch.device | str) -> "Pool":
        """Return the pool with its episodes on a device."""

    @abstractmethod
    def check(self, name: str, shape: EpisodeSpec) -> None:
        """Raise `DataError` if the pool is too small for episodes of that shape."""


@final
class ClassPool(Pool):
    """Rows by class, on one device; an episode takes some classes and some rows of each.

    Args:
        rows: inputs of each class, [rows, ...].
        names: of the classes.
    """

    def __init__(self, rows: list[Tensor], names: list[str]):
        self.names = names
        self.inputs = torch.cat(rows)
        self.device = self.inputs.device
        self._counts = [len(own) for own in rows]
        self._starts = torch.tensor([0, *self._counts]).cumsum(0)[:-1].tolist()

    def draw(self, shape: EpisodeSpec, generator: torch.Generator) -> Episode:
        """Return an episode with labels dealt out at random to its classes."""
        chosen = torch.randperm(len(self._counts), generator=generator)[: shape.ways].tolist()
        per_class = shape.shots + shape.queries
        rows = torch.stack(
            [
                self._starts[c] + torch.randperm(self._counts[c], generator=generator)[:per_class]
                for c in chosen
            ]
        )
        labels = torch.arange(shape.ways)[:, None].expand(-1, per_class)

        def part(some: slice) -> tuple[Tensor, Tensor]:
            index = rows[:, some].reshape(-1).to(self.device)
            return self.inputs.index_select(0, index), labels[:, some].reshape(-1).to(self.device)

        support, support_labels = part(slice(shape.shots))
        query, query_labels = part(slice(shape.shots, per_class))
        return Episode(support, support_labels, query, query_labels)

    def to(self, device: torch.device | str) -> "ClassPool":
        """Return the pool with its rows on a device."""
        return ClassPool(list(self.inputs.to(device).split(self._counts)), self.names)

    def labels(self) -> Tensor:
        """Return the class of each row, [rows]."""
        counts = torch.tensor(self._counts)
        return torch.arange(len(counts)).repeat_interleave(counts).to(self.inputs.device)

    def check(self, name: str, shape: EpisodeSpec) -> None:
        """Raise `DataError` if classes or rows do not suffice."""
        if len(self._counts) < shape.ways:
            raise DataError(
                f"{name} has {len(self._counts)} classes, fewer than {shape.ways} ways; lower "
                "--ways or add classes"
            )
        needed = shape.shots + shape.queries
        fewest = min(range(len(self._counts)), key=self._counts.__getitem__)
        if self._counts[fewest] < needed:
            raise DataError(
                f"class {self.names[fewest]!r} of {name} has {self._counts[fewest]} rows, fewer "
                f"than {shape.shots} shots and {shape.queries} queries; lower --shots or --queries"
            )


@final
class Sinusoids(Pool):
    """Waves of random amplitude and phase over [-5, 5] (Finn et al. 2017)."""

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)

    def to(self, device: torch.device | str) -> "Sinusoids":
        """Return the pool with its points on a device."""
        return Sinusoids(device)

    def draw(self, shape: EpisodeSpec, generator: torch.Generator) -> Episode:
        """Return points of a wave: K to adapt to, `queries` to be judged by."""
        amplitude = 0.1 + 4.9 * torch.rand(1, generator=generator)
        phase = math.pi * torch.rand(1, generator=generator)
        x = 10 * torch.rand(shape.shots + shape.queries, 1, generator=generator) - 5
        x, y = x.to(self.device), (amplitude * torch.sin(x - phase)).to(self.device)
        return Episode(x[: shape.shots], y[: shape.shots], x[shape.shots :], y[shape.shots :])

    def check(self, name: str, shape: EpisodeSpec) -> None:
        """Any number of points can be drawn; there is one output."""
        if shape.ways != 1:
            raise DataError(f"{name} is regression with one output; pass --ways 1")


@final
@dataclass(frozen=True)
class FewShotTask:
    """A source of episodes for meta-training, meta-validation and meta-test.

    Attributes:
        name: what `load_few_shot` knows it by.
        kind: of its episodes.
        pools: for each purpose.
        input_shape: of one row.
    """

    name: str
    kind: Kind
    pools: Mapping[Part, Pool]
    input_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", as_kind(self.kind))
        named = [set(pool.names) for pool in self.pools.values() if isinstance(pool, ClassPool)]
        shared = set[str]()
        for index, names in enumerate(named):
            for others in named[:index]:
                shared |= names & others
        if shared:
            raise DataError(
                f"{self.name}: class {min(shared)!r} serves two purposes; classes of "
                "meta-training, meta-validation and meta-test must be disjoint"
            )

    def to(self, device: torch.device | str) -> "FewShotTask":
        """Return the same source with its rows on a device."""
        return replace(self, pools={part: pool.to(device) for part, pool in self.pools.items()})

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything that episodes are drawn from, equal on every device."""
        digest = hashlib.sha256(repr((self.name, self.kind.tag, self.input_shape)).encode())
        for part, pool in self.pools.items():
            digest.update(f"{part} {type(pool).__name__}".encode())
            if isinstance(pool, ClassPool):
                digest.update(repr((pool.names, pool.labels().tolist())).encode())
                rows = pool.inputs.cpu().contiguous()
                digest.update(f"{rows.dtype}{tuple(rows.shape)}".encode())
                digest.update(rows.view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @property
    def metric(self) -> str:
        """What an adapted network is judged by."""
        return "accuracy" if self.kind.predicts_probabilities else self.kind.metric

    def check(self, shape: EpisodeSpec) -> None:
        """Raise `DataError` unless episodes of that shape can be drawn for every purpose."""
        if self.kind.predicts_probabilities and shape.ways < 2:
            raise DataError(f"{self.name} is classification; pass --ways 2 or more")
        for part, pool in self.pools.items():
            pool.check(f"{self.name}'s {part} part", shape)
