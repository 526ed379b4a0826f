"""The adaptive loss under the real Hugging Face Trainer, on tiny networks with random weights."""

import json
from copy import deepcopy

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

transformers = pytest.importorskip("transformers", reason="transformers is an optional extra")
pytest.importorskip("accelerate", reason="accelerate is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")

from lossforge.integrations.transformers import AdaLFLTrainer  # noqa: E402

QUICK = AdaLFL(warm_up_steps=2, warm_up_horizons=(2,), warm_up_scales=(1,), meta_learning_rate=1e-2)
SMALL = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}


def rows(count: int, seed: int, kind: str) -> list[dict]:
    draw = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        length = 8 if kind != "tokens" else int(torch.randint(4, 9, (), generator=draw))
        ids = torch.randint(5, 30, (length,), generator=draw)
        row = {"input_ids": ids, "attention_mask": torch.ones(length, dtype=torch.long)}
        if kind == "sequence":
            row["labels"] = ids[0] % 2
        elif kind == "tokens":
            row["labels"] = torch.where(ids % 5 == 0, -100, ids % 3)
        else:
            row["labels"] = torch.where(torch.arange(length) < 2, -100, ids)
        found.append(row)
    return found


def padded(batch: list[dict]) -> dict[str, torch.Tensor]:
    blank = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    return {
        name: torch.stack([row[name] for row in batch])
        if batch[0][name].dim() == 0
        else torch.nn.utils.rnn.pad_sequence([row[name] for row in batch], True, value)
        for name, value in blank.items()
    }


def network(kind: str):
    torch.manual_seed(0)
    if kind == "causal":
        return transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=30, n_embd=16, n_layer=1, n_head=2, n_positions=16)
        )
    config = transformers.BertConfig(**SMALL, num_labels=2 if kind == "sequence" else 3)
    if kind == "sequence":
        return transformers.BertForSequenceClassification(config)
    return transformers.BertForTokenClassification(config)


def arguments(folder, **settings):
    return transformers.TrainingArguments(
        **{
            "output_dir": str(folder),
            "max_steps": 4,
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 8,
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
            "save_strategy": "no",
            "learning_rate": 1e-2,
            "dataloader_pin_memory": False,
        }
        | settings
    )


def trainer(folder, kind: str = "sequence", adalfl: AdaLFL = QUICK, own=None, **settings):
    return AdaLFLTrainer(
        model=network(kind) if own is None else own,
        args=arguments(folder, **settings),
        train_dataset=rows(32, 0, kind),
        eval_dataset=rows(16, 1, kind),
        data_collator=padded,
        adalfl=adalfl,
    )


class Steps(transformers.TrainerCallback):
    """Keeps the weights after each step, and the loss before it."""

    def __init__(self):
        self.weights, self.losses, self.owner = [], [], None

    def on_step_begin(self, args, state, control, **_):
        if self.owner is not None:
            self.losses.append(deepcopy(self.owner.adapt.loss).requires_grad_(False))

    def on_step_end(self, args, state, control, model=None, **_):
        self.weights.append([theta.detach().clone() for theta in model.parameters()])


class FixedLossTrainer(transformers.Trainer):
    """The Trainer as it is, under copies of a loss; what an adapting step is held against."""

    losses: tuple = ()

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        logits = model(**inputs).logits
        if self._loss_shifts_labels:
            labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
        # As Adam divides by a gradient's size, even rounding must be the same where that is 0.
        loss = self.losses[self.state.global_step](logits.movedim(-1, 1), labels)
        self.loss_is_scaled_for_ga = num_items_in_batch is not None
        if num_items_in_batch is not None:
            loss = loss * (labels != -100).sum() / num_items_in_batch
        return loss


def require_plain_steps(folder, kind, tolerance=1e-6, **settings):
    adapting = trainer(folder, kind, **settings)
    watch, expected = Steps(), Steps()
    watch.owner = adapting
    adapting.add_callback(watch)
    adapting.train()
    plain = FixedLossTrainer(
        model=network(kind),
        args=arguments(folder, **settings),
        train_dataset=rows(32, 0, kind),
        eval_dataset=rows(16, 1, kind),
        data_collator=padded,
        callbacks=[expected],
    )
    plain.losses = tuple(watch.losses)
    plain.train()
    assert adapting.state.global_step == plain.state.global_step == len(watch.weights)
    assert len(expected.weights) == len(watch.weights)
    for mine, theirs in zip(watch.weights, expected.weights, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    names = ("loss", "learning_rate", "grad_norm", "eval_loss")
    for mine, theirs in zip(adapting.state.log_history, plain.state.log_history, strict=True):
        for name in set(names) & set(theirs):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name
    first, last = watch.losses[0].state_dict(), watch.losses[-1].state_dict()
    assert any(not torch.equal(first[name], last[name]) for name in first)
    return adapting


@pytest.mark.parametrize("kind", ["sequence", "tokens", "causal"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gradient_accumulation_steps": 2, "max_grad_norm": 0.0, "logging_steps": 1},
        {"max_grad_norm": 0.01, "lr_scheduler_type": "cosine", "warmup_steps": 2},
    ],
    ids=str,
)
def test_training_is_plain_training_under_the_same_loss(tmp_path, kind, settings):
    require_plain_steps(tmp_path, kind, **settings)
