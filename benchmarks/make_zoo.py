"""Write the zoo: losses and cards, from the runs that found and checked them.

    python benchmarks/make_zoo.py --checks checks/a checks/b -- NAME=RUN [NAME=RUN ...]

RUN is the folder of a search, and the folders of --checks are comparisons with --tune all of
those losses with handcrafted ones; a loss takes its checks from those that hold it. No figure is
typed: a card whose runs do not say what it needs is not written. The tables are printed.
"""

import argparse
from pathlib import Path

from lossforge.errors import RunError
from lossforge.files import write_json
from lossforge.losses import load, save
from lossforge.losses.zoo import CARD, FOLDER
from lossforge.zoo import card_table, make_card
from lossforge.zoo.making import holds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="name in the zoo, and search")
    parser.add_argument("--checks", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="default: the zoo")
    options = parser.parse_args()
    for text in options.runs:
        name, _, run = text.partition("=")
        loss = load(run)
        checks = [path for path in options.checks if holds(path, loss)]
        if not checks:
            raise RunError(f"no folder of --checks compares {run}")
        card = make_card(name, run, checks)
        save(loss, options.out / f"{name}.json")
        write_json(options.out / f"{name}{CARD}", card.document())
        print(f"{card}\n\n{card_table(card).plain()}\n")


if __name__ == "__main__":
    main()
