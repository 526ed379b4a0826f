"""The linear probe: an encoder by plain classification, logistic regression on its features."""

import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from lossforge.methods.npbml import FewShot, MetaCourse
from lossforge.methods.npbml.base import embed_both
from lossforge.methods.npbml.linear_probe import LinearProbe
from methods.npbml.few_shot_cases import SHAPE, made, vectors_task


def test_a_linear_probe_is_scikit_learns_logistic_regression_on_unit_features():
    learner, episode = made("linear_probe")
    with torch.no_grad():
        support, query = (F.normalize(x, dim=1) for x in embed_both(learner.encoder, episode))
    regression = LogisticRegression(max_iter=1000).fit(support, episode.support_targets)
    expected = torch.from_numpy(regression.predict_log_proba(query))
    torch.testing.assert_close(learner.predict(episode), expected)


def test_a_step_of_the_probe_classifies_as_many_rows_as_other_methods_see(monkeypatch):
    seen = []
    whole = LinearProbe.accumulate_rows
    monkeypatch.setattr(
        LinearProbe,
        "accumulate_rows",
        lambda self, *rows: seen.append(rows) or whole(self, *rows),
    )
    tiny = {"width": 4, "meta_steps": 2, "meta_batch": 2, "check_every": 2, "valid_tasks": 2}
    settings = FewShot("linear_probe", network="dense", pretrain_steps=2, **tiny)
    course = MetaCourse(settings, vectors_task(), SHAPE, 0)
    before = course.learner.encoder.state_dict()["1.weight"].clone()
    course.advance()
    assert [len(inputs) for inputs, _ in seen] == [2 * 3 * 4] * 2
    assert max(int(labels.max()) for _, labels in seen) >= SHAPE.ways
    assert not torch.equal(before, course.learner.encoder.state_dict()["1.weight"])


def test_features_that_are_not_finite_give_no_prediction():
    learner, episode = made("linear_probe")
    with torch.no_grad():
        next(learner.encoder.parameters()).fill_(torch.nan)
    assert learner.predict(episode).isnan().all()
