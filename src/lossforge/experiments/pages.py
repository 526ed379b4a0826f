"""Pages about runs: `report.html`, written as a run ends or when asked for."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossforge.errors import LossforgeError
from lossforge.experiments.arguments import saved_losses
from lossforge.experiments.tables import Table
from lossforge.files import read_json, write_json
from lossforge.losses import Loss
from lossforge.losses.resolve import resolve_loss
from lossforge.methods import State
from lossforge.report import Facts, write_page
from lossforge.runs import Run
from lossforge.runs.environment import describe_environment

PAGE, ENVIRONMENT = "report.html", "environment.json"

LEARNED = "learned"

log = logging.getLogger("lossforge")


def keep_page(run: Run, tables: Sequence[Table], sentence: str, repeat: str | None) -> None:
    """Write the page of a run that has just ended, and what it was computed with.

    The results are on disk already: whatever goes wrong here is told, and fails nothing.

    Args:
        run: complete.
        tables: its results.
        sentence: what the tests of its experiment say.
        repeat: the command that begins it again, if there is one.
    """
    if run.path is None:
        return
    try:
        device = str(run.config.get("device", "cpu"))
        write_json(run.path / ENVIRONMENT, dict(describe_environment(Path.cwd(), device)))
        write_page(facts_of(run, tables, sentence, repeat), run.path / PAGE)
    except Exception as error:
        log.warning("%s could not be written: %s", run.path / PAGE, error)


def facts_of(run: Run, tables: Sequence[Table], sentence: str, repeat: str | None) -> Facts:
    """Return a complete run as plain data.

    Args:
        run: complete.
        tables: its results.
        sentence: what the tests of its experiment say.
        repeat: the command that begins it again, if there is one.
    """
    assert run.result is not None
    config, path = run.config, run.path
    return Facts(
        config=config,
        result=run.result,
        history=_history(run),
        losses=_losses(run),
        tables=tables,
        sentence=sentence,
        repeat=repeat,
        path=path,
        environment=_environment(path),
    )


def _environment(path: Path | None) -> dict[str, str]:
    if path is None or not (path / ENVIRONMENT).is_file():
        return {}
    return {name: str(value) for name, value in read_json(path / ENVIRONMENT).items()}


def _history(run: Run) -> list[State]:
    """Return a line for each round; those of a folder that was only opened are in its file."""
    import json

    if run.history or run.path is None or not (run.path / "history.jsonl").is_file():
        return run.history
    lines = (run.path / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _losses(run: Run) -> dict[str, Loss]:
    """Return the loss that a run found, or those that it was given and that can be made again."""
    if run.loss is not None:
        return {LEARNED: run.loss}
    config: dict[str, Any] = run.config
    names = config["grid"]["losses"] if "grid" in config else [config.get("loss", "")]
    try:
        objects = {} if run.path is None else saved_losses(config, run.path)
    except LossforgeError:
        objects = {}
    found: dict[str, Loss] = {}
    for name in names:
        try:
            found[name] = objects[name] if name in objects else resolve_loss(name)
        except LossforgeError:
            continue
    return found
