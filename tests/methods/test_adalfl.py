import copy
import math
from collections.abc import Iterator
from statistics import fmean

import pytest
import torch
from torch import Tensor, nn

import lossforge as lf
from lossforge.errors import ConfigurationError, DataError
from lossforge.methods import AdaLFL
from lossforge.methods.warm_up import _Course

Batch = tuple[Tensor, Tensor]

PAPER = AdaLFL(warm_up_steps=300, warm_up_scales=(), warm_up_horizons=(1,))
"""the loss network alone, without a trial"""


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def batches(count: int, seed: int = 1) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    centers = 2 * torch.eye(3, 4)
    found = []
    for _ in range(count):
        labels = torch.randint(3, (32,), generator=generator)
        found.append((centers[labels] + torch.randn(32, 4, generator=generator), labels))
    return found


def attached(settings: AdaLFL | None = None, model: nn.Module | None = None, **options):
    model = network() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    settings = settings or AdaLFL(warm_up_steps=20, trial_steps=20, meta_learning_rate=1e-3)
    return model, optimizer, settings.attach(model, optimizer, outputs=3, **options)


def test_warming_up_teaches_the_loss_and_leaves_the_model_alone():
    model, optimizer, adapt = attached(PAPER)
    before, loss_before = copy.deepcopy(model.state_dict()), copy.deepcopy(adapt.loss)
    told = []
    adapt.warm_up(batches(3), batches(2, 9), progress=lambda *pair: told.append(pair))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not optimizer.state
    assert told[-1] == (300, 300)

    def reached(loss: lf.losses.Loss) -> float:
        trained = copy.deepcopy(model)
        descent = torch.optim.SGD(trained.parameters(), 0.1, momentum=0.9)
        ((inputs, labels),) = batches(1, 5)
        loss(trained(inputs), labels).backward()
        descent.step()
        ((inputs, labels),) = batches(1, 6)
        return nn.functional.cross_entropy(trained(inputs), labels).item()

    assert reached(adapt.loss) < 0.9 * reached(loss_before)


def test_the_loss_adapts_and_the_model_learns():
    model, _, adapt = attached()
    adapt.warm_up(batches(3), batches(2, 9))
    before = [weights.clone() for weights in adapt.loss.parameters()]
    steps = [adapt.step(a, b) for a, b in zip(batches(60), batches(60, 9), strict=True)]
    # Cross-entropy at its best temperature gains less than cross-entropy, which begins unsure.
    assert fmean(step.task_loss for step in steps[-10:]) < 0.9 * steps[0].task_loss
    assert all(not torch.equal(a, b) for a, b in zip(before, adapt.loss.parameters(), strict=True))
    assert all(weights.grad is None for weights in model.parameters())


def test_training_goes_on_where_it_was_saved():
    train, valid = batches(8), batches(8, 9)
    model, optimizer, adapt = attached()
    for pair in zip(train[:4], valid[:4], strict=True):
        adapt.step(*pair)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), adapt.state_dict()))
    other, other_optimizer, again = attached()
    for thing, state in zip((other, other_optimizer, again), saved, strict=True):
        thing.load_state_dict(state)
    for pair in zip(train[4:], valid[4:], strict=True):
        adapt.step(*pair)
        again.step(*pair)
    assert again.steps == adapt.steps == 8
    assert again.horizon == adapt.horizon
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(adapt.loss.parameters(), again.loss.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_loss_may_be_updated_now_and_then():
    _, _, adapt = attached(AdaLFL(every=3))
    (batch,), (valid,) = batches(1), batches(1, 9)
    first = adapt.loss.layers[-1].clone()
    assert [adapt.step(batch).task_loss for _ in range(2)] == [None, None]
    assert torch.equal(first, adapt.loss.layers[-1])
    with pytest.raises(DataError, match="validation batch is needed"):
        adapt.step(batch)
    assert adapt.step(batch, valid).task_loss is not None
    assert not torch.equal(first, adapt.loss.layers[-1])


def test_copies_of_the_loss_are_kept():
    _, _, adapt = attached(AdaLFL(record_every=4, meta_learning_rate=1e-2))
    for pair in zip(batches(9), batches(9, 9), strict=True):
        adapt.step(*pair)
    assert [moment.step for moment in adapt.moments] == [0, 4, 8]
    assert not torch.equal(adapt.moments[0].loss.layers[0], adapt.moments[2].loss.layers[0])
    assert torch.isfinite(torch.tensor([moment.factor for moment in adapt.moments])).all()


def test_the_factor_of_a_rescaled_task_loss_is_the_scale():
    class Tripled(lf.losses.Loss):
        def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return lf.losses.CrossEntropy().per_row(outputs, targets) / 3

        def definition(self) -> dict[str, object]:
            return {}

        def __str__(self) -> str:
            return "a third"

    settings = AdaLFL(record_every=1)
    _, _, usual = attached(settings)
    _, _, third = attached(settings, task_loss=Tripled("classification"))
    (batch,), (valid,) = batches(1), batches(1, 9)
    usual.step(batch, valid)
    third.step(batch, valid)
    assert third.moments[0].factor == pytest.approx(3 * usual.moments[0].factor, rel=1e-4)


def test_schedulers_of_both_optimizers_are_heeded():
    _, optimizer, adapt = attached()
    schedules = [
        torch.optim.lr_scheduler.StepLR(o, 1, gamma=1e-30)
        for o in (optimizer, adapt.meta_optimizer)
    ]
    (batch,), (valid,) = batches(1), batches(1, 9)
    adapt.step(batch, valid)
    for schedule in schedules:
        schedule.step()
    before = adapt.loss.layers[0].clone()
    adapt.step(batch, valid)
    assert torch.equal(before, adapt.loss.layers[0])


def test_bfloat16_trains():
    _, _, adapt = attached(precision=torch.bfloat16)
    step = adapt.step(*batches(2))
    assert all(g.isfinite().all() and g.dtype == torch.float32 for g in step.hypergradient)


def test_regression_with_adamw():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), 0.05)
    adapt = AdaLFL(warm_up_steps=400, warm_up_horizons=(20,)).attach(
        model, optimizer, "regression", outputs=1
    )
    inputs = torch.randn(64, 4)
    batch = (inputs, inputs.sum(1, keepdim=True))
    adapt.warm_up([batch], [batch])
    steps = [adapt.step(batch, batch) for _ in range(60)]
    assert steps[-1].task_loss < 0.5 * steps[0].task_loss


