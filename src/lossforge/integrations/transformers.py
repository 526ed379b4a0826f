"""A Hugging Face Trainer whose loss adapts; ``pip install 'lossforge[transformers]'``.

Use it as `transformers.Trainer`, with settings of the loss besides::

    trainer = AdaLFLTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(...),
        args=TrainingArguments("runs/a", eval_strategy="epoch", load_best_model_at_end=True),
        train_dataset=train,
        eval_dataset=valid,
        adalfl=AdaLFL(),
    )
    trainer.train()          # or trainer.train(resume_from_checkpoint=True)
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, final
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from lossforge.errors import ConfigurationError, FileFormatError
from lossforge.extras import require_extra
from lossforge.files import read_regular
from lossforge.integrations.quietly import (
    Batches,
    before_scheduling,
    gradients_kept,
    norm,
    randomness_kept,
    require_clipped,
    scaler_kept,
)
from lossforge.losses import Loss
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining, ObservedStep
from lossforge.randomness import derive_seed
from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tensor_files import load_tensors
from lossforge.training.hypergradient import OnlineStrategy

try:
    from transformers import Trainer, TrainerCallback
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
except ImportError:
    require_extra("transformers", "AdaLFLTrainer")
    raise

STATE_NAME = "adalfl.pt"
"""File of a checkpoint that holds the loss; tensors and numbers alone, loaded without pickle."""

OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "sgd", "adagrad", "rmsprop")
"""Values of `optim` that an adaptive loss can follow."""

IGNORED = -100


@final
class AdaLFLTrainer(Trainer):
    """Train a model that gives ``logits`` under an adaptive loss; all else is the Trainer's.

    Serves sequence classification (logits [B, C]), token classification ([B, T, C] with labels -100
    where none counts) and causal language models, whose labels are shifted by one as ever. Each
    step is the Trainer's own, under the loss as it is; then the loss learns from a batch of
    `valid_dataset`. The loss is the mean over all labels of the accumulated batches that count.

    Evaluation reports the model's own loss, which does not change, so that ``eval_loss`` can choose
    the best model. ``adalfl/task_loss``, that of the last validation batch, is logged with the
    training loss. Checkpoints hold the loss in ``adalfl.pt``; training resumes with it.
    Whatever else the model adds to its own loss, as a mixture of experts does, is left out.

    Args:
        adalfl: settings of the loss; clipping is `max_grad_norm` of the arguments.
        kind: of the task, one of `lossforge.tasks.kinds` or its name.
        valid_dataset: from which the loss learns; by default the `eval_dataset`.
        task_loss: what the loss learns to make small there; by default cross-entropy or the
            squared error.
        class_dim: dimension of the logits that holds the classes.
        shift_labels: whether position t predicts the label at t + 1, as in causal language models;
            by default told from the model's class.
        loss_seed: of the loss network's weights, and of the order of the validation batches.
        strategy: how the hypergradient is computed; by default the fastest that holds.
        **kwargs: the Trainer's own.

    Attributes:
        adapt: the training under way; None before.

    Raises:
        ConfigurationError: an argument is one that a loss cannot adapt under, named in the message,
            or there is no data set to learn from.
    """

    def __init__(
        self,
        *args: Any,
        adalfl: AdaLFL,
        kind: Kind | str = "classification",
        valid_dataset: Any = None,
        task_loss: Loss | None = None,
        class_dim: int = -1,
        shift_labels: bool | None = None,
        loss_seed: int = 0,
        strategy: OnlineStrategy | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        _require_supported(self, adalfl)
        self._valid_dataset = self.eval_dataset if valid_dataset is None else valid_dataset
        if self._valid_dataset is None:
            raise ConfigurationError(
                "the loss learns from held-out rows; pass eval_dataset or valid_dataset"
            )
        if isinstance(self._valid_dataset, dict):
            raise ConfigurationError(
                f"{len(self._valid_dataset)} evaluation data sets: pass the one that the loss "
                "learns from as valid_dataset"
            )
        self.adapt: AdaptiveTraining | None = None
        self._adalfl, self._kind, self._loss_seed = adalfl, as_kind(kind), loss_seed
        self._task_loss, self._class_dim, self._strategy = task_loss, class_dim, strategy
        self._shifts = _shifts_labels(self) if shift_labels is None else shift_labels
        self._valid: Batches | None = None
        self._saved: dict[str, Any] | None = None
        self._observed: ObservedStep | None = None
        self._expected: Tensor | None = None
        self._reached: float | None = None
        self._is_training = False
        self.add_callback(_Hooks(self))

    # The Trainer's own methods

    def training_step(
        self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None
    ) -> Tensor:
        """Run one batch's passes, observed; return its loss."""
        assert self.adapt is not None
        if self._observed is None:
            self._observed = self.adapt.observe()
        self._is_training = True
        try:
            value: Tensor = super().training_step(model, inputs, num_items_in_batch)
        finally:
            self._is_training = False
        if self.accelerator.gradient_state.sync_gradients:
            self._note_gradients()
        return value

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the batches of a step, and count the labels that the loss will see."""
        with patch.object(self, "_loss_shifts_labels", self._shifts):
            return super().get_batch_samples(*args, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the adaptive loss of a training batch; the model's own in evaluation."""
        if not self._is_training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        assert self._observed is not None
        named, labels = self._pair(inputs)
        value = self._observed.loss((named, labels))
        share = self._share(labels, num_items_in_batch)
        self.loss_is_scaled_for_ga = share is not None
        return value if share is None else value * share

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log, and the task loss with the training loss."""
        if self._reached is not None and "loss" in logs:
            logs["adalfl/task_loss"] = self._reached
        super().log(logs, *args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save and self.adapt is not None and self._valid is not None:
            state = {"training": self.adapt.state_dict(), "valid": self._valid.state_dict()}
            torch.save(state, os.path.join(output_dir, STATE_NAME))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._saved = _loaded(checkpoint, self.args.device)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        saved = _loaded(self.state.best_model_checkpoint, self.args.device)
        if saved is not None and self.adapt is not None:
            self.adapt.loss.load_state_dict(saved["training"]["loss"])

    # What the loss needs

    def begin(self) -> None:
        """Attach the loss to the optimizer; warm it up unless it goes on from a checkpoint."""
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        assert isinstance(optimizer, torch.optim.Optimizer)
        saved, self._saved = self._saved, None
        if saved is None and self.adapt is not None and self.model_init is None:
            assert self._valid is not None
            saved = {"training": self.adapt.state_dict(), "valid": self._valid.state_dict()}
        settings = replace(self._adalfl, clip_norm=self.args.max_grad_norm or None)
        self.adapt = settings.attach(
            self.model_wrapped,
            optimizer,
            self._kind,
            task_loss=self._task_loss,
            seed=self._loss_seed,
            strategy=self._strategy or "auto",
            precision=self._precision(),
            scaler=self.accelerator.scaler,
            class_dim=self._class_dim,
        )
        self.adapt.keep_all_randomness()
        self._valid = self._batches(self._valid_dataset, "valid")
        self._observed, self._expected, self._reached = None, None, None
        if saved is not None:
            self.adapt.load_state_dict(saved["training"])
            self._valid.load_state_dict(saved["valid"])
        else:
            self._warm_up(optimizer)

    def before_step(self) -> None:
        """Take note of what the optimizer is about to do."""
        if self._observed is not None:
            self._observed.before_step(clip=False)

    def learn(self) -> None:
        """Update the loss after the optimizer's step."""
        if self._observed is None or self._expected is None:
            return
        assert self.adapt is not None
        assert self._valid is not None
        parameters = self.adapt.parameters
        require_clipped(self._expected, parameters, "leave gradients alone in callbacks")
        batch = next(self._valid) if self.adapt.is_due else None
        with randomness_kept(), gradients_kept(parameters):
            found = self._observed.learn(batch)
        if found.task_loss is not None:
            self._reached = found.task_loss
        self._observed, self._expected = None, None

    def _note_gradients(self) -> None:
        """Take note of the gradients of a step before they are clipped, and without their scale."""
        assert self.adapt is not None
        assert self._observed is not None
        parameters, scaler = self.adapt.parameters, self.accelerator.scaler
        with gradients_kept(parameters):
            if scaler is not None:
                scale = scaler.get_scale()
                for theta in parameters:
                    theta.grad = None if theta.grad is None else theta.grad / scale
            self._observed.before_clipping()
        self._expected = norm(self._observed.clipped)

    def _warm_up(self, optimizer: torch.optim.Optimizer) -> None:
        assert self.adapt is not None
        model = self.model_wrapped
        was_training = model.training
        model.train()
        with (
            randomness_kept(),
            before_scheduling(optimizer),
            scaler_kept(self.accelerator.scaler),
        ):
            size = self.args.train_batch_size
            self.adapt.warm_up(
                self._batches(self.train_dataset, "warm-up", size),
                self._batches(self._valid_dataset, "warm-up/valid"),
            )
        model.train(was_training)

    def _pair(self, inputs: Any) -> tuple[Any, Tensor]:
        """Return named inputs and labels, which a causal language model has shifted."""
        named = dict(inputs)
        labels = named.pop(self.label_names[0], None)
        if labels is None:
            raise ConfigurationError(
                f"a batch has no {self.label_names[0]!r} among {', '.join(map(str, inputs))}; the "
                "data collator must give them"
            )
        if self._shifts:
            ahead = torch.full_like(labels[..., :1], IGNORED)
            labels = named.pop("shift_labels", torch.cat([labels[..., 1:], ahead], -1))
        return named, labels

    def _share(self, labels: Tensor, items: Any) -> Tensor | None:
        """Return a batch's part of the labels that count in a step; None where no one counted."""
        if items is None or not self._kind.has_class_dimension:
            return None
        count = labels.ne(IGNORED).sum()
        share: Tensor = count * self.accelerator.num_processes / items
        return share

    def _precision(self) -> torch.dtype | None:
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.accelerator.mixed_precision)

    def _batches(self, dataset: Any, purpose: str, size: int | None = None) -> Batches:
        """Return batches of our own, which leave the Trainer's loaders alone."""
        args, seed = self.args, derive_seed(self._loss_seed, purpose)
        collator = self.data_collator
        if hasattr(dataset, "column_names"):
            dataset = self._remove_unused_columns(dataset, description=purpose)
        else:
            collator = self._get_collator_with_removed_columns(collator, description=purpose)
        loader = DataLoader(
            dataset,
            batch_size=size or args.per_device_eval_batch_size,
            collate_fn=collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            **_order(dataset, args),
        )
        return Batches(loader, seed, lambda batch: self._pair(self._prepare_inputs(batch)))


