"""An adaptive loss under the Lightning trainer; needs `pip install 'lossforge[lightning]'`."""

import logging

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge import AdaLFL
from lossforge.integrations.lightning import AdaptiveModule

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.manual_seed(0)
digits = load_digits()
inputs = torch.tensor(digits.data / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
train, valid = (TensorDataset(inputs[part::2], labels[part::2]) for part in range(2))

module = AdaptiveModule(
    nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)),
    lambda weights: torch.optim.SGD(weights, lr=0.02, momentum=0.9, nesterov=True),
    AdaLFL(warm_up_steps=200),
    outputs=10,
)
trainer = lightning.Trainer(
    max_epochs=10,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, DataLoader(train, 64, shuffle=True), DataLoader(valid, 64))
print(f"validation error {trainer.callback_metrics['valid_error']:.3f}")
