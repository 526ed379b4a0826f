"""Pixels, tokens and several labels go through every room, from a search to what is exported."""

import math

import pytest
import torch
from torch import Tensor, nn

import lossforge as lf
from lossforge.analysis.export import export
from lossforge.losses import ModulePopulation, SymbolicLoss, as_population, default_loss
from lossforge.searching import handcrafted_rivals, make_problems
from lossforge.searching.problem import BaseTraining
from lossforge.tasks import Classification, MultiLabel, Split, Task
from lossforge.training import make_ensemble
from lossforge.training.hypergradient import Start, hypergradient

SIZES = (48, 24, 24)
SMALL = {"population": 4, "generations": 2, "fitness_steps": 6, "compare_seeds": 2}
SMALL |= {"compare_steps": 6, "rivals": False}


def task_of(name: str, kind, outputs: int, inputs: Tensor, targets: Tensor) -> Task:
    rows = torch.arange(sum(SIZES))
    parts = (Split(inputs[each], targets[each], each) for each in rows.split(SIZES))
    return Task(name, kind, outputs, *parts)


def pixels() -> tuple[Task, type[nn.Module]]:
    """Bright, dark or between, by pixel; the border is void."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(sum(SIZES), 1, 6, 6, generator=draw)
    labels = torch.bucketize(inputs[:, 0], torch.tensor([-0.5, 0.5]))
    labels[:, 0], labels[:, -1] = 255, 255

    class Network(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))

    return task_of("pixels", Classification(ignore_index=255), 3, inputs, labels), Network


def tokens() -> tuple[Task, type[nn.Module]]:
    """Whether a token is odd; sequences are padded."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randint(8, (sum(SIZES), 5), generator=draw)
    labels = inputs % 2
    labels[::2, 3:] = -100

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(8, 4), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.embed(inputs)).movedim(-1, 1)

    return task_of("tokens", "classification", 2, inputs, labels), Network


