"""Search for a loss, save it, and train a network of one's own under it."""

import tempfile
from pathlib import Path

import torch
from torch import nn

import lossforge as lf

task = lf.tasks.load("wine")
search = lf.EvoMAL(population=8, generations=3)
search = search.with_options(meta_steps=20, fitness_steps=60, filter_steps=100)
found = search.run(task, model="mlp:width=32", seed=0)
print(f"{found.loss}\nvalidation {task.metric} {found.valid:.3f}")

with tempfile.TemporaryDirectory() as folder:
    lf.save(found.loss, Path(folder) / "loss.json")
    loss = lf.load(Path(folder) / "loss.json")

torch.manual_seed(1)
model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
for _ in range(200):
    optimizer.zero_grad()
    loss(model(task.train.inputs), task.train.targets).backward()
    optimizer.step()

with torch.no_grad():
    guesses = model(task.test.inputs).argmax(1)
print(f"test error {(guesses != task.test.targets).float().mean().item():.3f}")
