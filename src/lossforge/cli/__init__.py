"""The program `lossforge`."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from lossforge import __version__
from lossforge.cli.allocator import keep_freed_memory
from lossforge.errors import LossforgeError, unknown_name

OVERVIEW = """\
usage: lossforge COMMAND ...

Learn the loss function that a network trains on.

commands:
  search METHOD   find a loss for a task, and compare it with the default loss
  train           train one network in full under any loss
  compare         compare losses over seeds, tasks and networks
  fewshot METHOD  learn to learn from a handful of examples: NPBML, MAML and their relatives
  explain LOSS    describe a loss: its gradients, the nearest known loss, warnings
  landscape       draw where training under different losses ends
  export LOSS     write a loss as a file that needs no lossforge
  resume RUN      go on with an interrupted run
  list WHAT       show the tasks, models, losses or methods there are

`lossforge COMMAND --help` tells more, `lossforge --version` the version. A first run, under
three minutes on two cores:

  lossforge search evomal --task digits --preset quick
"""

COMMANDS = {
    "search": ("search", "search"),
    "train": ("train", "train"),
    "compare": ("compare", "compare"),
    "fewshot": ("fewshot", "fewshot"),
    "explain": ("explain", "explain"),
    "landscape": ("landscape", "landscape"),
    "export": ("export", "export_loss"),
    "resume": ("resume", "resume"),
    "list": ("listing", "list_names"),
}
"""module and function of each command; imported on use, so that help need not wait for torch"""

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0, 2 for an error of the user's, 130 for Ctrl-C.

    Args:
        arguments: after the program's name; by default those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except LossforgeError as error:
        print(f"lossforge: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        if str(stop):
            print(f"lossforge: {stop}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; there is no one to tell.
        return 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(OVERVIEW, end="")
        return 0
    command, *rest = words
    if command == "--version":
        print(f"lossforge {__version__}")
        return 0
    if command not in COMMANDS:
        raise unknown_name("command", command, COMMANDS)
    keep_freed_memory()
    module, function = COMMANDS[command]
    run: Callable[[list[str]], int] = getattr(import_module(f"lossforge.cli.{module}"), function)
    return run(rest)
