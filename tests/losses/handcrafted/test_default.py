from lossforge.losses import default_loss


def test_defaults_are_the_task_losses_of_the_papers():
    assert str(default_loss("classification")) == "cross_entropy"
    assert str(default_loss("regression")) == "mse"
