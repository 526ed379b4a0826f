"""What is known of a loss that ships with the package: its card."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self, TypeVar, final

from lossforge.errors import FileFormatError, LossforgeError
from lossforge.files import plain
from lossforge.tasks.kinds import as_kind
from lossforge.validation import require, require_in_range, require_whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound="DataclassInstance")

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

SIGNIFICANT = 0.05
"""of the p-value below which a check tells two losses apart; it is not corrected for the number of
checks, which the card says"""

LEAST_CHECKS = 2
"""tasks other than its own on which a loss was held against the best handcrafted one"""


@final
@dataclass(frozen=True)
class Origin:
    """The search that found a loss, and what its closing comparison says on test rows.

    Attributes:
        method: of the search.
        task: that it searched on.
        model: network that it trained.
        seed: of the search.
        command: that repeats it.
        version: of lossforge.
        metric: of the task; lower is better.
        rate: learning rate that validation rows chose for the loss.
        test: mean over the closing comparison's networks at that rate.
        rival: handcrafted loss that is best on validation rows.
        rival_rate: learning rate that they chose for it.
        rival_test: its mean.
    """

    method: str
    task: str
    model: str
    seed: int
    command: str
    version: str
    metric: str
    rate: float
    test: float
    rival: str
    rival_rate: float
    rival_test: float | None

    def __post_init__(self) -> None:
        _require_texts(self, "method", "task", "model", "command", "version", "metric", "rival")
        require_whole("seed", self.seed, 0)
        _require_positive(self, "rate", "rival_rate")
        _require_metrics(self, "test", "rival_test")


@final
@dataclass(frozen=True)
class Check:
    """A loss and the best handcrafted one on one task, each at its best learning rate.

    A metric is None where a network diverged.

    Attributes:
        task: that networks were trained on.
        model: network that was trained.
        metric: of the task; lower is better.
        steps: of each training.
        seeds: networks trained under each loss at its best rate, in pairs.
        rate: learning rate that validation rows chose for the loss.
        test: mean over the seeds.
        deviation: over the seeds.
        rival: handcrafted loss that is best on validation rows.
        rival_rate: learning rate that they chose for it.
        rival_test: its mean.
        rival_deviation: over the seeds.
        difference: mean over the pairs; below zero, the loss is better.
        p: of Wilcoxon's signed-rank test, not corrected; None where it is not applicable.
    """

    task: str
    model: str
    metric: str
    steps: int
    seeds: int
    rate: float
    test: float | None
    deviation: float | None
    rival: str
    rival_rate: float
    rival_test: float | None
    rival_deviation: float | None
    difference: float | None
    p: float | None

    def __post_init__(self) -> None:
        _require_texts(self, "task", "model", "metric", "rival")
        require_whole("steps", self.steps, 1)
        require_whole("seeds", self.seeds, 2)
        _require_positive(self, "rate", "rival_rate")
        _require_metrics(self, "test", "deviation", "rival_test", "rival_deviation")
        if self.difference is not None:
            require_in_range("difference", self.difference)
        if self.p is not None:
            require_in_range("p", self.p, 0, 1)

    @property
    def verdict(self) -> str:
        """What the check shows: "better", "worse", "diverged", or "no difference"."""
        if self.test is None:
            return "diverged"
        if self.p is None or self.p >= SIGNIFICANT:
            return "no difference"
        # Where a network diverged under the rival alone, there is no mean difference.
        return "better" if self.difference is None or self.difference < 0 else "worse"


@final
@dataclass(frozen=True)
class Card:
    """A loss of the zoo: where it comes from, where it helps and where it does not.

    Attributes:
        name: in the zoo.
        kind: of the tasks that it serves.
        formula: as it prints.
        origin: the search that found it.
        checks: on other tasks, and on its own task with other seeds.
        check_command: that repeats them, with FILE for the loss.
        rate_factor: the force at the start of training, over the default loss's.
        classes: outputs that `explain` evaluated it on.
        findings: what `explain` says, as labels and sentences.
        warnings: of `explain`.
        license: of the loss.

    Raises:
        ConfigurationError: a field is not what its name says, or fewer than two checks are on
            tasks other than that of the search.
    """

    name: str
    kind: str
    formula: str
    origin: Origin
    checks: tuple[Check, ...]
    check_command: str
    rate_factor: float
    classes: int
    findings: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    license: str = "MIT"

    def __post_init__(self) -> None:
        require(
            isinstance(self.name, str) and bool(NAME.fullmatch(self.name)),
            f"name must be lower-case words and numbers joined by hyphens, not {self.name!r}",
        )
        tasks = {check.task for check in self.checks} - {self.origin.task}
        require(
            len(tasks) >= LEAST_CHECKS,
            f"{self.name} needs checks on {LEAST_CHECKS} tasks besides {self.origin.task}, not "
            f"{len(tasks)}",
        )
        as_kind(self.kind)
        _require_texts(self, "formula", "check_command", "license")
        require_in_range("rate_factor", self.rate_factor)
        require_whole("classes", self.classes, 1)

    @property
    def about(self) -> str:
        """One line: where the loss is from, and how it fares on other tasks."""
        verdicts = [check.verdict for check in self.elsewhere]
        told = [
            f"{word} on {verdicts.count(word)}"
            for word in ("better", "no difference", "worse", "diverged")
            if word in verdicts
        ]
        return (
            f"{self.kind}: found on {self.origin.task} by {self.origin.method}; against the best "
            f"handcrafted loss on {len(verdicts)} other tasks: {', '.join(told)}"
        )

    @property
    def elsewhere(self) -> tuple[Check, ...]:
        """The checks on tasks that the loss was not found on."""
        return tuple(check for check in self.checks if check.task != self.origin.task)

    def where(self, verdict: str) -> tuple[str, ...]:
        """Return the tasks whose check has a verdict."""
        return tuple(check.task for check in self.checks if check.verdict == verdict)

    def document(self) -> dict[str, Any]:
        """Return the card as plain data."""
        document: dict[str, Any] = plain(asdict(self))
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any], source: str) -> Self:
        """Return the card whose `document` was written; `source` names it in errors.

        Raises:
            FileFormatError: the content is no card.
        """
        try:
            content = dict(document)
            return cls(
                **{
                    **_known(cls, content),
                    "origin": Origin(**_known(Origin, content["origin"])),
                    "checks": tuple(Check(**_known(Check, each)) for each in content["checks"]),
                    "findings": tuple((str(a), str(b)) for a, b in content["findings"]),
                    "warnings": tuple(map(str, content.get("warnings", ()))),
                }
            )
        except (LossforgeError, TypeError, KeyError, ValueError) as error:
            reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise FileFormatError(f"{source} is no card of a loss: {reason}") from None

    def __str__(self) -> str:
        return f"{self.name}: {self.about}"


def _known(part: type[Part], content: Mapping[str, Any]) -> Mapping[str, Any]:
    names = {item.name for item in fields(part)}
    if unknown := sorted(set(content) - names):
        raise ValueError(f"unknown field {unknown[0]!r}")
    return content


def _require_texts(part: object, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        require(isinstance(value, str) and value != "", f"{name} must be a text, not {value!r}")


def _require_positive(part: object, *names: str) -> None:
    for name in names:
        require_in_range(name, getattr(part, name), 0, exclude_low=True)


def _require_metrics(part: object, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if value is not None:
            require_in_range(name, value, 0)
