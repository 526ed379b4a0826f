"""Token classification: the language of each character, with a tiny BERT (18 files of surnames).

A row is two surnames of different languages, joined by a space in random order; each character's
label is the language of its name, out of four. What is padded or a space does not count. No name is
in two splits. Needs the surnames' files, and `pip install "lossforge[transformers]"`.
"""

from pathlib import Path

import numpy as np
import torch
from protocol import SMALL, arguments, search
from torch import Tensor, nn
from transformers import BertConfig, BertForTokenClassification

from lossforge.tasks import Classification, Split, Task
from lossforge.tasks.folders import find_file

LANGUAGES = ("Greek", "Italian", "Japanese", "Russian")
LENGTH, IGNORED = 24, -100
ROWS = (1200, 400, 800)


class TinyBERT(nn.Module):
    """One layer of BERT, without weights of anybody's."""

    def __init__(self) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=len(alphabet) + 2,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=LENGTH,
            num_labels=len(LANGUAGES),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",
        )
        self.bert = BertForTokenClassification(config)

    def forward(self, characters: Tensor) -> Tensor:
        """Return logits [rows, languages, length]."""
        seen = self.bert(characters, attention_mask=(characters > 0).float())
        return seen.logits.movedim(-1, 1)


def read(path: Path) -> list[str]:
    return sorted(set(path.read_text(encoding="utf-8").lower().split("\n")) - {""})


def rows_of(names: list[list[str]], count: int) -> tuple[Tensor, Tensor]:
    """Return characters and their labels, both [count, LENGTH]."""
    characters = torch.zeros(count, LENGTH, dtype=torch.int64)
    labels = torch.full((count, LENGTH), IGNORED)
    for row in range(count):
        start = 0
        for language in draw.permutation(len(LANGUAGES))[:2]:
            name = str(draw.choice(names[language]))[: LENGTH - start]
            end = start + len(name)
            codes = [alphabet.index(letter) + 2 for letter in name]
            characters[row, start:end] = torch.tensor(codes, dtype=torch.int64)
            labels[row, start:end] = int(language)
            if end < LENGTH:
                characters[row, end] = 1
            start = end + 1
    return characters, labels


given = arguments()
draw = np.random.default_rng(given.seed)
files = {path.stem: path for path in find_file(given.data_dir, "surnames", "*.txt", "surnames")}
names = [read(files[language]) for language in LANGUAGES]
alphabet = sorted(set("".join(map("".join, names))))
for each in names:
    draw.shuffle(each)
splits, first = [], 0
for (low, high), rows in zip(((0.0, 0.6), (0.6, 0.8), (0.8, 1.0)), ROWS, strict=True):
    own = [each[int(low * len(each)) : int(high * len(each))] for each in names]
    inputs, labels = rows_of(own, rows)
    splits.append(Split(inputs, labels, torch.arange(first, first + rows)))
    first += rows
task = Task("languages", Classification(), len(LANGUAGES), *splits, classes=LANGUAGES)
# For some 200 steps an untrained transformer errs alike under any loss, and only then learns: to
# stop candidates before that is to draw lots. So there are few, and all are trained to the end.
longer = SMALL | {"population": 6, "generations": 2, "fitness_steps": 600, "halving": 0.0}
longer |= {"racing": False, "finalists": 2, "final_runs": 1, "final_steps": 600}
longer |= {"rival_steps": 600, "compare_steps": 1200, "compare_seeds": 3, "rival_runs": 3}
search(task, TinyBERT, given, learning_rate=0.03, **longer)
