"""An AdaLFL step (batch 128) against a plain training step and the same update with `higher`.

    python benchmarks/adalfl.py [--quick] [--json PATH]

All sides train the same network by SGD with Nesterov momentum in the middle of training, from equal
batches. The peer unrolls the step with `higher`, differentiates the validation loss with respect to
the loss network, and takes the same step with the plain optimizer. Peak memory is that of weights
and momentum and of all that is allocated in a step.
"""

import copy
from collections.abc import Callable

import higher
import torch
import torch.nn.functional as F
from torch import nn

from harness import BYTES, Report, interleaved, median_ratio, parse_arguments, peak_bytes
from hypergradient import Setting, conv4, mlp, optimizer, plain_step
from lossforge.losses import NeuralLoss
from lossforge.methods import AdaLFL


def with_lossforge(setting: Setting) -> Callable[[], object]:
    module = copy.deepcopy(setting.module)
    adapt = AdaLFL().attach(module, optimizer(module), outputs=10)
    batch, valid = setting.batch(0), setting.batch(1)
    return lambda: adapt.step(batch, valid)


def with_higher(setting: Setting) -> Callable[[], object]:
    module = copy.deepcopy(setting.module)
    descent = optimizer(module)
    loss = NeuralLoss(AdaLFL().architecture("classification")).requires_grad_()
    meta = torch.optim.Adam(loss.parameters(), 1e-5)
    (inputs, targets), (held_out, truths) = setting.batch(0), setting.batch(1)

    def step() -> None:
        meta.zero_grad()
        with higher.innerloop_ctx(module, descent, copy_initial_weights=False) as (fast, inner):
            inner.step(loss(fast(inputs), targets))
            F.cross_entropy(fast(held_out), truths).backward()
        descent.zero_grad()
        loss(module(inputs), targets).backward()
        descent.step()
        # The second backward pass reached the loss as well; only the first counts.
        meta.step()

    return step


def measure(setting: Setting, repeats: int, report: Report) -> None:
    actions = {
        "ours": with_lossforge(setting),
        "plain training step": plain_step(setting),
        "higher": with_higher(setting),
    }
    times = interleaved(actions, repeats, warmup=3)
    goals = {"plain training step": "<= 3.3", "higher": "<= 0.588 (1.7x faster)"}
    for peer, goal in goals.items():
        ratio = median_ratio(times["ours"], times[peer])
        report.add(f"{setting.name}: step", peer, ratio, goal=goal)
    persistent = 2 * sum(parameter.nbytes for parameter in setting.module.parameters())
    memory = {name: persistent + peak_bytes(action) for name, action in actions.items()}
    goals["plain training step"], goals["higher"] = "<= 1.3", ""
    for peer, goal in goals.items():
        ratio = memory["ours"] / memory[peer]
        report.add(f"{setting.name}: peak memory", peer, ratio, BYTES, goal)


def lenet_like() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    torch.manual_seed(0)
    report = Report()
    settings = [
        Setting("MLP 784-1000-1000-10", mlp(784), (784,)),
        Setting("4 conv blocks of 64, 28x28", conv4(), (1, 28, 28)),
        Setting("LeNet-5, 28x28", lenet_like(), (1, 28, 28)),
    ]
    for setting in settings:
        measure(setting, 5 if arguments.quick else 31, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
