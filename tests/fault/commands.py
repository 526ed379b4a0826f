"""The commands that are attacked, as small as they come, and the processes that they run in."""

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from lossforge.cli import COMMANDS as CLI
from lossforge.cli import main
from lossforge.searching.executors import pool

LINEAR = ["--task", "iris", "--model", "linear"]
STEPS = ["--steps", "2", "--check-every", "1"]
SHORT = ["--fitness-steps", "2", "--compare-seeds", "1", "--compare-steps", "2"]
ALONE = ["--workers", "1"]
SIDE_BY_SIDE = ["--workers", "2"]
FINALISTS = ["--finalists", "2", "--final-runs", "1", "--final-steps", "2"]
EVOLVED = ["--population", "4", "--generations", "2", "--filter-steps", "2", *FINALISTS]
FEW_SHOT = ["--task", "clusters", "--ways", "2", "--queries", "2", "--width", "2"]
FEW_SHOT += ["--meta-steps", "2", "--pretrain-steps", "1", "--valid-tasks", "1"]
FEW_SHOT += ["--test-tasks", "2", "--check-every", "1"]
COMPARED = [*LINEAR, *STEPS, "--losses", "cross_entropy", "focal", "--seeds", "1"]
BENCHED = ["--tasks", "iris", "--models", "linear", "--seeds", "1", *STEPS, "--rival-steps", "2"]
SEARCHED = [*LINEAR, *SHORT, "--no-rivals"]

COMMANDS = {
    "train": ["train", *LINEAR, *STEPS],
    "train adalfl": ["train", *LINEAR, *STEPS, "--loss", "adalfl", "--adalfl.trial-steps", "1"],
    "train adaptive": ["train", *LINEAR, *STEPS, "--loss", "adaptive:label_smoothing"],
    "search evomal": ["search", "evomal", *SEARCHED, *EVOLVED, "--meta-steps", "1", *ALONE],
    "search gp-lfl": ["search", "gp-lfl", *SEARCHED, *EVOLVED, *ALONE],
    "search random": ["search", "random", *SEARCHED, *EVOLVED, "--meta-steps", "1", *ALONE],
    "search ml3": [
        *("search", "ml3", *SEARCHED, "--meta-steps", "2", "--check-every", "1"),
        *("--horizons", "1", "--hidden", "4", *ALONE),
    ],
    "search taylorglo": [
        *("search", "taylorglo", *SEARCHED, "--population", "4", "--generations", "2"),
        *(*FINALISTS, *ALONE),
    ],
    "search with rivals": [
        *("search", "evomal", *LINEAR, *SHORT, *EVOLVED, "--meta-steps", "1"),
        *("--generations", "1", "--rival-steps", "2", *ALONE),
    ],
    "compare": ["compare", *COMPARED, *ALONE],
    "fewshot": ["fewshot", "maml", *FEW_SHOT, *ALONE],
    "fewshot npbml": ["fewshot", "npbml", *FEW_SHOT, *ALONE],
    "ablation": ["fewshot", "ablation", *FEW_SHOT, "--variants", "maml", "protonet", *ALONE],
    "benchmark": ["benchmark", *BENCHED, "--methods", "focal:gamma=1", *ALONE],
    "compare, 2 workers": ["compare", *COMPARED, *SIDE_BY_SIDE],
    "ablation, 2 workers": [
        *("fewshot", "ablation", *FEW_SHOT, "--variants", "maml", "protonet", *SIDE_BY_SIDE),
    ],
    "benchmark, 2 workers": ["benchmark", *BENCHED, "--methods", "focal:gamma=1", *SIDE_BY_SIDE],
    "search, 2 workers": [
        *("search", "evomal", *SEARCHED, *EVOLVED, "--meta-steps", "1", *SIDE_BY_SIDE),
    ],
}
"""words of each, without the folder of the run"""

READERS = {
    "report": ["report", "run", "--out", "page.html"],
    "explain": ["explain", "run"],
    "export": ["export", "run", "--to", "torch"],
    "watch": ["watch", "run", "--once"],
}
"""commands that read the folder of a run"""

LOADED_LATE = ("sklearn.datasets", "sklearn.model_selection", "scipy.stats", "matplotlib.figure")
"""what commands load on use"""


def load_modules() -> None:
    """Load what commands load, once rather than in each of the forked processes."""
    for module in (*(f"lossforge.cli.{name}" for name, _ in CLI.values()), *LOADED_LATE):
        if find_spec(module.split(".")[0]):
            import_module(module)


def load_modules_of(words: list[str], folder: Path) -> None:
    """Load what a command loads besides, as a process that runs it tells."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.chdir(folder)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        draw_nothing()
        fork_workers()
        before = set(sys.modules)
        with suppress(BaseException):
            main(words)
        with os.fdopen(writer, "w") as stream:
            json.dump([name for name in sys.modules if name not in before], stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        names: list[str] = json.load(stream)
    os.wait()
    for name in names:
        with suppress(Exception):
            import_module(name)


def draw_nothing() -> None:
    """Let figures and pages be empty: they take most of a short run's time, and are made last."""
    from matplotlib.figure import Figure

    from lossforge.report import search, training

    def save(self: object, target: BinaryIO, **_: object) -> None:
        target.write(b"a figure")

    def no_sections(*_: object) -> list[Any]:
        return []

    Figure.savefig = save  # type: ignore[method-assign, assignment]
    for page in (search, training):
        page.loss_sections = no_sections


def fork_workers() -> None:
    """Let workers be forked: started as usual, each takes seconds to load what is loaded here."""
    context = multiprocessing.get_context("fork")

    def process(target: Callable[..., None], args: tuple[Any, ...], **options: Any) -> Any:
        # Started as usual, a worker has no file of its parent but these, and so not its lock.
        inherited = set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, args[0].fileno()}
        return context.Process(target=_without, args=(inherited, target, *args), **options)

    shim = SimpleNamespace(Pipe=context.Pipe, Process=process)
    pool.multiprocessing = SimpleNamespace(get_context=lambda _: shim)  # type: ignore[attr-defined]


def _without(inherited: Iterable[int], target: Callable[..., None], *arguments: Any) -> None:
    for handle in inherited:
        with suppress(OSError):
            os.close(handle)
    target(*arguments)
