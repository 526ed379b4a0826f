"""`lossforge landscape`: where training under different losses ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge.cli.parsing import parse_options
from lossforge.cli.printing import print_as
from lossforge.experiments.landscape_run import Ending
from lossforge.experiments.landscape_run import landscape as draw_landscape
from lossforge.experiments.tables import Form, Table, number
from lossforge.files import plain


@dataclass(frozen=True)
class LandscapeOptions:
    """Train a network under each loss; plot the loss around its weights, and its features."""

    losses: tuple[str, ...]
    """losses to train under: names from `lossforge list losses`, loss files, runs, or adalfl"""
    task: str
    """task that the networks learn: a name from `lossforge list tasks`"""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """folder for the plots"""
    model: str = "mlp"
    """network that is trained: a name from `lossforge list models`"""
    steps: int = 1000
    """training steps of each network"""
    learning_rate: float = 0.01
    """learning rate of the network's optimizer"""
    seed: int = 0
    """seed of initialization, batches and directions"""
    span: float = 1.0
    """how far to go from the weights, in multiples of the random directions"""
    points: int = 21
    """number of points along each direction; an odd number"""
    rows: int = 500
    """rows of the training and of the test split on which networks are evaluated"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of data sets that come from files; by default that of LOSSFORGE_DATA"""
    device: str = "auto"
    """device of networks and data: cpu, cuda, or auto for a GPU if there is one"""
    format: Form = "plain"
    """how to print the results: plain text, markdown, latex, csv or json"""


def landscape(words: list[str]) -> int:
    """Run `lossforge landscape ...`."""
    options = parse_options(LandscapeOptions, words, "lossforge landscape")
    endings = draw_landscape(
        options.losses,
        options.task,
        options.model,
        out=options.out,
        steps=options.steps,
        learning_rate=options.learning_rate,
        seed=options.seed,
        span=options.span,
        points=options.points,
        rows=options.rows,
        data_dir=options.data_dir,
        device=options.device,
    )
    if options.format == "plain":
        _print(endings, options.out)
    else:
        _print_as(options.format, endings, options.out)
    return 0


def _print(endings: Sequence[Ending], out: Path) -> None:
    for ending in endings:
        print(
            f"{ending.name}: test metric {ending.test:.4f}; the default loss is "
            f"{ending.around.at_weights:.4g} at the weights and {ending.around.sharpness:+.4g} "
            "more half-way out"
        )
    print(f"pictures: {out}")


def _print_as(form: Form, endings: Sequence[Ending], out: Path) -> None:
    rows = [
        {
            "loss": each.name,
            "test": each.test,
            "at_weights": each.around.at_weights,
            "sharpness": each.around.sharpness,
        }
        for each in endings
    ]
    cells = [
        (each.name, number(each.test), f"{each.around.at_weights:.4g}", _signed(each))
        for each in endings
    ]
    table = Table(
        "where training ends: the default loss at the weights, and how much more half-way out",
        ("loss", "test", "at the weights", "half-way out"),
        tuple(cells),
    )
    print_as(form, [table], plain({"losses": rows, "pictures": str(out)}))


def _signed(ending: Ending) -> str:
    return f"{ending.around.sharpness:+.4g}"
