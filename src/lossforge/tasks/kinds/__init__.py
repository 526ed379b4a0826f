"""Kinds of tasks: what the outputs of a network mean, and what they are compared with.

A loss compares rows: a target y and a prediction p of K numbers each. A kind turns a network's
outputs [B, C, ...] and targets, shaped as in PyTorch, into rows; everything else (losses,
populations, hypergradients, filters, metrics) works on those. Class or output dimension is always
1; further dimensions are positions (pixels, tokens).

- `Classification`: the outputs at a position are one row. Labels [B, ...], or probabilities.
- `MultiLabel`: each output is a row of its own, the logit of "yes". Targets [B, C, ...].
- `Regression`: each output is a row of its own. Targets [B, C, ...].
"""

from lossforge.tasks.kinds.classification import Classification as Classification
from lossforge.tasks.kinds.kind import Kind as Kind
from lossforge.tasks.kinds.kind import Require as Require
from lossforge.tasks.kinds.kind import Words as Words
from lossforge.tasks.kinds.labels import IGNORED as IGNORED
from lossforge.tasks.kinds.labels import MARGIN_SLOPE as MARGIN_SLOPE
from lossforge.tasks.kinds.labels import Labels as Labels
from lossforge.tasks.kinds.multilabel import MultiLabel as MultiLabel
from lossforge.tasks.kinds.registry import KINDS as KINDS
from lossforge.tasks.kinds.registry import as_kind as as_kind
from lossforge.tasks.kinds.regression import Regression as Regression
from lossforge.tasks.kinds.values import Values as Values
