"""The adaptive loss under the real Hugging Face Trainer."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

transformers = pytest.importorskip("transformers", reason="transformers is an optional extra")
pytest.importorskip("accelerate", reason="accelerate is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")


def rows(count: int, seed: int) -> list[dict]:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 30, (count, 8), generator=draw)
    return [
        {"input_ids": row, "attention_mask": torch.ones(8, dtype=torch.long), "labels": row[0] % 2}
        for row in ids
    ]


def trainer(folder, **arguments):
    from lossforge.integrations.transformers import AdaLFLTrainer

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=2,
        attn_implementation="eager",
    )
    model = transformers.BertForSequenceClassification(config)
    settings = {
        "output_dir": str(folder),
        "max_steps": 6,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "learning_rate": 1e-3,
    }
    return AdaLFLTrainer(
        model=model,
        args=transformers.TrainingArguments(**(settings | arguments)),
        train_dataset=rows(32, 0),
        eval_dataset=rows(16, 1),
        adalfl=AdaLFL(warm_up_steps=4, warm_up_horizons=(2,)),
    )


def test_the_trainer_takes_one_step_a_batch(tmp_path):
    own = trainer(tmp_path)
    before = [weight.detach().clone() for weight in own.model.parameters()]
    own.train()
    assert own.adapt is not None
    assert own.adapt.steps == own.state.global_step == 6
    optimizer = getattr(own.optimizer, "optimizer", own.optimizer)
    counted = {int(state["step"]) for state in optimizer.state.values()}
    assert counted == {6}  # the Trainer's own step found no gradients
    moved = [not torch.equal(a, b) for a, b in zip(before, own.model.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)
    assert "eval_loss" in own.evaluate()


def test_accumulated_gradients_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="gradient_accumulation_steps=1"):
        trainer(tmp_path, gradient_accumulation_steps=2)
