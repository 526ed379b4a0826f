"""A training loop of one's own with a loss that adapts: three lines differ from plain training."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge import AdaLFL

torch.manual_seed(0)
digits = load_digits()
inputs = torch.tensor(digits.data / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
train, valid, test = (TensorDataset(inputs[part::3], labels[part::3]) for part in range(3))
train_loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
valid_loader = DataLoader(valid, batch_size=64, shuffle=True, drop_last=True)

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)

adapt = AdaLFL().attach(model, optimizer, outputs=10)  # 1
adapt.warm_up(train_loader, valid_loader)  # 2
for _ in range(30):
    for batch, valid_batch in zip(train_loader, valid_loader, strict=True):
        step = adapt.step(batch, valid_batch)  # 3: in place of backward() and optimizer.step()

with torch.no_grad():
    wrong = (model(test.tensors[0]).argmax(1) != test.tensors[1]).float().mean().item()
print(f"test error {wrong:.3f}, validation loss {step.task_loss:.3f}")
