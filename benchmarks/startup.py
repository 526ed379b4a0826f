"""How long lossforge takes to load, against PyTorch alone, each time in a fresh process.

`import lossforge` loads nothing; its names load on use. So the second row, which loads all of them,
is what a program that uses lossforge waits for.
"""

import statistics
import subprocess
import sys

from harness import Action, Report, interleaved, median_ratio, parse_arguments

IMPORTS = {
    "import torch": "import torch",
    "import lossforge": "import lossforge",
    "from lossforge import *": "from lossforge import *",
}
GOALS = {"from lossforge import *": "<= 1.3", "lossforge --help": "<= 0.5 s"}


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    repeats = 3 if arguments.quick else 11
    actions = {name: process("-c", code) for name, code in IMPORTS.items()}
    actions["lossforge --help"] = process("-m", "lossforge", "--help")
    times = interleaved(actions, repeats, warmup=1)
    peer, *names = actions
    report = Report()
    for name in names:
        report.note(name, statistics.median(times[name]), "s")
        report.note(peer, statistics.median(times[peer]), "s")
        ratio = median_ratio(times[name], times[peer])
        report.add(name, peer, ratio, goal=GOALS.get(name, ""))
    report.save(arguments.json)


def process(*words: str) -> Action:
    """Return what runs a fresh interpreter to its end."""

    def run() -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)

    return run


if __name__ == "__main__":
    main()
