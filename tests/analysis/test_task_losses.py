"""The inner loss of single rows: the default part is PyTorch's, the learned part the learner's."""

import pytest
import torch
import torch.nn.functional as F

from lossforge.analysis import task_losses as module
from lossforge.analysis.task_losses import TaskLoss, draw_task_losses, task_losses
from lossforge.errors import ConfigurationError
from lossforge.methods.npbml import FewShot, make_learner
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot

SHAPE = EpisodeSpec(ways=3, shots=2, queries=2)


def made(variant: str, name: str = "clusters", shape: EpisodeSpec = SHAPE):
    task = load_few_shot(name)
    few = FewShot(variant, network="dense", width=4)
    return make_learner(few, task, shape, seed=1), task


def test_the_default_part_is_cross_entropy_of_the_row():
    learner, task = made("maml_inductive")
    (found,) = task_losses(learner, task, SHAPE, 0, count=1)
    rows = torch.zeros(len(found.position), 3)
    rows[:, 0] = torch.tensor(found.position)
    labels = torch.zeros(len(rows), dtype=torch.int64)
    expected = F.cross_entropy(rows, labels, reduction="none")
    torch.testing.assert_close(torch.tensor(found.default), expected)


def test_the_learned_part_is_modulated_by_the_task_s_rows():
    learner, task = made("npbml")
    with torch.no_grad():
        for weight in learner.loss.inductive.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    first, second = task_losses(learner, task, SHAPE, 0, count=2)
    again, _ = task_losses(learner, task, SHAPE, 0, count=2)
    (other,) = task_losses(learner, task, SHAPE, 1, count=1)
    assert again == first
    assert first.learned != first.default
    added = [
        [learned - known for learned, known in zip(one.learned, one.default, strict=True)]
        for one in (first, second, other)
    ]
    assert added[0] != added[1]
    assert added[0] != added[2]


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_slope_ratio_is_how_much_steeper_the_learned_loss_is(factor):
    position = torch.linspace(-6, 6, module.POINTS).tolist()
    default = [-p for p in position]
    found = TaskLoss(position, default, [factor * value + 7 for value in default])
    assert found.slope_ratio == pytest.approx(factor)


def test_a_learner_without_such_a_loss_is_refused():
    learner, task = made("maml")
    with pytest.raises(ConfigurationError, match="learns no loss of labeled predictions"):
        task_losses(learner, task, SHAPE, 0)


@pytest.mark.parametrize("name", ["clusters", "sinusoids"])
def test_curves_are_drawn(name, tmp_path):
    shape = SHAPE if name == "clusters" else EpisodeSpec(1, 5, 5)
    learner, task = made("maml_inductive", name, shape)
    draw_task_losses(task_losses(learner, task, shape, 0, count=2), task.kind, tmp_path / "curves")
    text = (tmp_path / "curves.svg").read_text()
    assert (tmp_path / "curves.png").stat().st_size > 5000
    assert "task 2" in text or "<svg" in text