def _order(dataset: Any, args: Any) -> dict[str, Any]:
    """Return how a loader draws its rows: in another order each round, a part in each process."""
    if isinstance(dataset, IterableDataset):
        return {}
    if args.world_size > 1:
        part: Any = DistributedSampler(dataset, args.world_size, args.process_index)
        return {"sampler": part}
    return {"shuffle": True}


def _shifts_labels(trainer: Any) -> bool:
    """Tell whether the model is a causal language model; not all of them say so to the Trainer."""
    model = trainer.model
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return False
    is_causal = type(model).__name__ in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    return bool(trainer._loss_shifts_labels or is_causal)


def _loaded(folder: str | None, device: Any) -> dict[str, Any] | None:
    path = os.path.join(folder or "", STATE_NAME)
    if not os.path.isfile(path):
        return None
    try:
        found: dict[str, Any] = load_tensors(read_regular(Path(path)), device)
    except FileFormatError as error:
        raise FileFormatError(
            f"{path} is damaged ({error}); go on from an earlier checkpoint, or begin anew"
        ) from None
    return found


def _require_supported(trainer: Any, adalfl: AdaLFL) -> None:
    """Refuse, by name, what a loss cannot adapt under.

    Raises:
        ConfigurationError: likewise.
    """
    args = trainer.args
    optim = str(getattr(args.optim, "value", args.optim))
    is_own = trainer.optimizer is not None or trainer.optimizer_cls_and_kwargs is not None
    refused = {
        f"label_smoothing_factor={args.label_smoothing_factor}": args.label_smoothing_factor != 0,
        f"optim={optim!r}": optim not in OPTIMIZERS and not is_own,
        "fp16=True on a CPU (use bf16=True)": args.fp16 and args.device.type == "cpu",
        "optim_target_modules": args.optim_target_modules is not None,
        "compute_loss_func": trainer.compute_loss_func is not None,
        "use_liger_kernel=True": args.use_liger_kernel,
        "auto_find_batch_size=True": args.auto_find_batch_size,
        "fsdp": trainer.is_fsdp_enabled,
        "deepspeed": trainer.is_deepspeed_enabled,
        "parallelism_config": args.parallelism_config is not None,
        f"{args.n_gpu} GPUs in one process (use torchrun)": args.n_gpu > 1,
        f"label_names={trainer.label_names}": len(trainer.label_names) != 1,
        "AdaLFL(clip_norm=...) (use max_grad_norm)": adalfl.clip_norm
        not in (None, args.max_grad_norm),
        "AdaLFL(clip_value=...) (use max_grad_norm)": adalfl.clip_value is not None,
    }
    names = [name for name, is_set in refused.items() if is_set]
    if names:
        raise ConfigurationError(
            f"a loss cannot adapt under {', '.join(names)}; leave these out"
            + ("" if optim in OPTIMIZERS or is_own else f" (optim: {', '.join(OPTIMIZERS)})")
        )


@final
class _Hooks(TrainerCallback):
    """Tells an `AdaLFLTrainer` when training begins and when the optimizer takes a step."""

    def __init__(self, trainer: AdaLFLTrainer):
        self._trainer = trainer

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._trainer.begin()

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self._trainer.before_step()

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self._trainer.learn()
