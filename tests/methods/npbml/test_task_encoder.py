import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.methods.npbml import FewShot, make_learner
from lossforge.methods.npbml.film import FiLM
from lossforge.methods.npbml.task_encoder import WIDTH, RelationNetwork
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot
from methods.npbml.few_shot_cases import SHAPE, made, vectors_task


def test_a_tasks_vector_depends_on_no_order_and_no_names():
    torch.manual_seed(0)
    network = RelationNetwork(5).double()
    rows, labels = torch.randn(6, 5, dtype=torch.double), torch.tensor([0, 0, 1, 1, 2, 2])
    order, names = torch.randperm(6), torch.tensor([2, 0, 1])
    expected = network(rows, labels)
    torch.testing.assert_close(network(rows[order], names[labels][order]), expected)
    assert not torch.allclose(network(rows, torch.tensor([0, 1, 0, 1, 2, 2])), expected)


@pytest.mark.parametrize("order", ["second", "recompute"])
@pytest.mark.parametrize("network", ["dense", "conv4"])
def test_meta_gradients_through_the_relation_network_are_exact(network, order):
    learner, episode = made("npbml", network, task_encoder="relation")
    learner.accumulate(episode, order, 1.0)

    def value() -> float:
        return learner.query_loss(learner.inner_loop(episode, "second").parameters, episode).item()

    for name, weight in learner.named_parameters():
        if "task_encoder" not in name and "film" not in name and name != "head.weight":
            continue
        draw = torch.Generator().manual_seed(4)
        along, values = torch.randn(weight.shape, generator=draw, dtype=torch.double), []
        for moved in (1e-6, -2e-6):
            with torch.no_grad():
                weight.add_(moved * along)
            values.append(value())
        with torch.no_grad():
            weight.add_(1e-6 * along)
        expected = (values[0] - values[1]) / 2e-6
        assert float((weight.grad * along).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-7), (
            name
        )


def test_stacked_tasks_have_vectors_of_their_own():
    learner, episode = made("npbml", task_encoder="relation")
    other, _ = made("npbml", task_encoder="relation")
    other.load_state_dict(learner.state_dict())
    value = learner.accumulate(episode, "second", 1.0)
    assert other.accumulate_stacked([episode, episode], "second") == pytest.approx(value)
    for one, two in zip(learner.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_every_film_sees_the_tasks_vector():
    learner, episode = made("npbml", "conv4", task_encoder="relation")
    films = [module for module in learner.modules() if isinstance(module, FiLM)]
    assert {film.generator.in_features for film in films} == {WIDTH}
    weights = learner.begin(episode).parameters
    task = learner.task_of(episode)
    one, two = (learner.outputs(weights, episode.query, each) for each in (task, 2 * task))
    assert not torch.allclose(one, two)
    assert not any(name.endswith(".task") for name in learner.state_dict())


def test_without_film_there_is_no_task_encoder():
    task = vectors_task()
    for variant in ("maml", "npbml_without_film"):
        learner = make_learner(FewShot(variant, task_encoder="relation"), task, SHAPE, 0)
        assert learner.task_encoder is None


def test_the_relation_network_needs_classes():
    settings = FewShot("npbml", task_encoder="relation")
    with pytest.raises(ConfigurationError, match="relation network compares classes"):
        make_learner(settings, load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), 0)
    with pytest.raises(ConfigurationError, match="task_encoder must be mean or relation"):
        FewShot("npbml", task_encoder="mea")


@pytest.mark.parametrize(
    ("network", "blocks", "names"),
    [
        ("conv4", (4,), {"9"}),
        ("conv4", (1, 3), {"0", "6"}),
        ("dense", (2,), {"5"}),
        ("resnet12", (1, 4), {"0", "3"}),
    ],
)
def test_the_blocks_that_adapt_are_an_option(network, blocks, names):
    learner, episode = made("npbml", network, adapt_blocks=blocks)
    assert {name.split(".")[0] for name in learner.adapted.body} == names
    assert len(learner.inner_loop(episode).parameters) == len(learner.adapted.body) + 2


def test_a_block_that_is_not_there_is_named():
    with pytest.raises(ConfigurationError, match="block 5, but the network has blocks 1 to 4"):
        made("maml", "conv4", adapt_blocks=(5,))
    with pytest.raises(ConfigurationError, match="adapt_blocks"):
        FewShot("maml", adapt_blocks=(0,))
