"""Saved losses mean the same tomorrow; damaged ones are told."""

import json
import os
import time

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


NETWORK = {
    **{"format": "lossforge.loss", "version": 1, "type": "neural", "kind": "classification"},
    **{"activation": "relu", "output": "softplus", "average": False, "residual": False},
}
SYMBOLIC = {
    **{"format": "lossforge.loss", "version": 1, "type": "symbolic", "kind": "classification"},
    **{"expression": "y - p", "coefficients": [], "softplus": False},
}


@pytest.mark.parametrize(
    "document",
    [
        NETWORK | {"hidden": [30000, 30000]},
        NETWORK | {"hidden": [10**4000]},
        NETWORK | {"hidden": [1] * 100000 + [10**9]},
        NETWORK | {"hidden": [-30000, 30000]},
        SYMBOLIC | {"coefficients": [10**4200]},
        SYMBOLIC | {"coefficients": [float("nan")], "expression": "phi0 * (y - p)"},
        SYMBOLIC | {"expression": f"y - {10**4200}"},
        SYMBOLIC | {"version": 10**4200},
    ],
)
def test_a_small_file_that_asks_for_much_is_refused_at_once(document, tmp_path):
    path = tmp_path / "loss.json"
    path.write_text(json.dumps(document))
    began = time.monotonic()
    with pytest.raises(FileFormatError, match=r"loss\.json"):
        load(path)
    assert time.monotonic() - began < 2


def test_a_number_of_too_many_digits_is_damage(tmp_path):
    (tmp_path / "loss.json").write_text('{"version": ' + "1" * 5000 + "}")
    with pytest.raises(FileFormatError, match="not valid JSON"):
        load(tmp_path / "loss.json")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    loss = NeuralLoss()
    with torch.no_grad():
        loss.layers[0][0, 0] = float("nan")
    save(loss, tmp_path / "loss.json")
    with pytest.raises(FileFormatError, match="not finite"):
        load(tmp_path / "loss.json")


def test_files_without_an_end_are_refused_at_once(tmp_path):
    save(NeuralLoss(), tmp_path / "loss.json")
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(FileFormatError, match="no regular file"):
            load(source)
    (tmp_path / "loss.safetensors").unlink()
    (tmp_path / "loss.safetensors").symlink_to("/dev/zero")
    with pytest.raises(FileFormatError, match="no regular file"):
        load(tmp_path / "loss.json")


def test_weights_of_classes_are_saved(tmp_path):
    loss = SymbolicLoss("-y*log(p)", weight=torch.tensor([0.515, 16.7]))
    save(loss, tmp_path / "loss.json")
    again = load(tmp_path / "loss.json")
    outputs, labels = torch.randn(6, 2), torch.tensor([0, 1, 0, 0, 1, 0])
    assert torch.equal(again.weight, loss.weight)
    assert torch.equal(again(outputs, labels), loss(outputs, labels))
    assert not torch.equal(again(outputs, labels), SymbolicLoss("-y*log(p)")(outputs, labels))
