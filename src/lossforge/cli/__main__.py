"""Lets `python -m lossforge.cli` be the program."""

import sys

from lossforge.cli import main

if __name__ == "__main__":
    sys.exit(main())
