"""Several labels: four properties of the number in a picture (1,797 real digits, scikit-learn's).

The pictures are real; the labels follow from the number that is written: whether it is even, at
least five, a prime, and whether it is written with a loop (0, 6, 8, 9). So they depend on each
other, as tags do.
"""

import numpy as np
from protocol import arguments, search
from sklearn.datasets import load_digits

from lossforge.tasks import MultiLabel, Task

given = arguments()
digits = load_digits()
number = digits.target
properties = [number % 2 == 0, number >= 5, np.isin(number, (2, 3, 5, 7))]
properties += [np.isin(number, (0, 6, 8, 9))]
labels = np.stack(properties, 1).astype(np.int64)
task = Task.from_arrays(
    digits.data, labels, kind=MultiLabel(), metric="f1", name="properties", split_seed=given.seed
)
search(task, "mlp:width=64", given)
