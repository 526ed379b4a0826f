"""One hypergradient (K = 1, batch 128) against `higher` and against a plain training step.

    python benchmarks/hypergradient.py [--quick] [--json PATH]

`higher` is used as its documentation says: an inner-loop context, a differentiable optimizer step,
and `backward` of the validation loss; `higher, lean` differentiates with respect to the loss's
coefficients alone. All sides use the same network, batches and learned loss, and SGD with Nesterov
momentum. Peak memory is that of weights and momentum and of all that is allocated in the step.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import higher
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import Report, interleaved, median_ratio, parse_arguments, peak_bytes
from lossforge.losses import CrossEntropy, SymbolicLoss, SymbolicPopulation
from lossforge.models import initialize, resolve
from lossforge.tasks import load
from lossforge.training import SGD, Network
from lossforge.training.hypergradient import Start, choose_strategy, hypergradient

BATCH, CLASSES = 128, 10
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4
LOSS = "tanh(y*log(p)) - aq(y, sqrt(abs(p - y)))"


@dataclass
class Setting:
    name: str
    module: nn.Module
    shape: tuple[int, ...]

    def batch(self, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(BATCH, *self.shape, generator=generator)
        return inputs, torch.randint(CLASSES, (BATCH,), generator=generator)


def mlp(inputs: int) -> nn.Module:
    layers = [nn.Linear(inputs, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(1000, CLASSES))


def conv4(channels: int = 64) -> nn.Module:
    blocks: list[nn.Module] = []
    for source in (1, channels, channels, channels):
        blocks += [nn.Conv2d(source, channels, 3, padding=1), nn.BatchNorm2d(channels)]
        blocks += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(channels, CLASSES))


def optimizer(module: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(
        module.parameters(), LEARNING_RATE, MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY
    )


def plain_step(setting: Setting) -> Callable[[], object]:
    """A step of training as everyone writes it, with cross-entropy."""
    module = copy.deepcopy(setting.module)
    descent = optimizer(module)
    inputs, targets = setting.batch(0)

    def step() -> None:
        descent.zero_grad()
        F.cross_entropy(module(inputs), targets).backward()
        descent.step()

    return step


def with_higher(setting: Setting, loss: SymbolicLoss, *, lean: bool) -> Callable[[], Tensor]:
    module = copy.deepcopy(setting.module)
    learned = copy.deepcopy(loss).requires_grad_()
    descent = optimizer(module)
    (inputs, targets), (held_out, truths) = setting.batch(0), setting.batch(1)

    def gradient() -> Tensor:
        learned.zero_grad()
        module.zero_grad()
        with higher.innerloop_ctx(module, descent, copy_initial_weights=False) as (fast, steps):
            steps.step(learned(fast(inputs), targets))
            value = F.cross_entropy(fast(held_out), truths)
            if lean:
                return torch.autograd.grad(value, learned.coefficients)[0]
            value.backward()
        assert learned.coefficients.grad is not None
        return learned.coefficients.grad

    return gradient


def with_lossforge(setting: Setting, loss: SymbolicLoss) -> Callable[[], Tensor]:
    network = Network(copy.deepcopy(setting.module))
    parameters = network.parameters()
    sgd = SGD(LEARNING_RATE, MOMENTUM, True, WEIGHT_DECAY)
    start = Start(network, parameters, sgd, sgd.init(parameters))
    train, valid = setting.batch(0), setting.batch(1)
    losses, task_loss = SymbolicPopulation([loss]), CrossEntropy()
    strategy = choose_strategy(start, train[0])
    return lambda: hypergradient(start, losses, [train], valid, task_loss, strategy).gradient[0]


def measure(setting: Setting, repeats: int, report: Report) -> None:
    loss = SymbolicLoss(LOSS)
    ours = with_lossforge(setting, loss)
    peers = {
        "plain training step": plain_step(setting),
        "higher": with_higher(setting, loss, lean=False),
        "higher, lean": with_higher(setting, loss, lean=True),
    }
    torch.testing.assert_close(ours(), peers["higher"](), rtol=1e-3, atol=1e-6)
    times = interleaved({"ours": ours, **peers}, repeats)
    plain = "plain training step"
    goals = {plain: "<= 2.4", "higher": "<= 0.55", "higher, lean": ""}
    for peer, goal in goals.items():
        ratio = median_ratio(times["ours"], times[peer])
        report.add(f"{setting.name}: hypergradient", peer, ratio, goal=goal)
    # Weights and momentum are held by all sides throughout.
    persistent = 2 * sum(parameter.nbytes for parameter in setting.module.parameters())
    memory = {name: peak_bytes(action) for name, action in {"ours": ours, **peers}.items()}
    for peer in peers:
        ratio = memory["ours"] / memory[peer]
        report.add(
            f"{setting.name}: hypergradient",
            peer,
            ratio,
            "bytes allocated in the step, below 1 is better",
        )
    total = (memory["ours"] + persistent) / (memory[plain] + persistent)
    report.add(
        f"{setting.name}: hypergradient", plain, total, "bytes in all, below 1 is better", "<= 1.3"
    )


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    torch.manual_seed(0)
    report = Report()
    digits = initialize(resolve("mlp", load("digits")), 0)
    settings = [
        Setting("MLP 64-1000-1000-10", digits, (1, 8, 8)),
        Setting("MLP 784-1000-1000-10", mlp(784), (784,)),
        Setting("4 conv blocks of 64, 28x28", conv4(), (1, 28, 28)),
    ]
    for setting in settings:
        measure(setting, 5 if arguments.quick else 31, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
