"""lossforge learns the loss function that a network trains on.

The names below load on first use, so that `lossforge --help` need not wait for torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lossforge.errors import LossforgeError

if TYPE_CHECKING:
    from lossforge import losses, models, tasks, zoo
    from lossforge.experiments import (
        Comparison,
        benchmark,
        compare,
        explain,
        export,
        fewshot,
        load_model,
        report,
        resume,
        search,
        train,
    )
    from lossforge.integrations.hub import from_hub, push_to_hub
    from lossforge.integrations.sklearn import (
        LearnedLossClassifier as LearnedLossClassifier,
    )
    from lossforge.integrations.sklearn import (
        LearnedLossRegressor as LearnedLossRegressor,
    )
    from lossforge.losses import load, save
    from lossforge.losses.expression import register_primitive
    from lossforge.methods import GPLFL, ML3, AdaLFL, EvoMAL, RandomSearch, TaylorGLO
    from lossforge.methods.npbml import FewShot
    from lossforge.searching import Calibration
    from lossforge.tasks import OwnMetric, Task

__version__ = "0.1.0"

__all__ = [
    "GPLFL",
    "ML3",
    "AdaLFL",
    "Calibration",
    "Comparison",
    "EvoMAL",
    "FewShot",
    "LossforgeError",
    "OwnMetric",
    "RandomSearch",
    "Task",
    "TaylorGLO",
    "benchmark",
    "compare",
    "explain",
    "export",
    "fewshot",
    "from_hub",
    "load",
    "load_model",
    "losses",
    "models",
    "push_to_hub",
    "register_primitive",
    "report",
    "resume",
    "save",
    "search",
    "tasks",
    "train",
    "zoo",
]

_NOT_BY_STAR = frozenset({"LearnedLossClassifier", "LearnedLossRegressor"})
"""public names that ``from lossforge import *`` leaves out: scikit-learn is slow to import"""

_PACKAGES = frozenset({"losses", "models", "tasks", "zoo"})

_MODULE_OF = {
    "GPLFL": "lossforge.methods",
    "ML3": "lossforge.methods",
    "AdaLFL": "lossforge.methods",
    "Calibration": "lossforge.searching",
    "Comparison": "lossforge.experiments",
    "EvoMAL": "lossforge.methods",
    "FewShot": "lossforge.methods.npbml",
    "LearnedLossClassifier": "lossforge.integrations.sklearn",
    "LearnedLossRegressor": "lossforge.integrations.sklearn",
    "OwnMetric": "lossforge.tasks",
    "RandomSearch": "lossforge.methods",
    "Task": "lossforge.tasks",
    "TaylorGLO": "lossforge.methods",
    "benchmark": "lossforge.experiments",
    "compare": "lossforge.experiments",
    "explain": "lossforge.experiments",
    "export": "lossforge.experiments",
    "fewshot": "lossforge.experiments",
    "from_hub": "lossforge.integrations.hub",
    "load": "lossforge.losses",
    "load_model": "lossforge.experiments",
    "push_to_hub": "lossforge.integrations.hub",
    "register_primitive": "lossforge.losses.expression",
    "report": "lossforge.experiments",
    "resume": "lossforge.experiments",
    "save": "lossforge.losses",
    "search": "lossforge.experiments",
    "train": "lossforge.experiments",
}
"""where each public name is defined; a test holds it against the imports above"""


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name in _PACKAGES:
        return import_module(f"lossforge.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_NOT_BY_STAR})


class _PublicNamesFirst(ModuleType):
    """A module whose public objects are not replaced by packages of the same name.

    When a package `lossforge.NAME` is first imported, Python sets NAME here to that module, and
    `__getattr__` would no longer be asked for a function of that name.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _PublicNamesFirst
