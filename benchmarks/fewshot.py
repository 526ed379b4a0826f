"""A meta-step of MAML (4-CONV, 5-way, 5 inner steps) against the same written with `higher`.

    python benchmarks/fewshot.py [--quick] [--json PATH]

Both sides take the exact meta-gradient of one task of the same network, the same episode and the
same inner optimizer (SGD, Nesterov momentum 0.9); that they find the same is checked. The peer's
network is made of PyTorch's own layers, as one would write it. Ours is measured with all inner
steps in memory and with recomputation. Peak memory is that of all that is allocated in a meta-step.
NPBML's own meta-step is measured against MAML's, and a meta-batch of stacked tasks against the same
tasks one by one, from which `--stacking auto` takes its choice.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import higher
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import BYTES, Report, interleaved, median_ratio, parse_arguments, peak_bytes
from lossforge.methods.npbml import FewShot, Learner, make_learner
from lossforge.methods.npbml.base import Order
from lossforge.methods.npbml.learner import VectorHead
from lossforge.methods.npbml.norm import PooledNorm
from lossforge.tasks.episodes import Episode, EpisodeSpec
from lossforge.tasks.few_shot_sets import characters_task, sinusoids

SIDES = {"Omniglot": (1, 28, 28), "mini-ImageNet": (3, 84, 84)}


def in_usual_layers(encoder: nn.Module) -> nn.Module:
    """Return the same network in PyTorch's own layers, with copies of the weights."""
    layers: list[nn.Module] = []
    for layer in encoder.children():
        if isinstance(layer, nn.Conv2d):
            usual = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
            usual.load_state_dict(layer.state_dict())
            layers.append(usual)
        elif isinstance(layer, PooledNorm):
            norm = nn.BatchNorm2d(len(layer.weight), track_running_stats=False)
            norm.load_state_dict(layer.state_dict())
            layers += [norm, nn.ReLU(), nn.MaxPool2d(2)]
        else:
            layers.append(copy.deepcopy(layer))
    return nn.Sequential(*layers)


class Whole(nn.Module):
    """The encoder and the head as one module, as `higher` wants it."""

    def __init__(self, learner: Learner):
        super().__init__()
        self.encoder = in_usual_layers(learner.encoder)
        assert isinstance(learner.head, VectorHead)
        self.head = nn.Linear(len(learner.head.weight), learner.ways)
        with torch.no_grad():
            self.head.weight.copy_(learner.head.weight.expand(learner.ways, -1))
            self.head.bias.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.encoder(inputs))
        return outputs