def fitted(**settings) -> tuple[lf.methods.adalfl.AdaptiveTraining, float]:
    """Return training on a linear target after 150 steps, and its last task loss."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    adapt = AdaLFL(**{"warm_up_steps": 400} | settings).attach(model, optimizer, "regression")
    inputs = torch.randn(128, 4)
    batch = (inputs, inputs.sum(1, keepdim=True))
    adapt.warm_up([batch], [batch])
    return adapt, [adapt.step(batch, batch).task_loss for _ in range(150)][-1]


def test_a_loss_that_has_seen_trained_networks_knows_where_to_rest():
    _, short = fitted(warm_up_horizons=(1,))
    _, long = fitted(warm_up_horizons=(100,))
    assert long < 0.1 * short


def test_of_several_warm_ups_the_one_under_which_the_network_does_best_is_kept():
    _, alone = fitted(warm_up_horizons=(1,))
    adapt, best = fitted(warm_up_horizons=(1, 100), trial_every=200, trial_steps=50)
    assert adapt.horizon == 100
    assert best < 0.1 * alone


@pytest.mark.parametrize(
    ("scales", "numbers", "trials"),
    [
        ((), (), 0),
        ((1,), (), 7),
        ((0.5, 2, 8), (), 3 * 7),
        ((1,), (0.1,), 7),
        ((0.5, 2, 8), (0.01, 0.1, 0.2), 9 * 2 + 3 * 4 + 1 * 7),
    ],
)
def test_choosing_a_warm_up_leaves_all_but_the_loss_as_it_was(scales, numbers, trials):
    settings = AdaLFL(
        30,
        warm_up_scales=scales,
        form="label_smoothing" if numbers else "",
        warm_up_numbers=numbers,
        warm_up_horizons=(1, 5),
        trial_every=10,
        trial_steps=7,
    )
    model, optimizer, adapt = attached(settings)
    model.eval()
    before, told = copy.deepcopy(model.state_dict()), []
    adapt.warm_up(batches(3), batches(2, 9), progress=lambda *pair: told.append(pair))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not model.training
    assert not optimizer.state
    assert not adapt.meta_optimizer.state
    total = trials + 2 * (10 + 7) + 2 * (10 + 7)
    assert told == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("broken", [{1}, {1, 5}])
def test_a_warm_up_that_breaks_off_is_passed_over(
    broken: set[int], monkeypatch: pytest.MonkeyPatch
):
    settings = AdaLFL(20, warm_up_scales=(), warm_up_horizons=(1, 5), trial_every=5, trial_steps=5)
    _, _, adapt = attached(settings)
    learn = _Course.learn

    def breaking(self, steps, horizon):
        learn(self, steps, horizon)
        if horizon in broken:
            with torch.no_grad():
                self.loss.layers[0].fill_(torch.nan)

    monkeypatch.setattr(_Course, "learn", breaking)
    if broken == {1}:
        adapt.warm_up(batches(3), batches(2, 9))
        assert adapt.horizon == 5
    else:
        with pytest.raises(DataError, match="the loss is nan"):
            adapt.warm_up(batches(3), batches(2, 9))


def test_a_warm_up_that_spoils_the_loss_later_is_taken_back(monkeypatch: pytest.MonkeyPatch):
    settings = AdaLFL(
        30, warm_up_scales=(), warm_up_horizons=(1, 5), trial_every=10, trial_steps=40
    )
    _, _, adapt = attached(settings)
    learn, losses = _Course.learn, []

    def spoiling(self, steps, horizon):
        learn(self, steps, horizon)
        losses.append([weights.detach().clone() for weights in self.loss.parameters()])
        if len(losses) > 2:
            with torch.no_grad():
                self.loss.layers[-1].zero_()

    monkeypatch.setattr(_Course, "learn", spoiling)
    adapt.warm_up(batches(3), batches(2, 9))
    kept = losses[0] if adapt.horizon == 1 else losses[1]
    assert len(losses) == 4
    assert all(torch.equal(a, b) for a, b in zip(adapt.loss.parameters(), kept, strict=True))


@pytest.mark.parametrize("form", ["", "label_smoothing"])
def test_before_a_warm_up_the_loss_is_the_usual_one(form):
    model, _, adapt = attached(AdaLFL(form=form))
    (inputs, labels), valid = batches(2)
    twin = copy.deepcopy(model)
    descent = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9)
    nn.functional.cross_entropy(twin(inputs), labels).backward()
    descent.step()
    adapt.step((inputs, labels), valid)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_warm_up_begins_at_the_scale_under_which_the_network_does_best():
    scales = (1e-5, 0.3, 1e5)
    _, _, adapt = attached(AdaLFL(0, warm_up_scales=scales, trial_steps=50))
    adapt.warm_up(batches(3), batches(2, 9))
    assert adapt.horizon == 0
    assert adapt.loss.log_scale.exp().item() == pytest.approx(0.3)
    assert not adapt.loss.layers[-1].any()


@pytest.mark.parametrize("spoilt", [True, False])
def test_what_is_learned_must_beat_the_usual_loss(spoilt: bool, monkeypatch: pytest.MonkeyPatch):
    learn = _Course.learn

    def spoiling(self, steps, horizon):
        learn(self, steps, horizon)
        if spoilt:
            self.loss.set_scale(1e-9)
            nn.init.zeros_(self.loss.layers[-1])

    monkeypatch.setattr(_Course, "learn", spoiling)
    scale = 0.5 if spoilt else 1e-6
    settings = AdaLFL(300, warm_up_scales=(scale,), warm_up_horizons=(1, 20), trial_steps=50)
    _, _, adapt = attached(settings)
    adapt.warm_up(batches(3), batches(2, 9))
    assert (adapt.horizon == 0) == spoilt
    assert bool(adapt.loss.layers[-1].any()) != spoilt


def test_without_a_form_the_loss_is_that_of_the_scale_alone():
    settings = AdaLFL(0, form="", warm_up_scales=(1e-5, 0.3, 1e5), trial_steps=50)
    _, _, adapt = attached(settings)
    adapt.warm_up(batches(3), batches(2, 9))
    assert adapt.loss.numbers() == {"scale": pytest.approx(0.3)}


def test_the_number_of_the_form_is_chosen_by_trials_and_adapts():
    """Half of the training labels are wrong: the less sure, the better."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 3))
    noisy = [
        (x, torch.where(torch.arange(32) % 2 == 0, y, y.roll(1))) for x, y in batches(3, seed=4)
    ]
    settings = AdaLFL(
        0, warm_up_scales=(1,), warm_up_numbers=(1e-6, 0.6), trial_steps=200, record_every=1
    )
    _, _, adapt = attached(settings, model)
    assert adapt.loss.numbers()["smoothing"] == pytest.approx(1e-6)
    adapt.warm_up(noisy, batches(9, 9))
    assert adapt.loss.numbers()["smoothing"] == pytest.approx(0.6)
    assert adapt.horizon == 0
    for pair in zip(noisy, batches(3, 9), strict=True):
        adapt.step(*pair)
    before, after = adapt.moments[0].loss.numbers(), adapt.loss.numbers()
    assert all(abs(before[name] - after[name]) > 1e-3 for name in before)


