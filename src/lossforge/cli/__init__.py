"""The program `lossforge`."""

import sys
from collections.abc import Callable, Sequence

from lossforge.cli.allocator import keep_freed_memory
from lossforge.errors import LossforgeError, unknown_name

OVERVIEW = """\
usage: lossforge COMMAND ...

Learn the loss function that a network trains on.

commands:
  search METHOD   find a loss for a task, and compare it with the usual one
  train           train one network in full under any loss
  compare         hold losses against each other over seeds, tasks and networks
  fewshot METHOD  learn to learn from a handful of examples: NPBML, MAML and their relatives
  explain LOSS    say what a loss does, which known loss is nearest, and what to beware of
  landscape       draw where training under different losses ends
  export LOSS     write a loss as a file that needs no lossforge
  resume RUN      go on with an interrupted run
  list WHAT       show the tasks, models, losses or methods there are

`lossforge COMMAND --help` tells more, `lossforge --version` the version. A first run, under
three minutes on two cores:

  lossforge search evomal --task digits --preset quick
"""

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
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; there is no one to tell.
        return 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(OVERVIEW, end="")
        return 0
    if words[0] == "--version":
        from lossforge import __version__

        print(f"lossforge {__version__}")
        return 0
    keep_freed_memory()
    command, *rest = words
    commands = _commands()
    if command not in commands:
        raise unknown_name("command", command, commands)
    return commands[command](rest)


def _commands() -> dict[str, Callable[[list[str]], int]]:
    # Imported on use: `lossforge --help` should not wait for torch.
    def search(words: list[str]) -> int:
        from lossforge.cli.search import search

        return search(words)

    def resume(words: list[str]) -> int:
        from lossforge.cli.resume import resume

        return resume(words)

    def train(words: list[str]) -> int:
        from lossforge.cli.train import train

        return train(words)

    def compare(words: list[str]) -> int:
        from lossforge.cli.compare import compare

        return compare(words)

    def list_names(words: list[str]) -> int:
        from lossforge.cli.listing import list_names

        return list_names(words)

    def fewshot(words: list[str]) -> int:
        from lossforge.cli.fewshot import fewshot

        return fewshot(words)

    def landscape(words: list[str]) -> int:
        from lossforge.cli.landscape import landscape

        return landscape(words)

    def explain(words: list[str]) -> int:
        from lossforge.cli.explain import explain

        return explain(words)

    def export(words: list[str]) -> int:
        from lossforge.cli.export import export_loss

        return export_loss(words)

    return {
        "search": search,
        "train": train,
        "compare": compare,
        "fewshot": fewshot,
        "landscape": landscape,
        "explain": explain,
        "export": export,
        "resume": resume,
        "list": list_names,
    }