def labels() -> tuple[Task, type[nn.Module]]:
    """Three labels by the signs of three sums; some are unknown."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(sum(SIZES), 4, generator=draw)
    targets = (inputs @ torch.randn(4, 3, generator=draw) > 0).float()
    targets[::5, 0] = -100

    class Network(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 3)

    return task_of("labels", MultiLabel(), 3, inputs, targets), Network


FORMS = {form.__name__: form() for form in (pixels, tokens, labels)}
each = pytest.mark.parametrize("form", FORMS)


@each
def test_training_under_the_default_loss_learns(form):
    task, network = FORMS[form]
    report = lf.train(task, None, network, steps=100, learning_rate=0.3, progress=False)
    assert report.result["test"] < 0.25
    assert report.result["metric"] == "error_rate"


@each
def test_losses_are_compared(form):
    task, network = FORMS[form]
    names = [str(loss) for loss in handcrafted_rivals(task.kind)]
    names = [names[0], names[-1]]
    report = lf.compare(names, task, network, seeds=2, steps=10, progress=False)
    assert all(0 <= line["test"] <= 1 for line in report.result["lines"])


@each
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("evomal", {"meta_steps": 3, "filter_steps": 10}),
        ("gp-lfl", {}),
        ("random", {}),
        ("taylorglo", {}),
        ("ml3", {"meta_steps": 4}),
    ],
)
def test_searches_end_in_a_loss_and_a_comparison(form, method, settings, tmp_path):
    task, network = FORMS[form]
    known = {name for name in SMALL if method != "ml3" or name not in ("population", "generations")}
    known -= {"fitness_steps"} if method == "ml3" else set()
    small = {name: SMALL[name] for name in known}
    report = lf.search(
        method, task, network, out=tmp_path / "run", progress=False, **small, **settings
    )
    assert report.loss.kind == task.kind
    assert 0 <= report.result["test"] <= 1
    again = lf.load(tmp_path / "run")
    assert again.kind == task.kind
    found = lf.explain(again)
    assert found.explanation.kind == task.kind
    assert found.explanation.lines()


@each
def test_a_loss_adapts(form):
    task, network = FORMS[form]
    small = lf.AdaLFL(warm_up_steps=4, warm_up_scales=(1.0,), warm_up_horizons=(1,), trial_steps=2)
    report = lf.train(
        task, "adalfl", network, adalfl=small, steps=20, check_every=10, progress=False
    )
    assert report.result["test"] <= 1


@each
def test_an_exported_loss_is_the_loss(form):
    task, _ = FORMS[form]
    kind, batch = task.kind, task.train.targets[:6]
    outputs = torch.randn(kind.output_shape(task.outputs, batch), dtype=torch.float64)
    losses = [SymbolicLoss("square(y - p) - y*log(p)", kind=kind).double()]
    losses += [loss for loss in handcrafted_rivals(kind) if loss.is_separable]
    for loss in losses:
        names: dict = {}
        exec(export(loss, "torch", "a test"), names)
        for reduction in ("none", "sum", "mean"):
            loss.reduction = reduction
            found = names["loss"](outputs, batch, reduction)
            torch.testing.assert_close(found, loss(outputs, batch), msg=f"{loss} {reduction}")


@each
@pytest.mark.parametrize("stacking", ["stacked", "separate"])
def test_ensembles_train_as_a_loop_of_one_s_own_does(form, stacking):
    task, network = FORMS[form]
    (problem,) = make_problems(task, network)
    base = BaseTraining(learning_rate=0.1, batch_size=16)
    config = base.setup(problem, 0)
    losses = [
        SymbolicLoss("-y*log(p)", kind=task.kind),
        SymbolicLoss("square(y-p)", kind=task.kind),
    ]
    ensemble = make_ensemble(config, as_population(losses), stacking)
    ensemble.advance(10)
    scores = ensemble.score(task.valid, task.measure)
    for loss, score in zip(losses, scores, strict=True):
        own = config.network.module
        for theta, value in zip(own.parameters(), config.parameters, strict=True):
            theta.data = value.clone()
        optimizer = torch.optim.SGD(own.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
        stream = config.batches()
        for _ in range(10):
            inputs, targets = stream.draw()
            optimizer.zero_grad()
            loss(own(inputs), targets).backward()
            optimizer.step()
        with torch.no_grad():
            found = task.kind.scores(own(task.valid.inputs), task.valid.targets).mean()
        assert score == pytest.approx(float(found), abs=0.02)


@each
def test_populations_have_the_slopes_of_autograd(form):
    task, network = FORMS[form]
    inputs, targets = task.train.inputs[:8], task.train.targets[:8]
    losses = [SymbolicLoss(text, kind=task.kind) for text in ("-y*log(p)", "square(y - p)")]
    one = network()(inputs).detach()
    outputs = torch.stack([one, one.flip(0)])
    tangent = torch.randn(outputs.shape)
    symbolic, modules = as_population(losses), ModulePopulation(losses)
    for given in (outputs, one):
        torch.testing.assert_close(
            symbolic.slope(given, targets), modules.slope(given, targets), rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(
            symbolic.mixed(given, targets, tangent)[0, :4],
            modules.mixed(given, targets, tangent)[0, :4],
            rtol=1e-3,
            atol=1e-5,
        )


@each
@pytest.mark.parametrize("strategy", ["forward", "reverse"])
def test_the_hypergradient_is_the_difference_of_trainings(form, strategy):
    task, network = FORMS[form]
    (problem,) = make_problems(task, network)
    module = problem.network(0)
    optimizer = BaseTraining(learning_rate=0.5).optimizer()
    theta = module.parameters()
    start = Start(module, theta, optimizer, optimizer.init(theta))
    train = (task.train.inputs[:16], task.train.targets[:16])
    valid = (task.valid.inputs[:16], task.valid.targets[:16])
    population = as_population([SymbolicLoss("-1.5*y*log(p)", kind=task.kind)])
    goal = default_loss(task.kind)

    def goal_at(index: int, step: float) -> float:
        coefficients = population.coefficients.clone()
        coefficients[0, index] += step
        moved = population.with_coefficients(coefficients)
        return hypergradient(start, moved, [train], valid, goal, strategy).task_loss.item()

    found = hypergradient(start, population, [train], valid, goal, strategy)
    assert math.isfinite(found.task_loss.item())
    for index in range(2):
        difference = (goal_at(index, 0.05) - goal_at(index, -0.05)) / 0.1
        assert found.gradient[0, index].item() == pytest.approx(difference, rel=0.05, abs=1e-4)
