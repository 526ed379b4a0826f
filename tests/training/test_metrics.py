import torch

from lossforge.training.metrics import metric_per_example


def test_stacked_outputs_share_their_targets():
    outputs = torch.tensor([[[2.0, 1.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 2.0]]])
    labels = torch.tensor([0, 1])
    found = metric_per_example(outputs, labels, "classification")
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_one_logit_is_a_sign():
    outputs, labels = torch.tensor([[0.3], [-0.3]]), torch.tensor([1, 1])
    assert metric_per_example(outputs, labels, "classification").tolist() == [0.0, 1.0]


def test_squared_error_is_the_mean_over_outputs():
    found = metric_per_example(torch.tensor([[3.0, 1.0]]), torch.zeros(1, 2), "regression")
    assert found.tolist() == [5.0]
