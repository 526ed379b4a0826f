"""An adaptive loss under the Hugging Face Trainer: `pip install "lossforge[transformers]"`."""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

from lossforge import AdaLFL
from lossforge.integrations.transformers import AdaLFLTrainer


def rows(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Sequences of which the first token tells the class."""
    tokens = torch.randint(5, 30, (count, 8), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": row, "labels": row[0] % 2} for row in tokens]


torch.manual_seed(0)
config = BertConfig(
    vocab_size=30,
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    attn_implementation="eager",  # attention that can be differentiated twice
)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=30,
        learning_rate=3e-3,
        per_device_train_batch_size=16,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        save_strategy="no",
        dataloader_pin_memory=False,
    )
    trainer = AdaLFLTrainer(
        model=BertForSequenceClassification(config),
        args=arguments,
        train_dataset=rows(256, 0),
        eval_dataset=rows(64, 1),
        adalfl=AdaLFL(warm_up_steps=100, warm_up_horizons=(10,)),
    )
    trainer.train()
    print(f"validation loss {trainer.evaluate()['eval_loss']:.3f}")
