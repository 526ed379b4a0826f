"""What a training leaves behind is the network that was tested, and it comes back by name."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

import lossforge as lf
from lossforge.errors import FileFormatError, LossforgeError, RunError
from lossforge.experiments import TrainingReport
from lossforge.models import MLP


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingReport]:
    out = tmp_path_factory.mktemp("runs") / "iris"
    report = lf.train("iris", model="mlp:width=8", steps=40, out=out, progress=False)
    return out, report


def test_the_loaded_network_scores_what_was_reported(trained):
    out, report = trained
    task = lf.tasks.load("iris")
    wrong = lf.load_model(out)(task.test.inputs).argmax(1) != task.test.targets
    assert wrong.double().mean().item() == report.result["test"]


def test_predictions_are_probabilities_of_the_network_on_disk_or_in_memory(trained):
    out, report = trained
    inputs = lf.tasks.load("iris").valid.inputs
    probabilities = report.predict(inputs)
    torch.testing.assert_close(probabilities, lf.load_model(out)(inputs).softmax(1))
    from_disk = lf.resume(out, progress=False)
    torch.testing.assert_close(from_disk.predict(inputs), probabilities)


def test_regression_predicts_values():
    report = lf.train("diabetes", model="linear", steps=5, progress=False)
    inputs = lf.tasks.load("diabetes").valid.inputs
    torch.testing.assert_close(report.predict(inputs), report.network(inputs))


def test_a_network_that_was_an_object_needs_its_constructor(tmp_path: Path):
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 6), nn.Dropout(), nn.Linear(6, 3))

    report = lf.train("iris", model=make, steps=5, out=tmp_path / "run", progress=False)
    with pytest.raises(RunError, match="pass model=, the network or a function"):
        lf.load_model(tmp_path / "run")
    loaded = lf.load_model(tmp_path / "run", model=make)
    assert not loaded.training
    assert torch.equal(loaded[2].weight, report.network[2].weight)
    with pytest.raises(FileFormatError, match="do not fit the network"):
        lf.load_model(tmp_path / "run", model=lambda: MLP(width=3).build((4,), 3))


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"x" * 100])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(LossforgeError, match="is damaged or was not written by"):
        lf.load_model(tmp_path)


@pytest.mark.parametrize(
    "about",
    [
        *([], {}, {"model": "linear"}, {"model": 3, "input_shape": [4], "outputs": 3}),
        *({"model": "linear", "input_shape": shape, "outputs": 3} for shape in ("ab", [-1], [1.5])),
        *({"model": "linear", "input_shape": [4], "outputs": n} for n in (0, 10**12, None, True)),
        *({"model": m, "input_shape": [4], "outputs": 3} for m in ("nothing", "mlp:width=30000")),
        {"model": "mlp:depth=1000000000,width=1", "input_shape": [4], "outputs": 3},
    ],
)
def test_descriptions_that_are_odd_or_ask_for_much_are_refused(tmp_path: Path, about: object):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"a": torch.zeros(3)}, {"lossforge": json.dumps(about)}))
    with pytest.raises(LossforgeError) as found:
        lf.load_model(path)
    assert "\n" not in str(found.value)


def test_a_folder_without_a_network_is_told(tmp_path: Path):
    with pytest.raises(RunError, match="give the folder of a complete"):
        lf.load_model(tmp_path)
