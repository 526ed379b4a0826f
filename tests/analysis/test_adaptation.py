"""What an adaptive loss was over time: kept, read, drawn."""

import json

import pytest
import torch
from torch import nn

from lossforge.analysis.adaptation import draw_adaptation, trace_of
from lossforge.cli import main
from lossforge.losses import ADALFL_NETWORK, NeuralLoss
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import LossSnapshot


@pytest.mark.parametrize(("kind", "outputs"), [("classification", 4), ("regression", 1)])
def test_a_trace_tells_curves_and_factors(kind, outputs, tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(5, outputs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    adapt = AdaLFL(warm_up_steps=20, trial_steps=10, record_every=2).attach(
        model, optimizer, kind, outputs
    )
    x = torch.randn(16, 5)
    y = torch.randint(4, (16,)) if outputs > 1 else torch.randn(16, 1)
    adapt.warm_up([(x, y)], [(x, y)])
    for _ in range(5):
        adapt.step((x, y), (x, y))
    trace = trace_of(adapt.moments, outputs)
    assert [curves.step for curves in trace] == [0, 2, 4]
    assert len(trace[0].p) == len(trace[0].target)
    assert len(trace[0].non_target) == (len(trace[0].p) if outputs > 1 else 0)
    json.dumps([curves.factor for curves in trace], allow_nan=False)
    draw_adaptation(trace, kind, tmp_path / "adaptation")
    assert (tmp_path / "adaptation.png").stat().st_size > 5000


def test_a_loss_that_stays_gives_one_curve():
    loss = NeuralLoss(ADALFL_NETWORK)
    trace = trace_of([LossSnapshot(step, 1.0, loss) for step in (0, 10)], 3)
    assert trace[0].target == trace[1].target
    assert loss.layers[0].dtype == torch.float32


def test_train_leaves_loss_trace_and_picture(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", "--loss", "adalfl", "--task", "iris", "--model", "linear", "--out", str(out)]
    words += ["--steps", "20", "--check-every", "10", "--adalfl.warm-up-steps", "10"]
    words += ["--adalfl.trial-steps", "10"]
    assert main([*words, "--adalfl.record-every", "5"]) == 0
    moments = json.loads((out / "adaptation.json").read_text())["moments"]
    assert [curves["step"] for curves in moments] == [0, 5, 10, 15]
    assert (out / "adaptation.svg").exists()
    assert main(["explain", str(out), "--classes", "3"]) == 0
    assert "network 2-40-40-1" in capsys.readouterr().out
