from dataclasses import replace

import pytest
import torch

from lossforge.errors import LossforgeError
from lossforge.methods import AdaLFL
from lossforge.methods.training_config import TrainingConfig
from lossforge.tasks import load
from lossforge.training.full import Recipe

RECIPE = Recipe(steps=6, check_every=6)
ADALFL = AdaLFL(warm_up_steps=4, trial_steps=2, meta_learning_rate=1e-2)


def taught(**options) -> dict[str, torch.Tensor]:
    """Return the adaptive loss after a short training."""
    config = TrainingConfig("adalfl", RECIPE, ADALFL, **options)
    training = config.begin(load("iris"), "linear", 3, lambda done, total: None)
    training.run(lambda: None, lambda *told: None)
    return training.objective.adapt.loss.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_teaches_the_same_whatever_the_rest_of_the_program_draws():
    first = taught()
    torch.rand(7)
    assert same(first, taught())


@pytest.mark.parametrize("options", [{"adapt_on": "train"}, {"task_loss": "focal:gamma=3"}])
def test_what_the_loss_learns_from_matters(options):
    assert not same(taught(), taught(**options))


@pytest.mark.parametrize(
    ("loss", "task_loss"), [("mse", ""), ("adalfl", "mse"), ("cross_entropy", "nothing")]
)
def test_losses_that_do_not_fit_are_refused(loss, task_loss):
    with pytest.raises(LossforgeError):
        TrainingConfig(loss, RECIPE, ADALFL, task_loss=task_loss).check(load("iris"))


def test_trials_are_judged_on_all_validation_rows_once():
    task = load("wine")
    config = TrainingConfig("adalfl", Recipe(steps=1, batch_size=16), ADALFL)
    objective = config.begin(task, "linear", 0, None).objective
    inputs = torch.cat([x for x, _ in objective._judge()])
    assert torch.equal(inputs, task.valid.inputs)


ABLATIONS = {
    "activation": {"activation": "relu"},
    "depth": {"hidden": (40,)},
    "no offline start": {"warm_up_steps": 0},
    "clipping": {"clip_norm": 0.01},
    "offline": {"online": False},
    "fresh networks": {"warm_up_fresh": True},
}


@pytest.mark.parametrize("changed", ABLATIONS)
def test_each_ablation_of_the_paper_form_changes_the_loss(changed):
    paper = replace(ADALFL, warm_up_scales=(), warm_up_horizons=(1,), average=True)

    def learned(settings: AdaLFL) -> torch.Tensor:
        training = TrainingConfig("adalfl", RECIPE, settings).begin(
            load("iris"), "linear", 3, lambda done, total: None
        )
        training.run(lambda: None, lambda *told: None)
        loss = training.objective.adapt.loss
        outputs, targets = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), [0] * 5
        return loss(outputs, torch.tensor(targets)).detach()

    assert not torch.equal(learned(paper), learned(replace(paper, **ABLATIONS[changed])))
