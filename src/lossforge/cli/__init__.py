"""The program `lossforge`."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module

from lossforge import __version__
from lossforge.allocator import keep_freed_memory
from lossforge.cli.output import forgiving_output, occupy_standard_streams
from lossforge.cli.signals import StoppedBySignal, signals_interrupt, signals_wait
from lossforge.errors import LossforgeError, unknown_name
from lossforge.files import describe_os_error

OVERVIEW = """\
usage: lossforge COMMAND ...

Learn the loss function that a network trains on.

commands:
  search METHOD   find a loss for a task, and compare it with the default loss
  train           train one network in full under any loss
  compare         compare losses over seeds, tasks and networks
  benchmark       compare methods with the best handcrafted losses over splits and searches
  fewshot METHOD  learn to learn from a handful of examples: NPBML, MAML and their relatives
  explain LOSS    describe a loss: its gradients, the nearest known loss, warnings
  landscape       draw where training under different losses ends
  export LOSS     write a loss as a file that needs no lossforge
  report RUN      write a page about a complete run, to be opened in a browser
  resume RUN      go on with an interrupted run
  watch RUN       show how far a run is, from another terminal
  list WHAT       show the tasks, models, losses, methods or learned losses (zoo) there are

`lossforge COMMAND --help` tells more, `lossforge --version` the version. A first run, under
three minutes on two cores:

  lossforge search evomal --task digits --preset quick
"""

COMMANDS = {
    "search": ("search", "search"),
    "train": ("train", "train"),
    "compare": ("compare", "compare"),
    "benchmark": ("benchmark", "benchmark"),
    "fewshot": ("fewshot", "fewshot"),
    "explain": ("explain", "explain"),
    "landscape": ("landscape", "landscape"),
    "export": ("export", "export_loss"),
    "report": ("report", "report"),
    "resume": ("resume", "resume"),
    "watch": ("watch", "watch"),
    "list": ("listing", "list_names"),
}
"""module and function of each command; imported on use, so that help need not wait for torch"""

WRONG, INTERRUPTED, BY_SIGNAL = 2, 130, 128
"""exit statuses: a user can mend it; Ctrl-C; and, to be added to a signal's number, a signal"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status.

    It is 0, 2 for an error that a user can mend, 75 where the time limit of a run is over, 130 for
    Ctrl-C, 143 for SIGTERM and 129 for SIGHUP.

    Args:
        arguments: after the program's name; by default those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    occupy_standard_streams()
    try:
        with signals_interrupt(), forgiving_output():
            return _report(words)
    except OSError as error:  # standard output cannot hold what was written to it
        return _fail(describe_os_error(error))


def _report(words: list[str]) -> int:
    """Run a command; say in one line what ended it early."""
    try:
        return _dispatch(words)
    except LossforgeError as error:
        return _fail(str(error))
    except StoppedBySignal as stop:
        return _fail(str(stop) or "interrupted", BY_SIGNAL + stop.number)
    except KeyboardInterrupt as stop:
        # Of a run whose time limit is over it has a status of its own.
        return _fail(str(stop) or "interrupted", getattr(stop, "status", INTERRUPTED))
    except OSError as error:
        return _fail(describe_os_error(error))
    except MemoryError as error:
        return _fail(f"out of memory ({str(error) or 'no details'}); ask for something smaller")


def _fail(reason: str, status: int = WRONG) -> int:
    with suppress(OSError):
        print(f"lossforge: {' '.join(reason.split())}", file=sys.stderr, flush=True)
    return status


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
    with signals_wait():
        loaded = import_module(f"lossforge.cli.{module}")
    run: Callable[[list[str]], int] = getattr(loaded, function)
    return run(rest)
