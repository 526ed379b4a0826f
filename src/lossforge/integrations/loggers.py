"""Loggers: a run's history and results in TensorBoard, Weights & Biases or MLflow.

Numbers go under the names that they have in ``history.jsonl`` and ``result.json``, those of the
results after ``result/``.
"""

from collections.abc import Mapping
from typing import Any, final

from lossforge.errors import ConfigurationError
from lossforge.extras import require_extra
from lossforge.runs import Run
from lossforge.runs.watcher import numbers_in
from lossforge.searching import State

PROJECT = "lossforge"


def _step(number: int, entry: State) -> int:
    """Return where a line of history stands on the axis: at its round or step, if it has one."""
    for name in ("generation", "step"):
        if isinstance(entry.get(name), int):
            return int(entry[name])
    return number


def _settings(run: Run) -> dict[str, str]:
    """Return what a run was begun with, flat, as text."""
    return {key: str(value) for key, value in run.config.items() if not isinstance(value, dict)}


def _name(run: Run) -> str:
    return PROJECT if run.path is None else run.path.name


@final
class TensorBoard:
    """Writes event files into the run's folder: ``tensorboard --logdir runs``.

    Args:
        run: that is logged.

    Raises:
        MissingPackageError: the package tensorboard is not installed.
        ConfigurationError: the run has no folder.
    """

    def __init__(self, run: Run):
        require_extra("tensorboard", "TensorBoard")
        if run.path is None:
            raise ConfigurationError("TensorBoard needs a run's folder; pass out=")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run.path / "tensorboard"))
        for key, value in _settings(run).items():
            self._writer.add_text(key, value)

    def entry(self, number: int, entry: State) -> None:
        """Write the numbers of a line of history."""
        for name, value in numbers_in(entry):
            self._writer.add_scalar(name.replace(" ", "_"), value, _step(number, entry))

    def result(self, result: State) -> None:
        """Write the numbers of the results, and the loss that was found."""
        for name, value in numbers_in(result, "result"):
            self._writer.add_scalar(name.replace(" ", "_"), value)
        self._writer.add_text("result/loss", str(result.get("loss")))

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


@final
class WeightsAndBiases:
    """Logs to the project "lossforge" of Weights & Biases, as its own settings say.

    Args:
        run: that is logged.

    Raises:
        MissingPackageError: the package wandb is not installed.
    """

    def __init__(self, run: Run):
        require_extra("wandb", "Weights & Biases")
        import wandb

        folder = None if run.path is None else str(run.path)
        self._run: Any = wandb.init(
            project=PROJECT, name=_name(run), config=dict(run.config), dir=folder
        )

    def entry(self, number: int, entry: State) -> None:
        """Log the numbers of a line of history."""
        self._run.log(dict(numbers_in(entry)), step=_step(number, entry))

    def result(self, result: State) -> None:
        """Put the results into the summary."""
        self._run.summary.update({"loss": result.get("loss"), **dict(numbers_in(result))})

    def close(self) -> None:
        """End the run there."""
        self._run.finish()


@final
class MLflow:
    """Logs to the experiment "lossforge" of the tracking server that MLflow's settings name.

    Args:
        run: that is logged.

    Raises:
        MissingPackageError: the package mlflow is not installed.
    """

    def __init__(self, run: Run):
        require_extra("mlflow", "MLflow")
        import mlflow

        self._mlflow: Any = mlflow
        mlflow.set_experiment(PROJECT)
        mlflow.start_run(run_name=_name(run))
        mlflow.log_params(_settings(run))

    def entry(self, number: int, entry: State) -> None:
        """Log the numbers of a line of history."""
        self._mlflow.log_metrics(dict(numbers_in(entry)), step=_step(number, entry))

    def result(self, result: State) -> None:
        """Log the results."""
        self._mlflow.log_metrics(dict(numbers_in(result, "result")))
        self._mlflow.set_tag("loss", str(result.get("loss")))

    def close(self) -> None:
        """End the run there."""
        self._mlflow.end_run()


LOGGERS: Mapping[str, type[TensorBoard] | type[WeightsAndBiases] | type[MLflow]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}
"""by the name that ``--log`` takes"""
