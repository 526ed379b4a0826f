"""Imbalance: one picture in thirty is an eight (1,797 real digits, scikit-learn's), measured by F1.

Eights are left out until they are 3 percent of the pictures. The handcrafted losses include
cross-entropy and the focal loss with weighted classes; `benchmarks/imbalance.py` has more seeds,
more pictures and AUROC.
"""

import numpy as np
from protocol import arguments, search
from sklearn.datasets import load_digits

from lossforge.tasks import Task

SHARE = 0.03

given = arguments()
digits = load_digits()
is_eight = digits.target == 8
draw = np.random.default_rng(given.seed)
count = round(SHARE / (1 - SHARE) * int((~is_eight).sum()))
kept = np.concatenate(
    [np.flatnonzero(~is_eight), draw.choice(np.flatnonzero(is_eight), count, replace=False)]
)
task = Task.from_arrays(
    digits.data[kept],
    is_eight[kept].astype(np.int64),
    kind="classification",
    fractions=(0.5, 0.25, 0.25),
    metric="f1",
    name="eights",
    split_seed=given.seed,
)
search(task, "mlp:width=32", given)
