"""What experiments are given: tasks, losses and networks, by name or as objects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, final, get_args

import torch

from lossforge.errors import (
    ConfigurationError,
    FileFormatError,
    LossforgeError,
    RunError,
    one_line,
    unknown_name,
)
from lossforge.losses import Handcrafted, Loss
from lossforge.losses import load as load_loss
from lossforge.losses.resolve import resolve_loss
from lossforge.losses.storage import digest
from lossforge.losses.zoo import is_in_zoo
from lossforge.methods import State
from lossforge.methods.adaptive import check_adaptive, is_adaptive
from lossforge.models import Family, Model, describe, resolve
from lossforge.runs.folder import LOSSES
from lossforge.searching.executors import Execution
from lossforge.tasks import Kind, Task, TaskLike, has_relative_path, load, task_of
from lossforge.tasks.conversion import check_alike, split_tasks
from lossforge.tasks.kinds import as_kind
from lossforge.tasks.metrics import MetricLike
from lossforge.tasks.metrics.given import GivenMetric

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")

Preset = Literal["quick", "paper"]

LossLike = str | Path | Loss
"""a loss's name with options, the path of its file or of the run that found it, or the loss"""


Workers = int | Literal["auto"] | Execution
"""how many processes train side by side, one per core, or where else they run"""


@final
@dataclass(frozen=True)
class GivenTask:
    """A task, and what a run's configuration calls it.

    Attributes:
        name: of the task.
        task: on the device of the run.
        device: its name.
        data_dir: where data sets that come from files are, as an absolute path.
        folder: that a relative path in the name begins from; None where there is none.
    """

    name: str
    task: Task
    device: str
    data_dir: str | None
    folder: str | None = None

    @property
    def has_own_metric(self) -> bool:
        """Whether it is measured by a metric that has no name to find it by."""
        return isinstance(self.task.measured_by, GivenMetric)

    def config(self) -> State:
        """Return what a run's configuration holds of device, the data's place and the metric."""
        place = {} if self.folder is None else {"folder": self.folder}
        metric = {} if self.task.measured_by is None else {"metric": self.task.metric}
        own = {"own_metric": True} if self.has_own_metric else {}
        return {"device": self.device, "data_dir": self.data_dir} | place | metric | own


def as_execution(workers: Workers) -> Execution:
    """Return where trainings run.

    Raises:
        ConfigurationError: `workers` is neither a positive whole number nor "auto".

    Examples:
        >>> as_execution(2).workers
        2
    """
    return workers if isinstance(workers, Execution) else Execution(workers)


def as_task(
    task: TaskLike,
    device: str = "auto",
    data_dir: str | Path | None = None,
    metric: MetricLike | None = None,
) -> GivenTask:
    """Return a task by name, or one that is given as an object.

    Args:
        task: the name, or what else stands for a task; see `lossforge.tasks.task_of`.
        device: cpu, cuda, or auto: for a name, a GPU if there is one; for an object, where it is.
        data_dir: where data sets that come from files are; by default LOSSFORGE_DATA.
        metric: what performance is measured by; by default what the task is measured by.

    Raises:
        ConfigurationError: it stands for no task, or the metric is not for its kind.
        UnknownNameError: no task has that name.

    Examples:
        >>> as_task("iris", "cpu").task.outputs
        3
        >>> as_task(["iris"])
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: the task is a list; give a name, such as "digits", ...
    """
    folder = None if data_dir is None else str(Path(data_dir).resolve())
    if isinstance(task, str):
        place = pick_device(device)
        own = str(Path.cwd()) if has_relative_path(task) else None
        loaded = _measured(load(task, device=place, data_dir=data_dir), metric)
        return GivenTask(task, loaded, str(place), folder, own)
    found = _measured(task_of(task), metric)
    place = found.device if device == "auto" else pick_device(device)
    return GivenTask(found.name, found.to(place), str(place), folder)


