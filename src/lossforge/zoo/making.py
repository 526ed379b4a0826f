"""Cards from runs: no figure of a card is typed by hand."""

import shlex
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from lossforge.analysis.explanation import explain
from lossforge.errors import RunError
from lossforge.experiments import ComparisonReport, SearchReport, open_run
from lossforge.losses import Loss
from lossforge.losses import load as load_loss
from lossforge.losses.storage import digest
from lossforge.losses.zoo import PREFIX, Card, Check, Origin
from lossforge.methods import State


def make_card(name: str, search: str | Path, comparisons: Sequence[str | Path]) -> Card:
    """Return the card of the loss that a search found, from the runs alone.

    Args:
        name: of the loss in the zoo.
        search: folder of the search.
        comparisons: folders of comparisons of that loss with handcrafted ones, all with
            ``--tune all`` (or ``handcrafted`` and the loss's own rate tuned), on two or more tasks
            that the search did not see.

    Raises:
        RunError: a folder holds no complete run of its kind, or a comparison lacks the loss.
        ConfigurationError: there are too few tasks.
    """
    found = open_run(search)
    if not isinstance(found, SearchReport):
        raise RunError(f"{search} is no search; give the folder of one")
    if len(found.tasks) > 1:
        raise RunError(f"{search} is on several tasks; give the folder of a search on one")
    loss = load_loss(Path(search))
    made = [_Compared(Path(each), loss) for each in comparisons]
    classes = found.result["outputs"] if loss.kind.predicts_probabilities else 1
    told = explain(loss, max(2, classes))
    return Card(
        name=name,
        kind=loss.kind.name,
        formula=str(loss),
        origin=_origin(found),
        checks=tuple(check for each in made for check in each.checks()),
        check_command="; ".join(each.command(f"{PREFIX}{name}") for each in made),
        rate_factor=told.learning_rate_factor,
        classes=classes,
        findings=tuple(line for line in told.lines() if line[0] != "loss"),
        warnings=told.warnings,
    )


def holds(comparison: str | Path, loss: Loss) -> bool:
    """Tell whether a comparison on disk has a loss among those that it compares."""
    digests: State = open_run(comparison).run.config.get("losses", {})
    return digest(loss) in digests.values()


def _origin(found: SearchReport) -> Origin:
    result, config = found.result, found.run.config
    rivals = result.get("rivals", ())
    command = found.command()
    if not rivals or command is None:
        raise RunError(
            f"{found.path} was not compared with handcrafted losses, or was begun from Python with "
            "objects; search by the program, with its calibration"
        )
    rival = min(rivals, key=_valid)
    return Origin(
        method=result["method"],
        task=result["task"],
        model=result["model"],
        seed=result["seed"],
        command=command,
        version=config["version"],
        metric=result["metric"],
        rate=result["tuned"]["rate"],
        test=result["tuned"]["test"],
        rival=rival["name"],
        rival_rate=rival["rate"],
        rival_test=rival["test"],
    )


class _Compared:
    """A comparison that holds a loss against handcrafted ones.

    Args:
        path: its folder.
        loss: found in it by what it is, not by its path.
    """

    def __init__(self, path: Path, loss: Loss):
        found = open_run(path)
        if not isinstance(found, ComparisonReport):
            raise RunError(f"{path} is no comparison; give the folder of one")
        own = digest(loss)
        digests: State = found.run.config.get("losses", {})
        names = [name for name, each in digests.items() if each == own]
        if not names:
            raise RunError(f"{path} does not compare that loss; compare it with --losses FILE ...")
        self.report, self.name, self.learned = found, names[0], set(digests)

    def checks(self) -> list[Check]:
        """Return a check for each task and network."""
        lines = self.report.result["lines"]
        grouped = groupby(lines, key=lambda line: (line["task"], line["model"]))
        return [self._check(list(some)) for _, some in grouped]

    def _check(self, lines: Sequence[State]) -> Check:
        tuned = [line for line in lines if line["tuned"]]
        ours = [line for line in tuned if line["loss"] == self.name]
        rivals = [line for line in tuned if line["loss"] not in self.learned]
        if not ours or not rivals:
            raise RunError(f"{self.report.path} tuned no rates of both; compare with --tune all")
        rival = min(rivals, key=_valid)
        line, against = ours[0], ours[0]["against"]
        return Check(
            task=line["task"],
            model=line["model"],
            metric=self.report.result["metric"],
            steps=self.report.result["steps"],
            seeds=self.report.result["seeds"],
            rate=line["learning_rate"],
            test=line["test"],
            deviation=line["deviation"],
            rival=rival["loss"],
            rival_rate=rival["learning_rate"],
            rival_test=rival["test"],
            rival_deviation=rival["deviation"],
            difference=_mean_gap(line["tests"], rival["tests"]),
            p=against["p_wilcoxon"],
        )

    def command(self, name: str) -> str:
        """Return the command that compares this loss alone with the handcrafted ones."""
        text = self.report.command()
        if text is None:
            raise RunError(f"{self.report.path} was begun with objects; use the program")
        kept: list[str] = []
        for word in shlex.split(text):
            if word == self.name:
                kept.append(name)
            elif word not in self.learned:
                kept.append(word)
        return shlex.join(kept)


def _valid(line: State) -> float:
    value = line["valid"]
    return float("inf") if value is None else float(value)


def _mean_gap(tests: Sequence[Any], others: Sequence[Any]) -> float | None:
    """Return the mean difference of pairs; None where a network diverged."""
    if None in (*tests, *others):
        return None
    return fmean(float(a) - float(b) for a, b in zip(tests, others, strict=True))
