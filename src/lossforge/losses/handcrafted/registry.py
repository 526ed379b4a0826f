"""The losses that lossforge knows by name: the line that imports one is its registration.

From that line, `list`, `train`, `compare`, `explain`, `export`, saved files and the conformance
tests know the loss, and ``lossforge.losses`` gives its class.
"""

# ruff: noqa: PLC0414  # "X as X" is how type checkers know that a name is to be imported from here

from lossforge.losses.handcrafted.absolute_probability import (
    AbsoluteProbability as AbsoluteProbability,
)
from lossforge.losses.handcrafted.barron import Barron as Barron
from lossforge.losses.handcrafted.base import Handcrafted as Handcrafted
from lossforge.losses.handcrafted.base import registered as _registered
from lossforge.losses.handcrafted.calibrated_cross_entropy import (
    CalibratedCrossEntropy as CalibratedCrossEntropy,
)
from lossforge.losses.handcrafted.cauchy import Cauchy as Cauchy
from lossforge.losses.handcrafted.cross_entropy import CrossEntropy as CrossEntropy
from lossforge.losses.handcrafted.focal import Focal as Focal
from lossforge.losses.handcrafted.generalized_cross_entropy import (
    GeneralizedCrossEntropy as GeneralizedCrossEntropy,
)
from lossforge.losses.handcrafted.huber import Huber as Huber
from lossforge.losses.handcrafted.label_smoothing import LabelSmoothing as LabelSmoothing
from lossforge.losses.handcrafted.log_cosh import LogCosh as LogCosh
from lossforge.losses.handcrafted.mae import Absolute as Absolute
from lossforge.losses.handcrafted.mse import Squared as Squared
from lossforge.losses.handcrafted.poly1 import Poly1 as Poly1
from lossforge.losses.handcrafted.sparse_lsr import SparseLSR as SparseLSR
from lossforge.losses.handcrafted.squared_outputs import SquaredOutputs as SquaredOutputs
from lossforge.losses.handcrafted.squared_probability import (
    SquaredProbability as SquaredProbability,
)
from lossforge.losses.handcrafted.student_t import StudentT as StudentT
from lossforge.losses.handcrafted.symmetric_cross_entropy import (
    SymmetricCrossEntropy as SymmetricCrossEntropy,
)

HANDCRAFTED = _registered(globals())

OBJECTIVES = {CalibratedCrossEntropy.name: CalibratedCrossEntropy}
"""Losses that a learned loss may be made to lower, but under which no network should be trained."""
