"""An adaptive loss under the Hugging Face Trainer: `pip install "lossforge[transformers]"`.

`AdaLFLTrainer` takes a Trainer's arguments, and the settings of the loss. The loss learns from the
evaluation data set; checkpoints hold it, and `train(resume_from_checkpoint=True)` goes on with it.
"""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from lossforge import AdaLFL
from lossforge.integrations.transformers import AdaLFLTrainer


def rows(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Sequences of which the first token tells the class."""
    tokens = torch.randint(5, 30, (count, 8), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": row, "labels": row[0] % 2} for row in tokens]


disable_progress_bar()
torch.manual_seed(0)
config = BertConfig(
    vocab_size=30,
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=60,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        warmup_steps=5,
        max_grad_norm=1.0,
        per_device_train_batch_size=16,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        eval_strategy="steps",
        eval_steps=20,
        save_strategy="steps",
        save_steps=20,
        load_best_model_at_end=True,
        logging_steps=20,
        dataloader_pin_memory=False,
    )
    trainer = AdaLFLTrainer(
        model=BertForSequenceClassification(config),
        args=arguments,
        train_dataset=rows(256, 0),
        eval_dataset=rows(64, 1),
        adalfl=AdaLFL(warm_up_scales=(0.3, 1, 3), trial_steps=20),
    )
    trainer.train()
    print(f"validation loss {trainer.evaluate()['eval_loss']:.3f}")