def as_tasks(
    task: TaskLike | Sequence[TaskLike],
    device: str = "auto",
    data_dir: str | Path | None = None,
    metric: MetricLike | None = None,
) -> tuple[GivenTask, ...]:
    """Return one or several tasks that one loss can serve; see `as_task` for the arguments.

    Raises:
        ConfigurationError: there is no task, one is given twice, they are of two kinds or have two
            metrics, or as of `as_task`.

    Examples:
        >>> [task.name for task in as_tasks(["iris", "wine"])]
        ['iris', 'wine']
    """
    found = tuple(as_task(one, device, data_dir, metric) for one in split_tasks(task))  # type: ignore[arg-type]
    check_alike([each.task for each in found])
    names = [each.name for each in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ConfigurationError(f"the task {twice[0]} is given twice; give each task once")
    return found


def _measured(task: Task, metric: MetricLike | None) -> Task:
    """Return the task, measured by a metric where one is given."""
    if metric is None or (isinstance(metric, str) and not metric):
        return task
    return task.with_metric(metric)


def load_unchanged(config: State, name: str, fingerprint: str, path: Path) -> GivenTask:
    """Load a task that a run was begun on.

    Args:
        config: of the run.
        name: of the task.
        fingerprint: of the data that the run was begun on.
        path: of the run.

    Raises:
        RunError: its data have changed, or it or its metric was given as an object.
    """
    if config.get("own_metric"):
        raise begun_from_python(path, f"metric {config['metric']}")
    try:
        place = pick_device(config["device"])
        folder = config.get("folder")
        task = load(name, device=place, data_dir=config.get("data_dir"), folder=folder)
    except LossforgeError:
        if "task" not in config.get("given", ()):
            raise
        raise begun_from_python(path, f"task {name!r}") from None
    if task.fingerprint() != fingerprint:
        if "task" in config.get("given", ()):
            raise begun_from_python(path, f"task {name!r}")
        raise RunError(
            f"the data of {name} have changed since {path} was begun; restore them or start anew"
        )
    task = _measured(task, config.get("metric"))
    return GivenTask(name, task, config["device"], config.get("data_dir"), folder)


def begun_from_python(path: Path, what: str) -> RunError:
    """Return the error for a run that only the program that began it can go on with."""
    return RunError(
        f"{path} was begun from Python with a {what} of its own; repeat that call with resume=True"
    )


def pick_device(name: str) -> torch.device:
    """Return the device of that name; auto is a GPU if there is one.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = one_line(error)[:200]
        raise ConfigurationError(f"device {name!r} cannot be used: {reason}") from None
    return device


@final
@dataclass(frozen=True)
class GivenLoss:
    """A loss, and what a run's configuration calls it.

    Attributes:
        name: with options, a path, "adalfl", or the text of a loss that is given as an object.
        loss: the object; None where the name says it all.
    """

    name: str
    loss: Loss | None = None

    @property
    def source(self) -> str | Loss:
        """What the loss is made from: the object, or else the name."""
        return self.name if self.loss is None else self.loss

    def loaded(self) -> "GivenLoss":
        """Return the same with the loss as an object where it is read from a file."""
        if self.loss is not None or is_adaptive(self.name) or not Path(self.name).is_file():
            return self
        return replace(self, loss=resolve_loss(self.name))

    @property
    def digest(self) -> str | None:
        """SHA-256 of what the loss is, its weights included; None where the name says it all."""
        if self.loss is not None:
            return digest(self.loss)
        # A name is looked up among files first, as `named` does.
        is_stored = bool(self.name) and (Path(self.name).exists() or is_in_zoo(self.name))
        return digest(resolve_loss(self.name)) if is_stored else None

    @property
    def is_handcrafted(self) -> bool:
        """Whether a person wrote the loss."""
        if self.loss is None and (is_adaptive(self.name) or Path(self.name).exists()):
            return False
        return isinstance(self.loss or resolve_loss(self.name), Handcrafted)

    @property
    def text(self) -> str:
        """What a result calls the loss: its formula or description."""
        return self.name if is_adaptive(self.name) else str(self.loss or resolve_loss(self.name))


def as_loss(loss: LossLike, kind: Kind | str, name: str | None = None) -> GivenLoss:
    """Return a loss by name or path, or one that is given as an object.

    Args:
        loss: the name, path or object; or "adalfl" or "adaptive:FORM".
        kind: of the tasks that it must serve.
        name: what results call it; by default its own name.

    Raises:
        ConfigurationError: it is no loss, or one of the other kind.
        UnknownNameError: no loss has that name.

    Examples:
        >>> from lossforge.losses import Huber
        >>> as_loss(Huber(0.5), "regression").name
        'huber:delta=0.5'
        >>> as_loss(Huber, "regression")
        Traceback (most recent call last):
        ...
        lossforge.errors.ConfigurationError: the loss is the class Huber; give an instance: Huber()
    """
    kind = as_kind(kind)
    if isinstance(loss, Path):
        loss = str(loss)
    if isinstance(loss, str):
        if is_adaptive(loss):
            check_adaptive(loss, kind)
        else:
            found = resolve_loss(loss, kind)
            if name is not None and name != loss:
                return GivenLoss(name, found)
        return GivenLoss(loss)
    check_is_loss(loss)
    served = loss.for_kind(kind)
    if name is None and _says_it_all(served):
        return GivenLoss(str(loss))
    return GivenLoss(name or str(loss), served)


def check_is_loss(loss: object) -> None:
    """Raise `ConfigurationError` unless `loss` is a loss object."""
    if isinstance(loss, type):
        raise ConfigurationError(
            f"the loss is the class {loss.__name__}; give an instance: {loss.__name__}()"
        )
    if not isinstance(loss, Loss):
        raise ConfigurationError(
            f"the loss is a {_type_name(loss)}; give a name, such as "
            '"label_smoothing:smoothing=0.1", a path, or a lossforge loss'
        )


def _says_it_all(loss: Loss) -> bool:
    """Tell whether a loss can be made again from its name."""
    if not isinstance(loss, Handcrafted):
        return False
    try:
        return resolve_loss(str(loss)).definition() == loss.definition()
    except LossforgeError:
        return False


def model_name(model: Model, task: Task) -> str:
    """Check that a network fits a task, and return what results call it.

    Raises:
        ConfigurationError: it does not fit, or is neither a name nor a function that makes one.
        UnknownNameError: no network has that name.
    """
    resolve(model, task)
    return describe(model)


def with_settings(base: Settings, settings: Mapping[str, Any], owner: str) -> Settings:
    """Return a dataclass with some fields changed.

    Raises:
        UnknownNameError: there is no such field.
        ConfigurationError: a value is out of its range or of a wrong type.

    Examples:
        >>> from lossforge.training.full import Recipe
        >>> with_settings(Recipe(), {"steps": 5}, "train").steps
        5
        >>> with_settings(Recipe(), {"step": 5}, "train")
        Traceback (most recent call last):
        ...
        lossforge.errors.UnknownNameError: no setting of train is named 'step'; did you mean ...
    """
    known = [item.name for item in fields(base)]
    for name in settings:
        if name not in known:
            raise unknown_name(f"setting of {owner}", name, known)
    try:
        return replace(base, **settings)
    except TypeError as error:
        raise ConfigurationError(f"a setting of {owner} is of a wrong type: {error}") from None


def given_objects(task: object, model: object) -> tuple[str, ...]:
    """Return which of task and model were given as objects that have no name to find them by.

    Args:
        task: one or several.
        model: one.
    """
    named = {
        "task": all(isinstance(each, str) for each in split_tasks(task)),
        "model": isinstance(model, str | Family),
    }
    return tuple(what for what, is_named in named.items() if not is_named)


def losses_config(losses: Iterable[GivenLoss]) -> State:
    """Return what a configuration holds of the content of losses; nothing where names say it all.

    A loss file may be replaced while a run is interrupted.
    """
    digests = {each.name: each.digest for each in losses}
    found = {name: each for name, each in digests.items() if each is not None}
    return {"losses": found} if found else {}


def objects_config(given: tuple[str, ...], losses: Mapping[str, Loss]) -> State:
    """Return what a configuration holds of the objects that were given; nothing without any."""
    config: State = {"given": list(given)} if given else {}
    return config | ({"loss_objects": list(losses)} if losses else {})


def saved_losses(config: State, path: Path) -> dict[str, Loss]:
    """Return the losses that a run was given as objects, by name."""
    names = config.get("loss_objects", ())
    return {name: load_loss(path / LOSSES / f"{i}.json") for i, name in enumerate(names)}


def check_preset(preset: str) -> None:
    """Raise `UnknownNameError` unless there is a preset of that name."""
    if preset not in get_args(Preset):
        raise unknown_name("preset", str(preset), get_args(Preset))


def from_plain(kind: Any, content: State) -> Any:
    """Return a dataclass from the plain data that a run's configuration holds of it."""
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
    except TypeError:
        raise FileFormatError(
            f"the saved {kind.__name__} is of another version of lossforge; start anew"
        ) from None


def require_fields(config: State, names: set[str], path: Path) -> None:
    """Raise `FileFormatError` unless a configuration is whole."""
    if missing := names - set(config):
        raise FileFormatError(f"{path}/config.json is damaged: {min(missing)} is missing")


def _type_name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__