def test_numbers_stay_within_their_range_after_a_resume_too():
    settings = AdaLFL(0, trial_steps=20, numbers_learning_rate=1.0, numbers_range=1.5)
    _, _, adapt = attached(settings)
    adapt.warm_up(batches(3), batches(2, 9))
    begun = adapt.loss.numbers()

    def shares() -> tuple[float, float]:
        """Return by what scale and odds of the number are multiplied since training began."""
        now = adapt.loss.numbers()
        odds = [each["smoothing"] / (1 - each["smoothing"]) for each in (now, begun)]
        return now["scale"] / begun["scale"], odds[0] / odds[1]

    def train() -> None:
        for pair in zip(batches(4), batches(4, 9), strict=True):
            adapt.step(*pair)
            assert all(1 / 1.501 < share < 1.501 for share in shares())

    (first,), (valid,) = batches(1), batches(1, 9)
    adapt.step(first, valid)  # Adam's first step has the size of its rate
    assert abs(math.log(shares()[0])) == pytest.approx(math.log(1.5), rel=1e-3)
    train()
    saved = copy.deepcopy(adapt.state_dict())
    _, _, adapt = attached(settings)
    adapt.load_state_dict(saved)
    train()


def test_numbers_may_stay_as_the_warm_up_chose_them():
    _, _, adapt = attached(AdaLFL(0, numbers_learning_rate=0.0))
    before = adapt.loss.numbers()
    weights = adapt.loss.layers[-1].clone()
    adapt.step(*batches(2))
    assert adapt.loss.numbers() == before
    assert not torch.equal(weights, adapt.loss.layers[-1])


