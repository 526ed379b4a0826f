"""The small data sets that ship with scikit-learn: real data, offline."""

from importlib import import_module
from typing import Any

from lossforge.tasks.assembly import Values, assemble, standardize
from lossforge.tasks.kinds import Classification, Regression
from lossforge.tasks.splits import Rows, quantile_bins, split_rows
from lossforge.tasks.task import Task


def breast_cancer(split_seed: int) -> Task:
    """569 tumors, 30 measures of cell nuclei each: malignant or benign (Street et al. 1993)."""
    return _classification("breast_cancer", _bundled("load_breast_cancer"), split_seed)


def diabetes(split_seed: int) -> Task:
    """442 patients, 10 measures each: the disease's progress in a year (Efron et al. 2004)."""
    # scikit-learn's own scaling would take its statistics from the test rows as well.
    bunch = _bundled("load_diabetes", scaled=False)
    parts = split_rows(quantile_bins(bunch.target), split_seed)
    inputs = standardize(bunch.data, parts[0])
    return assemble("diabetes", Regression(), inputs=inputs, targets=bunch.target, parts=parts)


def digits(split_seed: int) -> Task:
    """1797 handwritten digits as images [1, 8, 8] (Alpaydin & Kaynak 1998)."""
    bunch = _bundled("load_digits")
    parts = split_rows(bunch.target, split_seed)
    inputs = standardize(bunch.images[:, None], parts[0], axes=(0, 2, 3))
    return _assemble("digits", bunch, inputs, parts)


def iris(split_seed: int) -> Task:
    """150 flowers, 4 measures each: three species (Fisher 1936)."""
    return _classification("iris", _bundled("load_iris"), split_seed)


def wine(split_seed: int) -> Task:
    """178 wines, 13 chemical measures each: three growers (Aeberhard & Forina 1991)."""
    return _classification("wine", _bundled("load_wine"), split_seed)


def _bundled(loader: str, **options: bool) -> Any:
    # Imported on use: scikit-learn takes longer to import than all of lossforge.
    return getattr(import_module("sklearn.datasets"), loader)(**options)


def _classification(name: str, bunch: Any, split_seed: int) -> Task:
    parts = split_rows(bunch.target, split_seed)
    inputs = standardize(bunch.data, parts[0])
    return _assemble(name, bunch, inputs, parts)


def _assemble(name: str, bunch: Any, inputs: Values, parts: tuple[Rows, ...]) -> Task:
    classes = tuple(map(str, bunch.target_names))
    return assemble(
        name, Classification(), inputs=inputs, targets=bunch.target, parts=parts, classes=classes
    )
