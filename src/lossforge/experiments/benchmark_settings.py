"""What a benchmark trains: settings of tasks and networks, and suites of them that are files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from typing import Any, final

import torch

from lossforge.errors import ConfigurationError, FileFormatError, unknown_name
from lossforge.experiments.arguments import from_plain, with_settings
from lossforge.methods import State
from lossforge.randomness import torch_generator
from lossforge.searching import BaseTraining, Calibration
from lossforge.tasks import Split
from lossforge.training.full import Recipe
from lossforge.validation import require, require_in_range, require_whole

SCALED = ("fitness_steps", "final_steps", "meta_steps", "filter_steps")
"""options of searches that a budget multiplies"""


@final
@dataclass(frozen=True)
class Setting:
    """A task with a network, and how much is trained there.

    Attributes:
        task: by name; every repetition has a split of its own.
        model: by name.
        repetitions: a new split, a new search and a new training each.
        recipe: of the trainings that are tested; its learning rate is the common one of searches.
        calibration: how the handcrafted losses and all learning rates are tuned.
        search: options of searches that differ from their preset's; a method that has no option
            of such a name goes without.
        train_rows: training rows that are kept; 0 for all.
        valid_rows: validation rows that are kept; 0 for all.
        metric: what searches optimize and tables show, by name; empty for what the task is measured
            by.
        budget: share of the steps of searches that is carried out.

    Raises:
        ConfigurationError: a number is out of its range, or the optimizer is not SGD.
    """

    task: str
    model: str = "mlp:width=128"
    repetitions: int = 5
    recipe: Recipe = field(default_factory=lambda: Recipe(steps=600, check_every=50))
    calibration: Calibration = field(default_factory=lambda: Calibration(rival_seeds=1))
    search: Mapping[str, Any] = field(default_factory=dict)
    train_rows: int = 0
    valid_rows: int = 0
    metric: str = ""
    budget: float = 1.0

    def __post_init__(self) -> None:
        require_in_range("budget", self.budget, 0, exclude_low=True)
        require_whole("repetitions", self.repetitions, 1)
        require_whole("train_rows", self.train_rows, 0)
        require_whole("valid_rows", self.valid_rows, 0)
        require(
            self.recipe.optimizer == "sgd",
            "searches train networks by SGD; give the recipe the optimizer sgd",
        )

    @property
    def base(self) -> BaseTraining:
        """How networks are trained in searches and in calibration: as the recipe says."""
        recipe = self.recipe
        return BaseTraining(
            recipe.learning_rate,
            recipe.momentum,
            recipe.nesterov,
            recipe.weight_decay,
            recipe.batch_size,
        )

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.task} with {self.model}"

    def at_budget(self, share: float) -> "Setting":
        """Return the setting with all numbers of steps multiplied by a share, at least 1 each.

        Examples:
            >>> Setting("iris").at_budget(0.1).recipe.steps
            60
        """
        require_in_range("budget", share, 0, exclude_low=True)
        recipe, calibration = self.recipe, self.calibration
        return replace(
            self,
            recipe=replace(
                recipe,
                steps=scaled(recipe.steps, share),
                check_every=scaled(recipe.check_every, share),
            ),
            calibration=replace(calibration, rival_steps=scaled(calibration.rival_steps, share)),
            budget=self.budget * share,
        )

    @classmethod
    def of(cls, content: Mapping[str, Any], defaults: Mapping[str, Any]) -> "Setting":
        """Return the setting that a suite's file describes.

        Args:
            content: fields of the setting; ``recipe``, ``calibration`` and ``search`` hold what
                differs from the defaults.
            defaults: likewise, of the suite.

        Raises:
            UnknownNameError: there is no such field.
            ConfigurationError: a value is out of its range.
        """
        known = [item.name for item in fields(cls)]
        for name in (*defaults, *content):
            if name not in known:
                raise unknown_name("field of a setting", name, known)
        require("task" in content, "a setting needs the name of its task")
        merged: dict[str, Any] = {**defaults, **content}
        nested = {
            name: {**defaults.get(name, {}), **content.get(name, {})}
            for name in ("recipe", "calibration", "search")
        }
        plain = cls(str(content["task"]))
        merged["recipe"] = with_settings(plain.recipe, _tuples(nested["recipe"]), "the recipe")
        merged["calibration"] = with_settings(
            plain.calibration, nested["calibration"], "the calibration"
        )
        merged["search"] = _tuples(nested["search"])
        return cls(**merged)

    def config(self) -> State:
        """Return the setting as plain data."""
        return asdict(self)

    @classmethod
    def from_config(cls, content: State) -> "Setting":
        """Return the setting that `config` gave."""
        nested = {
            "recipe": from_plain(Recipe, content["recipe"]),
            "calibration": from_plain(Calibration, content["calibration"]),
            "search": _tuples(content["search"]),
        }
        restored: Setting = from_plain(cls, content | nested)
        return restored


def scaled(steps: int, share: float) -> int:
    """Return a share of a number of steps, at least 1; 0, which stands for a default, stays 0.

    Examples:
        >>> scaled(150, 0.1), scaled(3, 0.1), scaled(0, 0.1)
        (15, 1, 0)
    """
    return max(1, round(share * steps)) if steps else 0


@final
@dataclass(frozen=True)
class Suite:
    """Methods and settings that belong together.

    Attributes:
        name: of the suite.
        about: what it is for, in a sentence.
        methods: names of methods.
        preset: of the methods.
        settings: tasks with networks.
    """

    name: str
    about: str
    methods: tuple[str, ...]
    preset: str
    settings: tuple[Setting, ...]


def suite_names() -> tuple[str, ...]:
    """Return the names of the suites.

    Examples:
        >>> "twelve" in suite_names()
        True
    """
    folder = files("lossforge.experiments") / "suites"
    names = (each.name for each in folder.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def load_suite(name: str) -> Suite:
    """Return a suite by its name.

    Raises:
        UnknownNameError: there is none of that name.

    Examples:
        >>> len(load_suite("twelve").settings) >= 12
        True
    """
    if name not in suite_names():
        raise unknown_name("suite", name, suite_names())
    text = (files("lossforge.experiments") / "suites" / f"{name}.json").read_text("utf-8")
    return read_suite(name, text)


def read_suite(name: str, text: str) -> Suite:
    """Return the suite that a JSON text describes.

    Raises:
        FileFormatError: the text is no suite.
        LossforgeError: a field of it is wrong.
    """
    try:
        content = json.loads(text)
        defaults = content.get("defaults", {})
        return Suite(
            name,
            str(content["about"]),
            tuple(content["methods"]),
            str(content["preset"]),
            tuple(Setting.of(each, defaults) for each in content["settings"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"the suite {name} cannot be read: {error}") from None


def settings_of(
    tasks: Sequence[str], models: Sequence[str], base: Setting | None = None
) -> tuple[Setting, ...]:
    """Return a setting for each task and network.

    Args:
        tasks: names.
        models: names.
        base: gives the other fields; by default those of `Setting`.
    """
    base = base or Setting("")
    found = tuple(replace(base, task=task, model=model) for task in tasks for model in models)
    check_settings(found)
    return found


def check_settings(settings: Sequence[Setting]) -> None:
    """Raise `ConfigurationError` where there is no setting, or one twice."""
    require(len(settings) > 0, "a benchmark needs a task: give tasks, or a suite")
    names = [each.name for each in settings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{twice} is named twice; give each once")


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}


def some_rows(split: Split, count: int, seed: int) -> Split:
    """Return `count` rows, drawn without regard to their order; all where it is 0."""
    if not 0 < count < len(split):
        return split
    order = torch.randperm(len(split), generator=torch_generator(seed, "rows"))
    kept = order[:count].sort().values.to(split.inputs.device)
    return split.take(kept)