def test_in_regression_the_network_is_alone():
    adapt, _ = fitted(warm_up_steps=0, warm_up_scales=(1, 3))
    assert not adapt.loss.architecture.residual


def test_where_every_warm_up_breaks_off_the_usual_loss_is_left(monkeypatch: pytest.MonkeyPatch):
    _, _, adapt = attached(AdaLFL(20, trial_every=5, trial_steps=5))

    def breaking(self, steps, horizon):
        with torch.no_grad():
            self.loss.layers[0].fill_(torch.nan)

    monkeypatch.setattr(_Course, "learn", breaking)
    adapt.warm_up(batches(3), batches(2, 9))
    assert adapt.horizon == 0
    assert all(weights.isfinite().all() for weights in adapt.loss.parameters())


@pytest.mark.parametrize(
    "wrong",
    [
        {"warm_up_steps": -1},
        {"warm_up_scales": (1, 0)},
        {"form": "rate"},
        {"form": "x"},
        {"warm_up_numbers": (0.0,)},
        {"warm_up_numbers": (1.0,)},
        {"numbers_learning_rate": -0.1},
        {"numbers_range": 0.9},
        {"warm_up_horizons": (0,)},
        {"warm_up_horizons": ()},
        {"trial_steps": 0},
        {"trial_every": 0},
        {"meta_learning_rate": 0.0},
        {"every": 0},
        {"clip_norm": 0.0},
        {"hidden": ()},
        {"activation": "x"},
        {"record_every": -1},
    ],
)
def test_hyper_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        AdaLFL(**wrong)


def test_what_does_not_fit_is_refused():
    model = network()
    with pytest.raises(ConfigurationError, match="LBFGS"):
        AdaLFL().attach(model, torch.optim.LBFGS(model.parameters()))
    with pytest.raises(ConfigurationError, match="not the model's"):
        AdaLFL().attach(model, torch.optim.SGD(network().parameters(), 0.1))
    with pytest.raises(ConfigurationError, match="float16"):
        attached(precision=torch.float16)
    frozen = network().requires_grad_(False)
    with pytest.raises(ConfigurationError, match="frozen"):
        attached(model=frozen)


def test_batches_that_do_not_fit_are_refused_before_any_update():
    model, optimizer, _ = attached()
    adapt = AdaLFL().attach(model, optimizer, outputs=4)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(DataError, match="3 outputs, not 4"):
        adapt.step(*batches(2))
    _, _, adapt = attached(model=model)
    (inputs, labels), valid = batches(2)
    with pytest.raises(DataError):
        adapt.step((inputs, labels[:-1]), valid)
    with pytest.raises(DataError):
        adapt.step((inputs, labels + 5), valid)
    for (name, a), b in zip(before.items(), model.state_dict().values(), strict=True):
        assert torch.equal(a, b) or "running" in name or "num_batches" in name


def test_a_warm_up_does_not_take_wrong_data_for_a_bad_loss():
    _, _, adapt = attached(AdaLFL(20, trial_every=5, trial_steps=5))
    wrong = [(inputs, labels + 5) for inputs, labels in batches(2)]
    with pytest.raises(DataError, match="outside 0 to 2"):
        adapt.warm_up(wrong, batches(2))


def test_loaders_that_are_empty_or_run_out_are_named():
    _, _, adapt = attached()
    with pytest.raises(DataError, match="no batches"):
        adapt.warm_up([], batches(1))

    def once() -> Iterator[Batch]:
        yield from batches(2)

    with pytest.raises(DataError, match="begun anew"):
        adapt.warm_up(once(), batches(1))


def test_a_frozen_part_stays_frozen():
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    _, _, adapt = attached(model=model)
    adapt.warm_up(batches(2), batches(2))
    adapt.step(*batches(2))
    assert torch.equal(before, model[0].weight)
