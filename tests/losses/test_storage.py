"""Saved losses mean the same tomorrow; damaged ones are told."""

import json

import pytest
import torch

from lossforge.errors import FileFormatError
from lossforge.losses import NeuralLoss, SymbolicLoss, load, save
from lossforge.losses.expression import Primitive, by_autograd, registered


def test_a_file_is_small_plain_data(tmp_path):
    save(SymbolicLoss("-2*y*log(p)"), tmp_path / "loss.json")
    document = json.loads((tmp_path / "loss.json").read_text())
    assert document["format"] == "lossforge.loss"
    assert document["type"] == "symbolic"
    assert [path.name for path in tmp_path.iterdir()] == ["loss.json"]


def test_reduction_belongs_to_the_use(tmp_path):
    save(SymbolicLoss("abs(y - p)", reduction="sum"), tmp_path / "loss.json")
    outputs, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    assert load(tmp_path).reduction == "mean"
    none = load(tmp_path / "loss.json", reduction="none")
    assert none(outputs, labels).shape == (4,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "not a loss file"),
        ({"version": 99}, "install the version"),
        ({"type": "pickle"}, "unknown type"),
        ({"expression": "import os"}, "damaged"),
        ({"coefficients": [1.0]}, "damaged"),
        ({"coefficients": "ones"}, "coefficients must be a list"),
        ({"kind": "ranking"}, "damaged"),
        ({"surplus": 1}, "unknown field 'surplus'"),
    ],
)
def test_damage_is_named(change, says, tmp_path):
    path = tmp_path / "loss.json"
    save(SymbolicLoss("-y*log(p)"), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FileFormatError, match=says):
        load(path)


def test_weights_of_another_loss_are_refused(tmp_path):
    save(NeuralLoss(), tmp_path / "a.json")
    save(NeuralLoss(generator=torch.Generator().manual_seed(9)), tmp_path / "b.json")
    (tmp_path / "b.safetensors").replace(tmp_path / "a.safetensors")
    with pytest.raises(FileFormatError, match="another loss's"):
        load(tmp_path / "a.json")
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(FileFormatError, match="is missing"):
        load(tmp_path / "a.json")


def test_a_registered_primitive_is_named_by_the_file_and_needed_to_load_it(tmp_path):
    path = tmp_path / "loss.json"
    bend = Primitive(name="bend", arity=1, jet=by_autograd(lambda a: a / (1 + a.abs())))
    outputs, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    with registered(bend):
        loss = SymbolicLoss("bend(y - p) * (y - p)")
        save(loss, path)
        assert torch.equal(load(path)(outputs, labels), loss(outputs, labels))
    assert json.loads(path.read_text())["primitives"] == ["bend"]
    with pytest.raises(FileFormatError, match="'bend', which is not registered; call"):
        load(path)


def test_files_of_the_paper_s_language_name_no_primitives(tmp_path):
    save(SymbolicLoss("atan(y - p) * tanh(p)"), tmp_path / "loss.json")
    assert "primitives" not in json.loads((tmp_path / "loss.json").read_text())


def test_unreadable_names_of_primitives_are_told(tmp_path):
    path = tmp_path / "loss.json"
    save(SymbolicLoss("-y*log(p)"), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"primitives": "bend"}))
    with pytest.raises(FileFormatError, match="'bend', which is not registered"):
        load(path)
