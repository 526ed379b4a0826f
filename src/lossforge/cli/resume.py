"""`lossforge resume`: go on with any interrupted run."""

from collections.abc import Callable
from pathlib import Path

from lossforge.cli import compare, fewshot, search, train
from lossforge.cli.common import conclude, require_fields
from lossforge.cli.report import print_report
from lossforge.errors import unknown_name
from lossforge.methods import State
from lossforge.runs import RunFolder
from lossforge.validation import require

COMMANDS: dict[str, tuple[Callable[[RunFolder], None], Callable[[State, Path], None]]] = {
    "search": (search.carry_out, print_report),
    "train": (train.carry_out, train.print_result),
    "fewshot": (fewshot.carry_out, fewshot.print_result),
    "compare": (compare.carry_out, compare.print_result),
}


def resume(words: list[str]) -> int:
    """Run `lossforge resume RUN`."""
    if words in (["-h"], ["--help"]):
        print("usage: lossforge resume RUN\n\nGo on with the interrupted run in the folder RUN.")
        return 0
    require(len(words) == 1, "say which run to go on with: lossforge resume RUN")
    folder = RunFolder.open(Path(words[0]))
    require_fields(folder.config, {"command"}, folder.path)
    command = str(folder.config["command"])
    if command not in COMMANDS:
        raise unknown_name("resumable command", command, COMMANDS)
    return conclude(folder, *COMMANDS[command])
