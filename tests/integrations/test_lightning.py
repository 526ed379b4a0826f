"""The adaptive loss under the real Lightning trainer."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

lightning = pytest.importorskip("lightning", reason="lightning is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")


def loaders() -> tuple[DataLoader, DataLoader]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=draw)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    return (
        DataLoader(TensorDataset(x[:64], y[:64]), batch_size=16),
        DataLoader(TensorDataset(x[64:], y[64:]), batch_size=16),
    )


def module(steps: int = 20):
    from lossforge.integrations.lightning import AdaptiveModule

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
    return AdaptiveModule(
        model,
        lambda weights: torch.optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True),
        AdaLFL(warm_up_steps=steps),
        outputs=3,
    )


def trainer(folder, epochs: int = 3):
    return lightning.Trainer(
        max_epochs=epochs,
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_fit_is_the_loop_of_one_s_own(tmp_path):
    train, valid = loaders()
    fitted = module()
    trainer(tmp_path).fit(fitted, train, valid)
    own = module()
    optimizer = own.configure_optimizers()
    adapt = AdaLFL(warm_up_steps=20).attach(own.model, optimizer, outputs=3)
    adapt.warm_up(train, valid)
    valid_batches = [batch for _ in range(10) for batch in valid]
    for index, batch in enumerate(batch for _ in range(3) for batch in train):
        adapt.step(tuple(batch), tuple(valid_batches[index]))
    for found, expected in zip(fitted.model.parameters(), own.model.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
    assert fitted.adapt is not None
    assert fitted.adapt.steps == 12


def test_a_checkpoint_holds_the_loss(tmp_path):
    train, valid = loaders()
    fitted = module()
    first = trainer(tmp_path, 1)
    first.fit(fitted, train, valid)
    first.save_checkpoint(tmp_path / "own.ckpt")
    resumed = module()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(tmp_path, 2).fit(
            resumed, train, valid, ckpt_path=tmp_path / "own.ckpt", weights_only=False
        )
    assert resumed.adapt is not None
    assert resumed.adapt.steps == 8


def test_validation_rows_are_needed(tmp_path):
    train, _ = loaders()
    with pytest.raises(ConfigurationError, match="val_dataloaders"):
        trainer(tmp_path).fit(module(), train)
