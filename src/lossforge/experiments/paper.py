"""What ``--preset paper`` is on each data set: the settings of the papers and their released code.

On every data set:

- EvoMAL, GP-LFL and random search have no pressure towards small formulas and no racing, and take
  the fittest formula as it is; the filters are those of the paper.
- ML3 makes 250 meta steps.
- What is tested are the last weights, not those that did best on validation rows.

Where data sets differ:

- CIFAR-10, CIFAR-100 and SVHN: networks are trained for 150,000 steps in the end, and the learning
  rate is divided by 10 after 100,000 and 135,000 of them.
- MNIST: plain SGD without momentum and weight decay, and 100 steps of the filter that rejects
  losses which do not improve predictions.

What still differs from the papers: the filters judge a formula before its coefficients are tuned
instead of after it, an option where a search has one; the closing comparison tunes handcrafted
losses and learning rates first (``--no-rivals`` leaves that out); and where neither the papers nor
their code say how long to train, it is 10,000 steps.
"""

from collections.abc import Mapping
from typing import Any

from lossforge.experiments.arguments import with_settings
from lossforge.experiments.comparison import Comparison
from lossforge.training.full import Recipe

PAPER = "paper"

LONG_STEPS = 150_000
MILESTONES = (100_000 / LONG_STEPS, 135_000 / LONG_STEPS)
"""shares of the steps after which the learning rate is divided by 10"""

LONG = ("cifar10", "cifar100", "svhn")
"""data sets on which networks are trained for long, under a schedule"""

PLAIN_SGD = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}

SEARCHES: Mapping[str, Mapping[str, Any]] = {"mnist": {**PLAIN_SGD, "filter_steps": 100}}
"""options of searches by data set"""


def search_options(preset: str, task: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in which a preset of a search differs on a data set.

    Args:
        preset: its name.
        task: name of the data set.
        known: all options of the search; it goes without others.

    Examples:
        >>> search_options("paper", "mnist", {"momentum": 0.9, "filter_steps": 1000})
        {'momentum': 0.0, 'filter_steps': 100}
        >>> search_options("quick", "mnist", {"momentum": 0.9})
        {}
    """
    options = SEARCHES.get(task, {}) if preset == PAPER else {}
    return {name: value for name, value in options.items() if name in known}


def recipe_for(preset: str, task: str, base: Recipe) -> Recipe:
    """Return how a preset trains a network in full on a data set.

    Args:
        preset: its name.
        task: name of the data set.
        base: the recipe of the preset on other data sets.

    Examples:
        >>> recipe = recipe_for("paper", "cifar10", Recipe())
        >>> [round(1e6 * recipe.rate(step)) for step in (99_999, 100_000, 135_000)]
        [10000, 1000, 100]
    """
    if preset != PAPER:
        return base
    changes: dict[str, Any] = {}
    if task in LONG:
        changes = {"steps": LONG_STEPS, "schedule": "multistep", "milestones": MILESTONES}
    elif task == "mnist":
        changes = PLAIN_SGD
    return with_settings(base, changes, "the recipe")


def comparison_for(preset: str, task: str, base: Comparison) -> Comparison:
    """Return a preset's closing comparison on a data set; `base` is that on others.

    Examples:
        >>> comparison_for("paper", "svhn", Comparison()).compare_steps
        150000
    """
    if preset != PAPER or task not in LONG:
        return base
    changes = {"compare_steps": LONG_STEPS, "compare_milestones": MILESTONES}
    return with_settings(base, changes, "the comparison")