def with_higher(whole: Whole, episode: Episode, settings: FewShot) -> Callable[[], object]:
    # Scales of norms do not adapt within a task; ours neither.
    layers = [part for part in whole.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    descent = torch.optim.SGD(
        [theta for layer in layers for theta in layer.parameters()],
        settings.inner_rate,
        settings.inner_momentum,
        nesterov=True,
        weight_decay=settings.inner_weight_decay,
    )

    def step() -> None:
        whole.zero_grad()
        with higher.innerloop_ctx(whole, descent, copy_initial_weights=False) as (fast, inner):
            for _ in range(settings.inner_steps):
                inner.step(F.cross_entropy(fast(episode.support), episode.support_targets))
            F.cross_entropy(fast(episode.query), episode.query_targets).backward()

    return step


def ours(learner: Learner, episode: Episode, order: Order) -> Callable[[], object]:
    def step() -> None:
        learner.zero_grad()
        learner.accumulate(episode, order, 1.0)

    return step


def require_equal(learner: Learner, episode: Episode, settings: FewShot) -> None:
    """Check in double precision that both sides compute the same meta-gradient."""
    learner = copy.deepcopy(learner).double()
    exact = replace(episode, support=episode.support.double(), query=episode.query.double())
    whole = Whole(learner).double()
    ours(learner, exact, "second")()
    with_higher(whole, exact, settings)()
    for layer, usual in zip(_weights(learner.encoder), _weights(whole.encoder), strict=True):
        torch.testing.assert_close(layer.grad, usual.grad, rtol=1e-6, atol=1e-9)


def _weights(encoder: nn.Module) -> list[nn.Parameter]:
    return [part.weight for part in encoder.modules() if isinstance(part, nn.Conv2d)]


def measure(
    name: str, shape: tuple[int, ...], shots: int, repeats: int, report: Report, *, quick: bool
) -> None:
    rows = {f"class {i}": torch.randn(20 + shots, *shape) for i in range(40)}
    task = characters_task(name, rows, 0, rotations=False)
    size = EpisodeSpec(5, shots, 15)
    episode = task.pools["train"].draw(size, torch.Generator().manual_seed(0))
    settings = FewShot("maml", meta_steps=1)
    maml, npbml = (
        make_learner(FewShot(variant, meta_steps=1), task, size, 0) for variant in ("maml", "npbml")
    )
    assert isinstance(maml, Learner)
    assert isinstance(npbml, Learner)
    actions = {
        "second": ours(maml, episode, "second"),
        "recompute": ours(maml, episode, "recompute"),
        "higher": with_higher(Whole(maml), episode, settings),
    }
    require_equal(maml, episode, settings)
    if not quick:  # it takes twenty times as long
        actions["npbml"] = ours(npbml, episode, "second")
        actions["npbml recompute"] = ours(npbml, episode, "recompute")
    times = interleaved(actions, repeats, warmup=1)
    memory = {key: peak_bytes(action) for key, action in actions.items()}
    label = f"{name}, {shots}-shot"
    for key, what in (("second", "exact"), ("recompute", "exact, recomputed")):
        for unit, ratio in (
            ("seconds, below 1 is better", median_ratio(times[key], times["higher"])),
            (BYTES, memory[key] / memory["higher"]),
        ):
            report.add(f"MAML, {what}: {label}", "higher", ratio, unit, "0.67 or 0.5")
    for key, what in (("npbml", "exact"), ("npbml recompute", "exact, recomputed")):
        if key not in times:
            continue
        ratio = median_ratio(times[key], times["second"])
        report.add(f"NPBML, {what}: {label}", "our MAML", ratio)
        report.add(f"NPBML, {what}: {label}", "our MAML", memory[key] / memory["second"], BYTES)


def measure_stacking(repeats: int, report: Report, *, quick: bool) -> None:
    """Four tasks as one stacked network against one after the other."""
    rows = {f"class {i}": torch.randn(11, *SIDES["Omniglot"]) for i in range(40)}
    characters = characters_task("Omniglot", rows, 0, rotations=False)
    tasks = ((sinusoids(0), EpisodeSpec(1, 10, 10)), (characters, EpisodeSpec(5, 1, 5)))
    for task, size in tasks[:1] if quick else tasks:
        for variant in ("maml", "npbml"):
            settings = FewShot(variant, meta_steps=1, width=32)
            learner = make_learner(settings, task, size, 0)
            assert isinstance(learner, Learner)
            draw = torch.Generator().manual_seed(0)
            episodes = [task.pools["train"].draw(size, draw) for _ in range(4)]
            times = interleaved(
                {
                    "stacked": partial(learner.accumulate_stacked, episodes, "second"),
                    "separate": lambda learner=learner, episodes=episodes: [
                        learner.accumulate(episode, "second", 0.25) for episode in episodes
                    ],
                },
                repeats,
                warmup=1,
            )
            ratio = median_ratio(times["stacked"], times["separate"])
            report.add(f"four tasks stacked, {variant}: {task.name}", "one by one", ratio)


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    report = Report()
    repeats = 3 if arguments.quick else 9
    measure("Omniglot", SIDES["Omniglot"], 1, repeats, report, quick=arguments.quick)
    measure("Omniglot", SIDES["Omniglot"], 5, repeats, report, quick=True)
    if not arguments.quick:
        measure("mini-ImageNet", SIDES["mini-ImageNet"], 1, 3, report, quick=True)
    measure_stacking(repeats, report, quick=arguments.quick)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
