"""`python -m lossforge` is `lossforge`."""

from lossforge.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
