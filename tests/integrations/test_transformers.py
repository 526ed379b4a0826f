"""The adaptive loss under the real Hugging Face Trainer, on tiny networks with random weights."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

transformers = pytest.importorskip("transformers", reason="transformers is an optional extra")
pytest.importorskip("accelerate", reason="accelerate is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")

from lossforge.integrations.transformers import AdaLFLTrainer  # noqa: E402

QUICK = AdaLFL(
    warm_up_steps=2,
    warm_up_horizons=(2,),
    warm_up_scales=(1,),
    warm_up_numbers=(0.1,),
    meta_learning_rate=1e-2,
)
SMALL = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}

EVALUATED = {"eval_strategy": "steps", "eval_steps": 1}


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
            row["labels"] = torch.where(ids % 7 == 0, -100, ids)
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
            "adam_epsilon": 1e-4,  # a smaller one makes steps of rounding, where a gradient is 0
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
    is_causal: bool = False

    def get_batch_samples(self, *args):
        kept, self._loss_shifts_labels = self._loss_shifts_labels, self.is_causal
        found = super().get_batch_samples(*args)
        self._loss_shifts_labels = kept
        return found

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        logits = model(**inputs).logits
        if self.is_causal:
            labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
        # As Adam divides by a gradient's size, even rounding must be the same where that is 0.
        loss = self.losses[self.state.global_step](logits.movedim(-1, 1), labels)
        self.loss_is_scaled_for_ga = num_items_in_batch is not None
        if num_items_in_batch is not None:
            loss = loss * ((labels != -100).sum() / num_items_in_batch)
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
    plain.losses, plain.is_causal = tuple(watch.losses), kind == "causal"
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


@pytest.mark.parametrize("kind", ["sequence", "tokens", "causal"])
def test_the_loss_learns_as_in_a_loop_of_one_s_own(tmp_path, kind):
    class Began(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            assert own._valid is not None
            draw = own._valid._prepare
            own._valid._prepare = lambda batch: held_out.append(batch) or draw(batch)
            began.update(deepcopy(own.adapt.state_dict()))
            own.adapt.meta_optimizer = plainly(own.adapt)

    def plainly(adapt):
        # Adam would make steps of what is rounding.
        return torch.optim.SGD(adapt.loss.parameters(), 1e5 if kind == "causal" else 1e3)

    def seen(batch):
        batches.append(padded(batch))
        return batches[-1]

    batches, held_out, began = [], [], {}
    settings = {"optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 0.5}
    own = trainer(tmp_path, kind, own=network(kind).double(), max_steps=3, **settings)
    for part in own.model.modules():
        part.p = 0.0  # no dropout
    own.add_callback(Began())
    own._warm_up = lambda optimizer: setattr(own, "data_collator", seen)
    own.get_train_dataloader = lambda: torch.utils.data.DataLoader(
        own.train_dataset, 8, collate_fn=seen
    )
    own.train()
    other = network(kind).double()
    for part in other.modules():
        part.p = 0.0
    optimizer = torch.optim.SGD(other.parameters(), 1e-2)
    adapt = replace(QUICK, clip_norm=0.5).attach(other, optimizer, class_dim=-1)
    adapt.load_state_dict(began)
    adapt.meta_optimizer = plainly(adapt)
    for batch, valid in zip(batches[:3], held_out, strict=True):
        adapt.step(shifted(batch, kind), shifted(valid, kind))
    for one, two in ((own.model, other), (own.adapt.loss, adapt.loss)):
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    moved = [
        (a - b).abs().max()
        for a, b in zip(own.adapt.loss.state_dict().values(), began["loss"].values(), strict=True)
    ]
    assert max(moved) > 1e-3


def shifted(batch: dict, kind: str) -> dict:
    labels = batch["labels"]
    if kind == "causal":
        labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    return batch | {"labels": labels}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("sequence", {"bf16": True}),
        ("causal", {"bf16": True, "max_steps": 2}),
        ("sequence", {"optim": "sgd", "optim_args": "momentum=0.9,nesterov=True"}),
        ("sequence", {"optim": "rmsprop", "weight_decay": 0.1}),
        ("sequence", {"optim": "adamw_torch_fused", "adam_beta2": 0.9, "weight_decay": 0.1}),
        ("tokens", {"train_sampling_strategy": "group_by_length", "seed": 3}),
        ("sequence", {"neftune_noise_alpha": 5.0}),
        (
            "sequence",
            {"eval_strategy": "steps", "eval_steps": 1, "logging_steps": 1, "eval_on_start": True},
        ),
        (
            "sequence",
            {
                "lr_scheduler_type": "reduce_lr_on_plateau",
                "eval_strategy": "steps",
                "eval_steps": 1,
            },
        ),
        ("sequence", {"gradient_accumulation_steps": 3, "num_train_epochs": 1, "max_steps": -1}),
        ("sequence", {"torch_compile": True, "torch_compile_backend": "eager", "max_steps": 2}),
        *(
            (
                kind,
                {
                    "gradient_checkpointing": True,
                    "gradient_checkpointing_kwargs": {"use_reentrant": reentrant},
                    "max_steps": 2,
                },
            )
            for kind in ("sequence", "causal")
            for reentrant in (True, False)
        ),
    ],
    ids=str,
)
def test_arguments_are_honored(tmp_path, kind, settings):
    require_plain_steps(tmp_path, kind, **settings)


def test_half_precision_that_is_turned_into_single_is_known_to_be_coarse(tmp_path):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=30,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        pad_token_id=0,
    )
    own = trainer(
        tmp_path, "causal", own=transformers.LlamaForCausalLM(config), bf16=True, max_steps=2
    )
    own.train()
    assert own.adapt.steps == 2


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor=0.1"),
        ({"optim": "adafactor"}, "optim='adafactor'"),
        ({"fp16": True}, "fp16=True on a CPU"),
        ({"use_liger_kernel": True}, "use_liger_kernel"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size"),
    ],
)
def test_arguments_that_a_loss_cannot_adapt_under_are_refused_by_name(tmp_path, settings, name):
    with pytest.raises(ConfigurationError, match=name):
        trainer(tmp_path, **settings)


def test_clipping_is_the_trainer_s(tmp_path):
    for settings in ({"clip_norm": 0.3}, {"clip_value": 0.3}):
        with pytest.raises(ConfigurationError, match="max_grad_norm"):
            trainer(tmp_path, adalfl=AdaLFL(**settings))


def test_what_the_loss_learns_from_is_needed(tmp_path):
    settings = {"model": network("sequence"), "args": arguments(tmp_path), "adalfl": QUICK}
    data = {"train_dataset": rows(8, 0, "sequence")}
    with pytest.raises(ConfigurationError, match="eval_dataset"):
        AdaLFLTrainer(**settings, **data)
    several = {"eval_dataset": {"a": rows(8, 1, "sequence"), "b": rows(8, 2, "sequence")}}
    with pytest.raises(ConfigurationError, match="valid_dataset"):
        AdaLFLTrainer(**settings, **data, **several)
    AdaLFLTrainer(**settings, **data, **several, valid_dataset=rows(8, 3, "sequence")).train()


def test_a_batch_without_labels_is_an_error(tmp_path):
    own = trainer(tmp_path)
    own.data_collator = lambda batch: {k: v for k, v in padded(batch).items() if k != "labels"}
    with pytest.raises(ConfigurationError, match="no 'labels'"):
        own.train()


def test_a_callback_that_changes_gradients_is_an_error(tmp_path):
    class Meddling(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **_):
            for theta in model.parameters():
                theta.grad.mul_(0.5)

    own = trainer(tmp_path)
    own.add_callback(Meddling())
    with pytest.raises(ConfigurationError, match="something changed them"):
        own.train()


@pytest.mark.parametrize("at", [2, 4])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path, at):
    settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 1, "logging_steps": 1}
    whole = trainer(tmp_path / "whole", **settings)
    whole.train()
    folder = tmp_path / "whole" / f"checkpoint-{at}"
    torch.load(folder / "adalfl.pt", weights_only=True)
    resumed = trainer(tmp_path / "resumed", **settings)
    resumed.train(resume_from_checkpoint=str(folder))
    assert resumed.adapt.steps == whole.adapt.steps == 6
    for one, two in ((resumed.model, whole.model), (resumed.adapt.loss, whole.adapt.loss)):
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_best_model_is_loaded_with_its_loss(tmp_path):
    def accuracy(prediction):
        logits = prediction.predictions
        return {"accuracy": float((logits.argmax(-1) == prediction.label_ids).mean())}

    own = AdaLFLTrainer(
        model=network("sequence"),
        args=arguments(
            tmp_path,
            learning_rate=0.3,
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
            load_best_model_at_end=True,
            metric_for_best_model="accuracy",
        ),
        train_dataset=rows(32, 0, "sequence"),
        eval_dataset=rows(16, 1, "sequence"),
        data_collator=padded,
        compute_metrics=accuracy,
        adalfl=QUICK,
    )
    own.train()
    best = own.state.best_model_checkpoint
    saved = torch.load(f"{best}/adalfl.pt", weights_only=True)
    for name, value in own.adapt.loss.state_dict().items():
        torch.testing.assert_close(value, saved["training"]["loss"][name], rtol=0, atol=0)
    assert own.evaluate()["eval_accuracy"] == own.state.best_metric


def test_the_task_loss_is_logged_and_evaluation_is_the_model_s_own(tmp_path):
    own = trainer(tmp_path, logging_steps=1, save_strategy="steps", save_steps=4)
    own.train()
    logged = [entry["adalfl/task_loss"] for entry in own.state.log_history if "loss" in entry]
    assert len(logged) == 4
    assert all(value > 0 for value in logged)
    found = own.evaluate()["eval_loss"]
    plain = transformers.Trainer(
        model=own.model,
        args=arguments(tmp_path),
        eval_dataset=rows(16, 1, "sequence"),
        data_collator=padded,
    )
    assert found == pytest.approx(plain.evaluate()["eval_loss"])
    history = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())
    assert "adalfl/task_loss" in history["log_history"][0]


def test_a_second_training_goes_on_with_the_loss(tmp_path):
    own = trainer(tmp_path, max_steps=2)
    own.train()
    first = deepcopy(own.adapt.loss.state_dict())
    own.train()
    assert own.adapt.steps == 4
    moved = [(a - first[name]).abs().max() for name, a in own.adapt.loss.state_dict().items()]
    assert 0 < max(moved) < 4 * QUICK.meta_learning_rate


def test_regression(tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(**SMALL, num_labels=1, problem_type="regression")
    data = [row | {"labels": row["labels"].float()} for row in rows(16, 0, "sequence")]
    own = AdaLFLTrainer(
        model=transformers.BertForSequenceClassification(config),
        args=arguments(tmp_path),
        train_dataset=data,
        eval_dataset=data,
        data_collator=padded,
        adalfl=QUICK,
        kind="regression",
    )
    own.train()
    assert own.adapt.steps == 4
