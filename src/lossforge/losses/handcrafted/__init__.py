"""The losses that people wrote down: what every learned loss is measured against.

Each has a file of its own, and one line in `registry`.
"""

from lossforge.losses.handcrafted.default import default_loss as default_loss
from lossforge.losses.handcrafted.registry import *  # noqa: F403  # whatever is registered
