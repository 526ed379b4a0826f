import pytest
import torch

from lossforge.methods.npbml import FewShot, make_learner, pretraining
from lossforge.methods.npbml.pretraining import pretrain, prototype_accuracy
from methods.npbml.few_shot_cases import SHAPE, vectors_task

TINY = {"network": "dense", "width": 6, "valid_tasks": 20, "meta_steps": 1}


@pytest.mark.parametrize("scores", [[50.0, 70.0, 60.0], [40.0, 30.0, 20.0]])
def test_the_encoder_that_does_best_by_prototypes_is_kept(scores, monkeypatch):
    settings = FewShot("maml", pretrain_steps=5, check_every=2, **TINY)
    seen = []

    def scored(encoder, *_):
        seen.append({name: value.clone() for name, value in encoder.state_dict().items()})
        return scores[len(seen) - 1]

    monkeypatch.setattr(pretraining, "prototype_accuracy", scored)
    learner = make_learner(settings, vectors_task(), SHAPE, 0)
    pretrain(learner, settings, vectors_task(), SHAPE, 0, None)
    assert len(seen) == 3
    best = seen[scores.index(max(scores))]
    for name, value in learner.encoder.state_dict().items():
        assert torch.equal(value, best[name])


def test_prototypes_are_judged_on_the_same_validation_tasks_each_time():
    settings, task = FewShot("maml", **TINY), vectors_task()
    learner = make_learner(settings, task, SHAPE, 0)
    first, second = (prototype_accuracy(learner.encoder, settings, task, SHAPE, 3) for _ in "ab")
    assert first == second
    assert 0 <= first <= 100
