"""A step of a loop of one's own: the loop's code decides, the loss learns from what it did."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from lossforge.errors import DataError
from lossforge.training.module import Moment
from methods.half_batches import SETTINGS, attached, batch, network


def test_a_loop_learns_what_a_step_does():
    ours, theirs = network(), network()
    observing, stepping = attached(ours), attached(theirs)
    for step in range(3):
        inputs = batch(step), batch(50 + step)
        torch.manual_seed(step)
        observed = observing.observe()
        observed.loss(inputs[0]).backward()
        observed.before_step()
        observed.take_step()
        found = observed.learn(inputs[1])
        torch.manual_seed(step)
        expected = stepping.step(*inputs)
        assert found.loss == pytest.approx(expected.loss)
        assert found.task_loss == pytest.approx(expected.task_loss)
    for a, b in zip(
        [*ours.state_dict().values(), *observing.loss.state_dict().values()],
        [*theirs.state_dict().values(), *stepping.loss.state_dict().values()],
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    assert all(theta.grad is None for theta in ours.parameters())


def test_outputs_of_any_code_can_be_learned_from():
    """A head that is called after the model is repeated by the loop's own function."""
    ours, theirs = network(), network()
    observing, stepping = attached(ours), attached(theirs)
    (inputs, targets), (held_out, wanted) = batch(0), batch(50)
    torch.manual_seed(0)
    observed = observing.observe()
    moment = Moment(ours)
    outputs = ours(inputs)
    observed.loss_of(outputs, targets, moment, lambda: ours(inputs)).backward()
    observed.before_step()
    observed.take_step()
    found = observed.learn(rerun=lambda: (ours(held_out), wanted))
    torch.manual_seed(0)
    expected = stepping.step((inputs, targets), (held_out, wanted))
    for a, b in zip(found.hypergradient, expected.hypergradient, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_a_loop_that_clips_itself_says_so():
    model = network()
    observed = attached(model, replace(SETTINGS, clip_norm=0.01)).observe()
    observed.loss(batch(0)).backward()
    raw = [theta.grad.clone() for theta in model.parameters()]
    observed.before_clipping()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    for theta, expected in zip(model.parameters(), observed.clipped, strict=True):
        torch.testing.assert_close(theta.grad, expected)
    assert any(
        not torch.equal(theta.grad, g) for theta, g in zip(model.parameters(), raw, strict=True)
    )
    observed.before_step(clip=False)
    observed.take_step()
    assert observed.learn(batch(50)).task_loss is not None


def test_steps_between_updates_need_no_validation_batch():
    model = network()
    adapt = attached(model, replace(SETTINGS, every=2))
    seen = []
    for step in range(4):
        before = copy.deepcopy(adapt.loss.state_dict())
        observed = adapt.observe()
        observed.loss(batch(step)).backward()
        observed.before_step()
        observed.take_step()
        is_due = adapt.is_due
        found = observed.learn(batch(50) if is_due else None)
        seen.append(is_due)
        assert (found.task_loss is not None) == is_due
        same = all(torch.equal(v, before[k]) for k, v in adapt.loss.state_dict().items())
        assert same != is_due
    assert sorted(seen) == [False, False, True, True]


def test_a_missing_validation_batch_is_told():
    observed = attached(network()).observe()
    observed.loss(batch(0)).backward()
    observed.before_step()
    observed.take_step()
    with pytest.raises(DataError, match="a validation batch is needed"):
        observed.learn()
