"""Learned losses that ship with the package, each with a card.

The program takes them as ``zoo:NAME`` wherever it takes a loss, and ``lossforge list zoo`` lists
them.

Examples:
    >>> import lossforge as lf
    >>> loss = lf.zoo.load("evomal-digits")
    >>> lf.zoo.card("evomal-digits").origin.seed
    0
"""

from lossforge.losses.zoo import Card as Card
from lossforge.losses.zoo import Check as Check
from lossforge.losses.zoo import Origin as Origin
from lossforge.losses.zoo import card as card
from lossforge.losses.zoo import load as load
from lossforge.losses.zoo import names as names
from lossforge.zoo.making import make_card as make_card
from lossforge.zoo.model_card import card_table as card_table
from lossforge.zoo.model_card import model_card as model_card
from lossforge.zoo.model_card import told_verdicts as told_verdicts
