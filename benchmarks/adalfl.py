"""An AdaLFL step (batch 128) against a plain training step and the same update with `higher`.

    python benchmarks/adalfl.py [--quick] [--json PATH]

All sides train the same network by SGD with Nesterov momentum in the middle of training, from equal
batches. The peer unrolls the step with `higher`, differentiates the validation loss with respect to
the loss network, and takes the same step with the plain optimizer; it cannot differentiate the
attention of the transformers. Steps "every 4" adapt the loss in one of four. Peak memory is that of
weights and momentum and of all that is allocated in a step.
"""

import copy
import warnings
from collections.abc import Callable

import higher
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import BYTES, Report, interleaved, median_ratio, parse_arguments, peak_bytes
from hypergradient import Setting, conv4, mlp, optimizer, plain_step
from lossforge.losses import NeuralLoss
from lossforge.methods import AdaLFL
from lossforge.training.hypergradient import SlowPathWarning


def with_lossforge(setting: Setting, every: int = 1) -> Callable[[], object]:
    module = copy.deepcopy(setting.module)
    adapt = AdaLFL(every=every).attach(module, optimizer(module), outputs=10)
    batch, valid = setting.batch(0), setting.batch(1)

    def steps() -> None:
        for _ in range(every):
            adapt.step(batch, valid)

    steps()  # the first finds out how the model is differentiated
    return steps


def four_plain_steps(setting: Setting) -> Callable[[], object]:
    step = plain_step(setting)

    def steps() -> None:
        for _ in range(4):
            step()

    return steps


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


GOALS = {"MLP": "<= 2.5", "4 conv": "<= 3.1", "LeNet": "<= 3.0"}


def measure(setting: Setting, repeats: int, report: Report) -> None:
    actions = {"ours": with_lossforge(setting), "plain training step": plain_step(setting)}
    goals = {"plain training step": next((g for n, g in GOALS.items() if n in setting.name), "")}
    if not isinstance(setting, TokenSetting):
        actions["higher"], goals["higher"] = with_higher(setting), "<= 0.588 (1.7x faster)"
    times = interleaved(actions, repeats, warmup=3)
    for peer, goal in goals.items():
        ratio = median_ratio(times["ours"], times[peer])
        report.add(f"{setting.name}: step", peer, ratio, goal=goal)
    rare = {"ours": with_lossforge(setting, every=4), "peer": four_plain_steps(setting)}
    times = interleaved(rare, max(5, repeats // 3))
    ratio = median_ratio(times["ours"], times["peer"])
    report.add(f"{setting.name}: every 4 steps", "4 plain training steps", ratio, goal="<= 1.5")
    persistent = 2 * sum(parameter.nbytes for parameter in setting.module.parameters())
    memory = {name: persistent + peak_bytes(action) for name, action in actions.items()}
    for peer in goals:
        goal = "<= 1.3" if peer == "plain training step" else ""
        ratio = memory["ours"] / memory[peer]
        report.add(f"{setting.name}: peak memory", peer, ratio, BYTES, goal)


class Logits(nn.Module):
    """A transformer as a module of one tensor."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs).logits


class TokenSetting(Setting):
    """A transformer; its inputs are words where the shape has one dimension."""

    def batch(self, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        rows = 32
        inputs = (
            torch.randint(1000, (rows, *self.shape), generator=generator)
            if len(self.shape) == 1
            else torch.randn(rows, *self.shape, generator=generator)
        )
        return inputs, torch.randint(10, (rows,), generator=generator)


def transformers() -> list[Setting]:
    """A BERT and a ViT of modest size; none where the package is not installed."""
    try:
        from transformers import (
            BertConfig,
            BertForSequenceClassification,
            ViTConfig,
            ViTForImageClassification,
        )
    except ImportError:
        print("transformers is not installed: BERT and ViT are left out")
        return []
    size = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
    size |= {"num_hidden_layers": 3, "num_labels": 10}
    bert = BertForSequenceClassification(BertConfig(vocab_size=1000, **size))
    vit = ViTForImageClassification(ViTConfig(image_size=32, patch_size=4, **size))
    return [
        TokenSetting("BERT, 3 layers of 192, 64 words, B 32", Logits(bert), (64,)),
        TokenSetting("ViT, 3 layers of 192, 32x32, B 32", Logits(vit), (3, 32, 32)),
    ]


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
    warnings.simplefilter("ignore", SlowPathWarning)
    torch.manual_seed(0)
    report = Report()
    settings = [
        Setting("MLP 784-1000-1000-10", mlp(784), (784,)),
        Setting("4 conv blocks of 64, 28x28", conv4(), (1, 28, 28)),
        Setting("LeNet-5, 28x28", lenet_like(), (1, 28, 28)),
        *transformers(),
    ]
    for setting in settings:
        measure(setting, 5 if arguments.quick else 31, report)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
