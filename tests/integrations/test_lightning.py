"""The adaptive loss under the real Lightning trainer, with modules as people write them."""

import random
import warnings
from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

lightning = pytest.importorskip("lightning", reason="lightning is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")

from lightning.pytorch.callbacks import Callback, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402

from lossforge.integrations.lightning import AdaLFLCallback, AdaptiveLoss  # noqa: E402

QUICK = AdaLFL(warm_up_steps=2, warm_up_horizons=(2,), warm_up_scales=(1,), meta_learning_rate=1e-2)


def loaders(dtype=torch.float32) -> tuple[DataLoader, DataLoader]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=draw, dtype=dtype)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    return (
        DataLoader(TensorDataset(x[:64], y[:64]), batch_size=16, shuffle=True),
        DataLoader(TensorDataset(x[64:], y[64:]), batch_size=16),
    )


class Classifier(lightning.LightningModule):
    """A module with a training step of its own, a schedule, logging, counters and a penalty."""

    def __init__(self, penalty: float = 0.0, dropout: float = 0.1, optimizer: str = "sgd"):
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)
        )
        self.criterion = AdaptiveLoss(QUICK, outputs=3)
        self.runs, self.seen = 0, []

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.runs += 1
        self.seen.append(batch_idx)
        self.log("runs", float(self.runs))
        x = x + 0.01 * random.random() * torch.randn_like(x)
        loss = self.criterion(self.net(x), y)
        if self.hparams.penalty:
            loss = loss + self.hparams.penalty * sum(p.square().sum() for p in self.net.parameters())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        outputs = self.net(x)
        self.log("valid_loss", self.criterion.task_loss(outputs, y))
        self.log("present_loss", self.criterion(outputs, y))

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_loss", self.criterion(self.net(x), y))

    def configure_optimizers(self):
        if self.hparams.optimizer == "sgd":
            optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.9, nesterov=True)
        else:
            optimizer = torch.optim.AdamW(self.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def trainer(folder, callbacks=(), **settings):
    return lightning.Trainer(
        **{
            "max_steps": 6,
            "default_root_dir": folder,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 1,
            "callbacks": list(callbacks),
        }
        | settings
    )


class Replay(Callback):
    """Keeps a copy of the loss before each step, or trains under the copies that were kept."""

    def __init__(self, kept=None):
        self.kept, self.replays, self.index = [] if kept is None else kept, kept is not None, 0
        self.steps = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx % trainer.accumulate_grad_batches:
            return
        if self.replays:
            pl_module.criterion.loss = self.kept[self.index]
            self.index += 1
        else:
            self.kept.append(deepcopy(pl_module.criterion.loss).requires_grad_(False))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append([p.detach().clone() for p in pl_module.parameters()])


def adapted_and_plain(tmp_path, *, dtype=torch.float32, module=Classifier, **settings):
    """Return both modules' weights after each step, and the modules."""
    found = []
    kept = None
    for plain in (False, True):
        own = module()
        replay = Replay(kept)
        callbacks = [replay] if plain else [own.criterion.callback(), replay]
        torch.manual_seed(1)
        random.seed(1)
        fitted = trainer(tmp_path, callbacks, **settings)
        fitted.fit(own, *loaders(dtype))
        kept = replay.kept
        found.append((own, fitted, replay))
    return found


def require_same_training(adapted, plain):
    (own, fitted, replay), (other, reference, expected) = adapted, plain
    assert len(replay.steps) == len(expected.steps) > 0
    for mine, theirs in zip(replay.steps, expected.steps, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    for (name, a), (_, b) in zip(own.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert own.runs == other.runs
    assert own.seen == other.seen
    assert fitted.global_step == reference.global_step
    for name, value in reference.logged_metrics.items():
        if not name.startswith("present_loss"):  # of the loss after the last update
            torch.testing.assert_close(fitted.logged_metrics[name], value, msg=name)
    first, last = replay.kept[0].state_dict(), replay.kept[-1].state_dict()
    assert any(not torch.equal(first[name], last[name]) for name in first)  # the loss did adapt


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accumulate_grad_batches": 2, "max_steps": 3},
        {"gradient_clip_val": 0.1},
        {"gradient_clip_val": 0.02, "gradient_clip_algorithm": "value"},
        {"precision": "bf16-mixed"},
        {"precision": "16-mixed"},
        {"max_steps": -1, "max_epochs": 2, "val_check_interval": 2},
        {"module": partial(Classifier, penalty=0.01)},
        {"module": partial(Classifier, penalty=0.01), "accumulate_grad_batches": 2, "max_steps": 3},
        {"module": partial(Classifier, optimizer="adamw")},
    ],
    ids=str,
)
def test_training_is_plain_training_under_the_same_loss(tmp_path, settings):
    require_same_training(*adapted_and_plain(tmp_path, **settings))


def test_double_precision(tmp_path):
    require_same_training(
        *adapted_and_plain(tmp_path, dtype=torch.float64, precision="64-true", max_steps=3)
    )
