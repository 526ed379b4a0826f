from statistics import fmean

import pytest
import torch

from lossforge.experiments.comparison import Comparison
from lossforge.losses import default_loss
from lossforge.losses.resolve import resolve_loss
from lossforge.searching import BaseTraining, make_problems
from lossforge.tasks import load
from lossforge.tasks.planted import KNOWN_BEST

PLANTED = ["planted_student_t", "planted_outliers", "planted_label_noise", "planted_imbalance"]


@pytest.mark.parametrize("name", KNOWN_BEST)
def test_the_known_best_loss_beats_the_default(name):
    task = load(name)
    losses = {
        "best": resolve_loss(KNOWN_BEST[name], task.kind),
        "usual": default_loss(task.kind),
    }
    (problem,) = make_problems(task, "mlp:width=128")
    scores = Comparison(compare_seeds=1, compare_steps=1000)(
        losses, problem, BaseTraining(), 0, progress=lambda *_: None
    )
    best, usual = (fmean(score.test) for score in scores)
    assert best < 0.95 * usual


@pytest.mark.parametrize("name", PLANTED)
def test_only_training_rows_are_corrupted(name):
    task, other = load(name), load(name, split_seed=1)
    assert not torch.equal(task.train.inputs, other.train.inputs)
    spread = {part: getattr(task, part).targets.float().std() for part in ("train", "test")}
    if task.kind.name == "regression":
        assert spread["train"] > 1.3 * spread["test"]
        assert task.test.targets.abs().max() < 20
    if name == "planted_imbalance":
        share = [(getattr(task, part).targets == 0).float().mean() for part in ("train", "test")]
        assert share[0] > 0.7
        assert share[1] < 0.5


@pytest.mark.parametrize("name", PLANTED)
def test_a_seed_gives_the_same_rows(name):
    assert load(name).fingerprint() == load(name).fingerprint()


@pytest.mark.parametrize("name", PLANTED)
def test_both_forms_share_all_rows_but_those_that_validate(name):
    clean, noisy = load(name), load(f"{name}_corrupted_valid")
    assert noisy.name == f"{name}_corrupted_valid"
    for part in ("train", "test"):
        assert torch.equal(getattr(clean, part).inputs, getattr(noisy, part).inputs)
        assert torch.equal(getattr(clean, part).targets, getattr(noisy, part).targets)
    if name == "planted_imbalance":
        assert (noisy.valid.targets == 0).float().mean() > 0.7
        return
    assert torch.equal(clean.valid.inputs, noisy.valid.inputs)
    changed = (clean.valid.targets != noisy.valid.targets).float().mean()
    assert changed > (0.1 if name == "planted_label_noise" else 0.9)
