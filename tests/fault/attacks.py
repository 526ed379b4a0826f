"""Attacks on the program: it ends as it should, or says in one line why not.

    python tests/fault/attacks.py [--full] [--seed N] [--only CLASS ...]

prints a table (attack, tries, survived): the rows of a class as soon as it is finished, followed by
its tries that were not survived. The exit status is 1 where there is one. Nothing but this output
tells which classes are finished: after a run that was cut, give the others to `--only`. Each call
works in a folder of its own, so that several can run at once.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fault.commands import COMMANDS, load_modules
from fault.data_attacks import DataAttacks
from fault.harness import Tally, row
from fault.option_attacks import OptionAttacks
from fault.process_attacks import ProcessAttacks
from fault.run_attacks import RunAttacks
from fault.surrounding_attacks import SurroundingAttacks

FAMILIES = (RunAttacks, DataAttacks, OptionAttacks, ProcessAttacks, SurroundingAttacks)
CLASSES = tuple(name for family in FAMILIES for name in family.classes)


def run(arguments: argparse.Namespace) -> int:
    """Try attacks, print the table, and return the exit status."""
    load_modules()
    # What loads say of odd tables would bury the table.
    logging.getLogger("lossforge").setLevel(logging.ERROR)
    tally, began = Tally(log=arguments.log), time.monotonic()
    print(row("attack", "tries", "survived"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for family in FAMILIES:
            attacks = family(
                Path(folder) / family.__name__,
                arguments.full,
                random.Random(arguments.seed),
                tally,
                arguments.most,
                tuple(arguments.commands),
            )
            for _ in attacks.carry_out(arguments.only):
                print(tally.news(), end="", flush=True)
    print(tally.total())
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if tally.failures else 0


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="try everything; takes hours")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of the damages")
    parser.add_argument("--only", nargs="+", choices=CLASSES, default=CLASSES, help="classes")
    parser.add_argument("--most", type=int, help="with --full, tries of a class at most")
    parser.add_argument("--log", type=Path, help="a file that gets a line of JSON for each try")
    parser.add_argument(
        "--commands", nargs="+", choices=list(COMMANDS), default=[], help="that are attacked"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    raise SystemExit(run(parsed()))
