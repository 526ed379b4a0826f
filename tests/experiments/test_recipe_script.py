"""An exported script trains as lossforge does, without lossforge."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import lossforge as lf
from lossforge.errors import ConfigurationError, RunError
from lossforge.models import initialize
from lossforge.randomness import derive_seed

RECIPES = {
    "constant": {},
    "cosine": {"schedule": "cosine"},
    "one_cycle": {"schedule": "one_cycle"},
    "multistep": {"schedule": "multistep", "clip_norm": 0.5},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.003},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_script_takes_the_steps_of_the_training(name: str, tmp_path: Path):
    task = lf.tasks.load("iris")
    batches: list = []

    class Recording(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            if self.training:
                batches.append(inputs)
            return super().forward(inputs)

    settings = {"steps": 25, "check_every": 25, "keep_best": False, **RECIPES[name]}
    run = tmp_path / "run"
    report = lf.train(
        task, "focal:gamma=1", lambda: Recording(4, 3), out=run, progress=False, **settings
    )
    label_of = {
        tuple(row.tolist()): int(y)
        for row, y in zip(task.train.inputs, task.train.targets, strict=True)
    }
    loader = [(x, torch.tensor([label_of[tuple(row.tolist())] for row in x])) for x in batches]
    script = tmp_path / "recipe.py"
    script.write_text(lf.export(run, "script"))
    seed = derive_seed(0, "initialization")
    network = initialize(lambda: nn.Linear(4, 3), seed)
    runpy.run_path(str(script))["train"](network, loader)
    torch.testing.assert_close(network.weight, report.network.weight, atol=1e-5, rtol=1e-4)


def test_the_script_needs_no_lossforge(tmp_path: Path):
    script = tmp_path / "recipe.py"
    script.write_text(
        lf.export("label_smoothing:smoothing=0.1", "script")
        + "\n\nx = torch.randn(64, 5)\nloader = [(x, (x[:, 0] > 0).long())]\n"
        "model = torch.nn.Linear(5, 2)\n"
        "wrong = lambda m: (m(x).argmax(1) != loader[0][1]).double().mean()\n"
        "assert train(model, loader, wrong, steps=2000) < 0.2\n"
        "import sys\nassert 'lossforge' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-I", script], check=True)


def test_a_search_exports_what_it_recommends(tmp_path: Path):
    run = tmp_path / "run"
    small = {"population": 2, "generations": 1, "fitness_steps": 5}
    found = lf.search(
        "random", "iris", "linear", out=run, progress=False, compare_steps=20, **small
    )
    text = lf.export(run, "script")
    assert f"return {found.recommended['rate']!r}" in text


def test_a_search_that_recommends_its_loss_exports_it(tmp_path: Path):
    run = tmp_path / "run"
    small = {"population": 2, "generations": 1, "fitness_steps": 5}
    found = lf.search(
        "random", "iris", "linear", out=run, progress=False, compare_steps=20, **small
    )
    result = json.loads((run / "result.json").read_text())
    result["recommended"]["name"] = "learned"
    (run / "result.json").write_text(json.dumps(result))
    assert f"A learned loss: {found.loss}" in lf.export(run, "script")


def test_what_cannot_be_a_script_is_told(tmp_path: Path):
    lf.train("iris", "adaptive:rate", "linear", steps=3, out=tmp_path / "run", progress=False)
    with pytest.raises(ConfigurationError, match="adapts while a network trains"):
        lf.export(tmp_path / "run", "script")
    lf.compare(
        ["cross_entropy"], "iris", "linear", steps=3, seeds=2, out=tmp_path / "c", progress=False
    )
    with pytest.raises(RunError, match="give one of train or search"):
        lf.export(tmp_path / "c", "script")
