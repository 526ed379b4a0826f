"""The results of one training as people read them."""

from typing import TYPE_CHECKING, Any, final

from torch import Tensor, nn

from lossforge.experiments.experiment import Report
from lossforge.experiments.repeating import repeat_command
from lossforge.experiments.tables import Table, number
from lossforge.experiments.train_settings import training_defaults
from lossforge.experiments.trained_model import load_model, outputs_of
from lossforge.losses import Loss
from lossforge.methods import State
from lossforge.runs import Run
from lossforge.tasks.kinds import as_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@final
class TrainingReport(Report):
    """The results of one training.

    Attributes:
        run: on disk or in memory.
        result: what ``result.json`` holds.
        network: with the weights that were tested; None where the run was read from disk.
    """

    def __init__(self, run: Run, network: nn.Module | None = None):
        super().__init__(run)
        self.network = network

    @property
    def loss(self) -> Loss | None:
        """The adaptive loss at the end of training; None where the loss was fixed."""
        return self.run.loss

    def predict(self, inputs: Tensor) -> Tensor:
        """Return predictions of the network for rows that it may not have seen.

        Args:
            inputs: [N, ...], prepared as the task's inputs are.

        Returns:
            Probabilities of the classes [N, C], or values [N, outputs] on the targets' scale.

        Raises:
            RunError: the run was read from disk and holds no network.
        """
        if self.network is None:
            self.network = load_model(self.run.path or "")
        weight = next(self.network.parameters())
        outputs = outputs_of(self.network, inputs.to(weight.device))
        return as_kind(self.result["kind"]).read(outputs)

    def tables(self) -> list[Table]:
        """Return the metrics on validation and test data."""
        result = self.result
        row = (result["loss"], number(result["valid"]), number(result["test"]), f"{result['step']}")
        title = f"{result['metric']} on {result['task']} with {result['model']}"
        return [Table(title, ("loss", "valid", "test", "step"), (row,))]

    def _command(self, config: State) -> str:
        keys = ("task", "loss", "model", "metric", "seed", "preset")
        shared = {key: config.get(key) for key in keys}
        options = shared | config["recipe"]
        options |= {key: config[key] for key in ("adalfl", "adapt_on", "task_loss")}
        return repeat_command(
            ["train"], options, training_defaults(config["preset"], config["task"])
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the metric on validation data at each evaluation."""
        return [{"step": step, "valid": score} for step, score in self.result["curve"]]

    def plot(self) -> "Figure":
        """Return the metric on validation data by training step."""
        from lossforge.experiments.plots import draw_curve, figure_with

        figure, (axes,) = figure_with(1)
        draw_curve(axes, self.result["curve"], self.result["metric"])
        axes.set_title(self.result["loss"][:60], fontsize="medium")
        return figure

    def __repr__(self) -> str:
        result = self.result
        return (
            f"TrainingReport({result['task']} with {result['model']} under {result['loss']}: "
            f"test {result['metric']} {number(result['test'])})"
        )
