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
    return training.teacher.adapt.loss.state_dict()


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
    teacher = config.begin(task, "linear", 0, None).teacher
    inputs = torch.cat([x for x, _ in teacher._judge()])
    assert torch.equal(inputs, task.valid.inputs)
