"""Learned losses that ship with the package, each with a card.

``NAME.json`` is the loss, as `lossforge.load` reads it, and ``NAME.card.json`` its card. Both are
written by ``benchmarks/make_zoo.py`` from the runs that found and checked the loss. A name keeps
its loss for ever: a better one gets another name.
"""

from pathlib import Path

from lossforge.errors import unknown_name
from lossforge.files import read_json
from lossforge.losses.loss import Loss, Reduction
from lossforge.losses.storage import load as load_file
from lossforge.losses.zoo.card import Card as Card
from lossforge.losses.zoo.card import Check as Check
from lossforge.losses.zoo.card import Origin as Origin

FOLDER = Path(__file__).parent / "files"

PREFIX, CARD = "zoo:", ".card.json"
"""of a name where losses of all sorts are named; of a card's file"""


def names() -> tuple[str, ...]:
    """Return the names of the losses in the zoo, in order.

    Examples:
        >>> "evomal-digits" in names()
        True
    """
    return tuple(sorted(path.name.removesuffix(CARD) for path in FOLDER.glob(f"*{CARD}")))


def load(name: str, *, reduction: Reduction = "mean") -> Loss:
    """Return a loss of the zoo.

    Args:
        name: one of `names`, with or without the prefix ``zoo:``.
        reduction: "mean", "sum" or "none".

    Raises:
        UnknownNameError: there is no such loss.

    Examples:
        >>> load("evomal-digits").kind.name
        'classification'
    """
    return load_file(FOLDER / f"{_known(name)}.json", reduction=reduction)


def card(name: str) -> Card:
    """Return what is known of a loss of the zoo.

    Args:
        name: one of `names`, with or without the prefix ``zoo:``.

    Raises:
        UnknownNameError: there is no such loss.

    Examples:
        >>> card("evomal-digits").origin.task
        'digits'
    """
    path = FOLDER / f"{_known(name)}{CARD}"
    return Card.from_document(read_json(path), str(path))


def is_in_zoo(text: str) -> bool:
    """Tell whether a loss's name says that it is in the zoo.

    Examples:
        >>> is_in_zoo("zoo:evomal-digits"), is_in_zoo("focal:gamma=1")
        (True, False)
    """
    return text.startswith(PREFIX)


def _known(name: str) -> str:
    own = str(name).removeprefix(PREFIX)
    if own not in names():
        raise unknown_name("loss of the zoo", own, names())
    return own
