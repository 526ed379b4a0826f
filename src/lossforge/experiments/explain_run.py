"""A loss explained or exported, by name or as an object."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from lossforge import __version__
from lossforge.analysis.explanation import Explanation
from lossforge.analysis.explanation import explain as explain_loss
from lossforge.analysis.export import export as export_loss
from lossforge.errors import RunError
from lossforge.experiments.arguments import LossLike, check_is_loss
from lossforge.experiments.recipe_script import recipe_of, write_script
from lossforge.experiments.tables import Table
from lossforge.files import sweep_stale, write_atomically
from lossforge.losses import Loss
from lossforge.losses.resolve import resolve_loss
from lossforge.training.full import Recipe
from lossforge.validation import require_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

ExportForm = Literal["torch", "python", "sympy", "latex", "script"]


def explain(
    loss: LossLike, *, classes: int = 10, plots: str | Path | None = None
) -> "ExplanationReport":
    """Say what a loss does, which known loss it is nearest to, and what to beware of.

    Does exactly what ``lossforge explain`` does.

    Args:
        loss: a name with options, the path of a loss or of the run that found it, or a loss.
        classes: outputs on which a classification loss is evaluated.
        plots: a folder for its curves and gradients as PNG and SVG.

    Raises:
        LossforgeError: an argument is wrong.

    Examples:
        >>> explain("label_smoothing:smoothing=0.2").explanation.matches[0].name
        'label_smoothing:smoothing=0.2'
    """
    require_whole("classes", classes, 2)
    found = _any_loss(loss)
    report = ExplanationReport(found, explain_loss(found, classes))
    if plots is not None:
        report.write_plots(Path(plots))
    return report


def export(loss: LossLike, to: ExportForm, *, out: str | Path | None = None) -> str:
    r"""Return a loss as a file that gives the same numbers without lossforge.

    Does exactly what ``lossforge export`` does.

    Args:
        loss: a name with options, the path of a loss or of the run that found it, or a loss.
        to: "torch", "python", "sympy" or "latex"; or "script", which trains a network with the
            loss, learning rate and schedule of a run (of a search: those that it recommends).
        out: a file to write it to.

    Raises:
        LossforgeError: an argument is wrong, the file exists, or the loss has no formula.

    Examples:
        >>> from lossforge.losses import SymbolicLoss
        >>> print(export(SymbolicLoss("(y - p)**2"), "latex").splitlines()[1])
        \left(p - y\right)^{2}
    """
    trained = recipe_of(loss) if to == "script" else None
    found = _any_loss(loss) if trained is None else trained.loss
    source = str(loss) if isinstance(loss, str | Path) else str(found)
    form = "torch" if to == "script" else to
    text = export_loss(found, form, f"Exported by lossforge {__version__} from {source}.")
    if to == "script":
        text = write_script(text, Recipe() if trained is None else trained.recipe)
    text = text if text.endswith("\n") else f"{text}\n"
    if out is not None:
        if Path(out).exists():
            raise RunError(f"{out} exists; choose another --out")
        sweep_stale(Path(out))
        write_atomically(Path(out), text)
    return text


@final
class ExplanationReport:
    """What `explain` found.

    Attributes:
        loss: that was explained.
        explanation: in numbers and sentences.
    """

    def __init__(self, loss: Loss, explanation: Explanation):
        self.loss, self.explanation = loss, explanation

    def table(self) -> Table:
        """Return the explanation as a table of labels and sentences."""
        found = self.explanation
        rows = list(found.lines())
        rows += [("LaTeX", found.latex)] if found.latex is not None else []
        rows += [("warning", warning) for warning in found.warnings]
        return Table(str(self.loss), ("", "explanation"), tuple(rows), text_columns=2)

    def document(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        return self.explanation.document()

    def to_dataframe(self) -> "DataFrame":
        """Return the nearest known losses as a pandas data frame, the best first.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        from lossforge.extras import require_extra

        require_extra("tables", "a data frame")
        from pandas import DataFrame

        return DataFrame(self.document()["matches"])

    def plot(self) -> "Figure":
        """Return the loss's gradient by the target's probability, or by the error."""
        from lossforge.analysis.plots import force_figure

        return force_figure(deepcopy(self.loss), self.explanation.classes)

    def write_plots(self, folder: Path) -> list[Path]:
        """Write curves and gradients as PNG and SVG, and return the PNGs."""
        from lossforge.analysis.plots import draw_portrait

        return draw_portrait(deepcopy(self.loss), folder, self.explanation.classes)

    def __repr__(self) -> str:
        best = self.explanation.matches[0]
        warnings = len(self.explanation.warnings)
        told = f", {warnings} warnings" if warnings else ""
        return f"ExplanationReport({self.loss}: nearest {best.name}{told})"

    def _repr_html_(self) -> str:
        return self.table().html()


def _any_loss(loss: LossLike) -> Loss:
    if isinstance(loss, str | Path):
        return resolve_loss(str(loss))
    check_is_loss(loss)
    return loss
