import pytest
import torch

from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.losses import SymbolicLoss, as_population
from lossforge.losses.resolve import objective
from lossforge.searching import BaseTraining, make_problems
from lossforge.searching.meta_training import MetaTraining
from lossforge.tasks import load
from lossforge.training.hypergradient import Start, hypergradient


def quiet(*_):
    pass


def tuned(expressions, task="diabetes", **changes):
    losses = [SymbolicLoss(e, kind=load(task).kind) for e in expressions]
    settings = {"steps": 6, "learning_rate": 1e-2, "inner_steps": 1} | changes
    return MetaTraining(**settings)(
        as_population(losses), make_problems(load(task), "linear"), BaseTraining(), 0, quiet
    ).coefficients


def test_the_first_step_is_the_same_under_every_horizon():
    fresh, own = (tuned(["abs(p - y)", "(p - y)*p"], steps=1, horizon=h) for h in (1, 5))
    assert torch.allclose(fresh, own, atol=1e-7)


def test_later_steps_begin_where_the_loss_has_led():
    fresh, own = (tuned(["abs(p - y)"], steps=2, horizon=h) for h in (1, 2))
    assert not torch.allclose(fresh, own, atol=1e-5)


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_a_loss_is_tuned_as_if_it_were_alone(inner_steps):
    settings = {"horizon": 3, "inner_steps": inner_steps}
    together = tuned(["abs(p - y)", "tanh((p - y)*p) + square(p - y)"], **settings)
    alone = tuned(["abs(p - y)"], **settings)
    assert torch.allclose(together[0, : alone.shape[1]], alone[0], atol=1e-6)


def test_trained_networks_restrain_the_step():
    # One step from the beginning a larger step always looks better; near the end it does not.
    def largest(horizon):
        return tuned(["abs(p - y)"], steps=300, learning_rate=3e-3, horizon=horizon).max()

    assert largest(1) > 1.3 * largest(100)


def test_a_loss_under_which_networks_diverge_gets_fresh_ones():
    found = tuned(["square(square(square(p - y))*p)"], steps=12, horizon=6, learning_rate=1e-3)
    assert found.isfinite().all()


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"learning_rate": 0.0}, {"inner_steps": 0}, {"horizon": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        tuned(["abs(p - y)"], **wrong)


def test_the_task_loss_can_be_chosen():
    expressions = ["-y*log(p)"]
    usual, same, other = (
        tuned(expressions, "iris", task_loss=name)
        for name in ("", "cross_entropy", "calibrated_cross_entropy")
    )
    assert torch.equal(usual, same)
    assert not torch.allclose(usual, other, atol=1e-4)


@pytest.mark.parametrize("name", ["nothing", "calibrated_cross_entropy"])
def test_task_losses_that_do_not_fit_are_refused(name):
    with pytest.raises(LossforgeError):
        tuned(["abs(p - y)"], task_loss=name)


@pytest.mark.parametrize("horizon", [1, 3])
def test_meta_steps_follow_the_metric(horizon):
    task = load("breast_cancer").with_single_output().with_metric("f1")
    problems = make_problems(task, "linear")
    losses = [SymbolicLoss(text) for text in ("square(y - p)", "abs(y - p)*p")]
    settings = MetaTraining(steps=3, learning_rate=1e-2, horizon=horizon, task_loss="metric")
    found = settings(as_population(losses), problems, BaseTraining(), 0, quiet).coefficients
    assert bool(found.isfinite().all())
    others = [settings, MetaTraining(steps=3, learning_rate=1e-2, horizon=horizon)]
    others = [each(as_population(losses), problems, BaseTraining(), 0, quiet) for each in others]
    assert torch.equal(others[0].coefficients, found)
    assert not torch.allclose(others[1].coefficients, found)


def test_a_meta_step_lowers_the_smooth_metric_of_the_next_training():
    task = load("breast_cancer").with_single_output().with_metric("auroc")
    (problem,) = make_problems(task, "linear")
    base = BaseTraining(learning_rate=0.1)
    loss = SymbolicLoss("0.1*square(y - p)")

    def cost_after(coefficients) -> float:
        start = problem.network(0)
        optimizer = base.optimizer()
        theta = start.parameters()
        batch = (task.train.inputs, task.train.targets)
        population = as_population([loss.with_coefficients(coefficients)])
        found = hypergradient(
            Start(start, theta, optimizer, optimizer.init(theta)),
            population,
            [batch],
            (task.valid.inputs, task.valid.targets),
            objective("metric", task.kind, task.measure),
            "forward",
        )
        return found.task_loss.item(), found.gradient[0]

    before, gradient = cost_after(loss.coefficients)
    after, _ = cost_after(loss.coefficients - 0.05 * gradient / gradient.norm())
    assert after < before
