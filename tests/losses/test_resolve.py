"""Losses by name, by name with options, and by file."""

import pytest
import torch

from lossforge.errors import ConfigurationError, FileFormatError, UnknownNameError
from lossforge.losses import HANDCRAFTED, OBJECTIVES, SymbolicLoss, default_loss, save
from lossforge.losses.resolve import objective, resolve_loss


@pytest.mark.parametrize("name", HANDCRAFTED)
def test_what_a_loss_prints_is_its_name(name):
    loss = resolve_loss(str(HANDCRAFTED[name]()))
    assert type(loss) is HANDCRAFTED[name]
    assert resolve_loss(name, loss.kind).definition() == loss.definition()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_have_names_and_no_options(name):
    assert type(resolve_loss(name)) is OBJECTIVES[name]
    with pytest.raises(ConfigurationError, match="has no options"):
        resolve_loss(f"{name}:gamma=1")


def test_options_reach_the_loss():
    assert resolve_loss("huber:delta=0.5").definition() != resolve_loss("huber").definition()
    assert str(resolve_loss("focal:gamma=1")) == "focal:gamma=1"


def test_a_file_and_the_folder_of_a_run_are_losses(tmp_path):
    loss = SymbolicLoss("0.5*square(y - p)", kind="regression")
    save(loss, tmp_path / "loss.json")
    for path in (tmp_path / "loss.json", tmp_path):
        found = resolve_loss(str(path), "regression")
        assert found.definition() == loss.definition()


@pytest.mark.parametrize(
    ("text", "kind", "error", "says"),
    [
        ("mse", "classification", ConfigurationError, "mse is a loss for regression"),
        ("crossentropy", None, UnknownNameError, "did you mean 'cross_entropy'"),
        ("huber:gamma=1", None, ConfigurationError, "the options of huber are: delta"),
        ("huber:delta=wide", None, ConfigurationError, "an option of huber is not a number"),
        ("mse:delta=1", None, ConfigurationError, "the options of mse are: none"),
    ],
)
def test_mistakes_are_told(text, kind, error, says):
    with pytest.raises(error, match=says):
        resolve_loss(text, kind)


def test_damaged_files_are_told(tmp_path):
    (tmp_path / "loss.json").write_text("{")
    with pytest.raises(FileFormatError):
        resolve_loss(str(tmp_path / "loss.json"))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_objective_is_the_default_loss_unless_named(kind):
    assert str(objective("", kind)) == str(default_loss(kind))
    named = "focal:gamma=1" if kind == "classification" else "huber:delta=2"
    assert str(objective(named, kind)) == named
    with pytest.raises(ConfigurationError, match="is a loss for"):
        objective(named, "regression" if kind == "classification" else "classification")


def test_resolving_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    resolve_loss("focal")
    assert torch.equal(before, torch.get_rng_state())
