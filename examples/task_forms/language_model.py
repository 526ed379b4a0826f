"""Causal language modeling: the next character of a surname (18 files of surnames).

Measured by log loss in nats, the logarithm of perplexity, on characters of names that are in no
other split. Padding does not count. Needs the surnames' files.
"""

import numpy as np
import torch
from protocol import SMALL, arguments, search
from torch import Tensor, nn

from lossforge.tasks import Classification, Split, Task
from lossforge.tasks.folders import find_file

LENGTH, IGNORED = 14, -100
ROWS = (3000, 1000, 2000)


class CausalNetwork(nn.Module):
    """A recurrent network that sees a character's predecessors alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(alphabet) + 2, 24)  # with padding and the beginning
        self.core = nn.GRU(24, 48, batch_first=True)
        self.head = nn.Linear(48, len(alphabet) + 1)  # with the end

    def forward(self, characters: Tensor) -> Tensor:
        """Return logits [rows, alphabet, length]."""
        states, _ = self.core(self.embed(characters))
        return self.head(states).movedim(-1, 1)


given = arguments()
draw = np.random.default_rng(given.seed)
names = sorted(
    {
        name
        for path in find_file(given.data_dir, "surnames", "*.txt", "surnames")
        for name in path.read_text(encoding="utf-8").lower().split("\n")
        if name.isascii() and name.isalpha()
    }
)
names = [names[i] for i in draw.permutation(len(names))[: sum(ROWS)]]
alphabet = sorted(set("".join(names)))
inputs = torch.zeros(len(names), LENGTH, dtype=torch.int64)
targets = torch.full((len(names), LENGTH), IGNORED)
for row, name in enumerate(names):
    codes = torch.tensor([alphabet.index(letter) for letter in name[:LENGTH]])
    inputs[row, 0], length = 1, len(codes)
    inputs[row, 1:length], targets[row, :length] = codes[:-1] + 2, codes
    if length < LENGTH:
        inputs[row, length], targets[row, length] = codes[-1] + 2, len(alphabet)
splits = [Split(inputs[rows], targets[rows], rows) for rows in torch.arange(len(names)).split(ROWS)]
task = Task("characters", Classification(), len(alphabet) + 1, *splits)
search(task.with_metric("log_loss"), CausalNetwork, given, learning_rate=0.3, **SMALL)
