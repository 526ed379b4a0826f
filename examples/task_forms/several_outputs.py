"""Regression of several outputs: income and house value at once (20,640 Californian districts).

Both are predicted from the other columns of the California housing table, of which 4,000 districts
are drawn. Measured by R², the mean over both outputs. Needs the table's file.
"""

import numpy as np
import pandas as pd
from protocol import arguments, search

from lossforge.tasks import Task
from lossforge.tasks.folders import find_file

OUTPUTS = ["median_income", "median_house_value"]

given = arguments()
(path,) = find_file(given.data_dir, "california_housing", "housing.csv", "California housing")
table = pd.read_csv(path).dropna().sample(4000, random_state=given.seed)
table = pd.get_dummies(table, columns=["ocean_proximity"], dtype=float)
inputs = table.drop(columns=OUTPUTS)
counts = ["total_rooms", "total_bedrooms", "population", "households"]
inputs[counts] = np.log1p(inputs[counts])
task = Task.from_arrays(
    inputs.to_numpy(),
    table[OUTPUTS].to_numpy(),
    kind="regression",
    metric="r2",
    name="districts",
    split_seed=given.seed,
)
search(task, "mlp:width=64", given)
