"""What experiments are given, by name or as objects."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lossforge.errors import (
    ConfigurationError,
    FileFormatError,
    LossforgeError,
    RunError,
    UnknownNameError,
)
from lossforge.experiments.arguments import (
    as_loss,
    as_task,
    check_preset,
    from_plain,
    given_objects,
    load_unchanged,
    losses_config,
    model_name,
    objects_config,
    pick_device,
    require_fields,
    with_settings,
)
from lossforge.losses import Focal, Huber, SymbolicLoss, save
from lossforge.models import MLP
from lossforge.tasks import load
from lossforge.training.full import Recipe


def test_a_task_is_a_name_or_an_object():
    task = load("iris")
    for given in ("iris", task):
        found = as_task(given, "cpu")
        assert found.name == "iris"
        assert found.task.fingerprint() == task.fingerprint()
        assert found.config() == {"device": "cpu", "data_dir": None}
    assert as_task(task).device == "cpu"


def test_the_data_s_place_is_kept_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert as_task("iris", "cpu", "data").data_dir == str(tmp_path / "data")


def test_data_that_changed_are_not_loaded(tmp_path):
    config = {"device": "cpu"}
    same = load("iris").fingerprint()
    assert load_unchanged(config, "iris", same, tmp_path).task.fingerprint() == same
    with pytest.raises(RunError, match="the data of iris have changed"):
        load_unchanged(config, "iris", "other", tmp_path)
    for name in ("iris", "mine"):
        with pytest.raises(RunError, match=f"task '{name}' of its own; repeat that call"):
            load_unchanged(config | {"given": ["task"]}, name, "other", tmp_path)
    with pytest.raises(UnknownNameError):
        load_unchanged(config, "irsi", same, tmp_path)


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta!"])
def test_devices_that_are_not_there_are_told(name):
    with pytest.raises(ConfigurationError, match=f"device '{name}' cannot be used"):
        pick_device(name)


def test_a_handcrafted_loss_is_known_by_its_name():
    found = as_loss(Focal(1.0), "classification")
    assert (found.name, found.loss) == ("focal:gamma=1", None)
    assert found.is_handcrafted
    assert found.digest is None
    assert found.text == found.source == "focal:gamma=1"


def test_any_other_loss_is_kept_as_it_was_given():
    loss = SymbolicLoss("square(y - p)", kind="regression")
    found = as_loss(loss, "regression", "mine")
    before = found.digest
    with torch.no_grad():
        loss.coefficients.mul_(2)
    assert found.name == "mine"
    assert found.digest == before != as_loss(loss, "regression").digest
    assert not found.is_handcrafted


def test_a_file_is_known_by_its_content(tmp_path: Path):
    path = tmp_path / "loss.json"
    digests = []
    for delta in (0.5, 0.7):
        save(Huber(delta), path)
        found = as_loss(path, "regression")
        assert found.name == str(path)
        assert not found.is_handcrafted
        digests.append(losses_config([found])["losses"][str(path)])
    assert digests[0] != digests[1]
    assert losses_config([as_loss("huber", "regression")]) == {}


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (Huber, r"the class Huber; give an instance: Huber\(\)"),
        (torch.nn.MSELoss(), "a MSELoss; give a name"),
        ("hubert", "did you mean 'huber'"),
        ("adaptive:hubert", "hubert"),
        (Focal(), "is a loss for classification"),
    ],
)
def test_what_is_no_loss_for_the_kind_is_told(loss, says):
    with pytest.raises(LossforgeError, match=says):
        as_loss(loss, "regression")


@pytest.mark.parametrize("name", ["adalfl", "adaptive:label_smoothing"])
def test_adaptive_losses_are_names(name):
    found = as_loss(name, "classification")
    assert (found.name, found.text, found.is_handcrafted) == (name, name, False)


def test_objects_without_a_name_are_listed():
    task = load("iris")
    assert given_objects("iris", "mlp") == ()
    assert given_objects(task, MLP()) == ("task",)
    assert given_objects(task, torch.nn.Linear) == ("task", "model")
    assert objects_config((), {}) == {}
    assert objects_config(("task",), {"mine": Focal()}) == {
        "given": ["task"],
        "loss_objects": ["mine"],
    }


def test_a_network_must_fit():
    assert model_name("mlp:width=8", load("iris")) == "mlp:width=8"
    with pytest.raises(ConfigurationError, match="lenet takes images"):
        model_name("lenet", load("iris"))


def test_settings_of_a_wrong_name_or_type_are_told():
    assert with_settings(Recipe(), {"steps": 5}, "train") == Recipe(steps=5)
    with pytest.raises(UnknownNameError, match="no setting of train is named 'stepz'"):
        with_settings(Recipe(), {"stepz": 5}, "train")
    with pytest.raises(ConfigurationError):
        with_settings(Recipe(), {"steps": "many"}, "train")
    check_preset("paper")
    with pytest.raises(UnknownNameError):
        check_preset("papers")


@dataclass(frozen=True)
class Settings:
    steps: int = 1
    scales: tuple[float, ...] = ()


def test_saved_settings_come_back_with_their_tuples():
    assert from_plain(Settings, {"steps": 3, "scales": [1.0, 2.0]}) == Settings(3, (1.0, 2.0))
    with pytest.raises(FileFormatError, match="saved Settings is of another version"):
        from_plain(Settings, {"paces": 3})


def test_a_missing_field_is_named(tmp_path):
    require_fields({"task": 1, "seed": 2}, {"task"}, tmp_path)
    with pytest.raises(FileFormatError, match="seed is missing"):
        require_fields({"task": 1}, {"task", "seed"}, tmp_path)
