"""An adaptive loss in a Lightning module of your own; needs `pip install 'lossforge[lightning]'`.

Two lines are new: the criterion, and its callback in the trainer. Schedules, clipping, checkpoints
and logging are the trainer's, as ever.
"""

import logging
import tempfile
import warnings

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge import AdaLFL
from lossforge.integrations.lightning import AdaptiveLoss

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", ".*does not have many workers.*")


class Digits(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.criterion = AdaptiveLoss(AdaLFL(trial_steps=50), outputs=10)

    def training_step(self, batch, batch_idx):
        inputs, labels = batch
        loss = self.criterion(self.net(inputs), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        inputs, labels = batch
        outputs = self.net(inputs)
        # The adaptive loss changes, so what chooses a checkpoint is something that does not.
        self.log("valid_loss", self.criterion.task_loss(outputs, labels))
        self.log("valid_error", (outputs.argmax(1) != labels).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9, nesterov=True)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)]


torch.manual_seed(0)
digits = load_digits()
inputs = torch.tensor(digits.data / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
train, valid = (TensorDataset(inputs[part::2], labels[part::2]) for part in range(2))

module = Digits()
with tempfile.TemporaryDirectory() as folder:
    best = ModelCheckpoint(folder, monitor="valid_loss")
    trainer = lightning.Trainer(
        max_epochs=10,
        gradient_clip_val=5.0,
        accelerator="cpu",
        callbacks=[module.criterion.callback(), best],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(train, 64, shuffle=True), DataLoader(valid, 64))
    print(f"validation error {trainer.callback_metrics['valid_error']:.3f}")
    loaded = Digits.load_from_checkpoint(best.best_model_path)
    (found,) = trainer.validate(loaded, DataLoader(valid, 64), verbose=False)
    print(f"best task loss {found['valid_loss']:.3f}")
