"""One suite over the tasks that need only their name; tests/tasks/test_files.py has the rest."""

import pytest
import torch

from lossforge.losses import default_loss
from lossforge.models import initialize, resolve
from lossforge.searching import make_problems
from lossforge.tasks import LOADERS, Batches, load

each = pytest.mark.parametrize("name", LOADERS)


@each
def test_splits_share_no_row(name):
    task = load(name)
    rows = torch.cat([split.rows for split in (task.train, task.valid, task.test)])
    assert len(rows.unique()) == len(rows)


@each
def test_a_seed_fixes_the_splits_and_another_deals_anew(name):
    first, again, other = (load(name, split_seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


@each
def test_a_network_trains_on_it(name):
    task = load(name)
    network = initialize(resolve("linear", task), seed=0)
    loss = default_loss(task.kind)
    descent = torch.optim.SGD(network.parameters(), 0.05)
    before = loss(network(task.train.inputs), task.train.targets)
    for _ in range(30):
        descent.zero_grad()
        loss(network(task.train.inputs), task.train.targets).backward()
        descent.step()
    assert loss(network(task.train.inputs), task.train.targets) < before


@each
def test_validation_batches_are_rows_as_they_are(name):
    task = load(name)
    (problem,) = make_problems(task, "linear")
    drawn = problem.batches(task.valid, 8, 0).draw()[0]
    plain = Batches(task.valid, 8, torch.Generator().manual_seed(0))
    known = {tuple(row.flatten().tolist()) for row in task.valid.inputs}
    assert plain.draw()[0].shape == drawn.shape
    assert {tuple(row.flatten().tolist()) for row in drawn} <= known


@each
def test_statistics_come_from_training_rows_alone(name):
    task = load(name)
    axes = (0, 2, 3) if len(task.input_shape) == 3 else (0,)
    train = task.train.inputs.double().mean(axes).abs().max()
    valid = task.valid.inputs.double().mean(axes).abs().max()
    if not name.startswith("planted"):  # whose inputs are drawn standard normal
        assert train < 1e-6
    assert valid > 1e-6
