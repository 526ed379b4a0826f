"""A Hugging Face Trainer whose loss adapts; ``pip install 'lossforge[transformers]'``."""

from collections.abc import Iterator
from itertools import repeat
from typing import Any, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError
from lossforge.extras import require_extra
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining
from lossforge.tasks import Kind

try:
    from transformers import Trainer
except ImportError:
    require_extra("transformers", "AdaLFLTrainer")
    raise


@final
class AdaLFLTrainer(Trainer):
    """Train a model that gives ``logits`` under an adaptive loss; all else is the Trainer's.

    The evaluation data set gives the rows that the loss learns from. The model must be twice
    differentiable: load it with ``attn_implementation="eager"``.

    Args:
        adalfl: settings of the loss.
        task: "classification" or "regression".
        loss_seed: of the loss network's weights.
        **kwargs: the Trainer's own.

    Raises:
        ConfigurationError: gradients are accumulated, or there is no evaluation data set.
    """

    def __init__(
        self,
        *args: Any,
        adalfl: AdaLFL,
        task: Kind = "classification",
        loss_seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        if self.args.gradient_accumulation_steps != 1:
            raise ConfigurationError(
                "a loss cannot adapt to accumulated gradients; set gradient_accumulation_steps=1"
            )
        if self.eval_dataset is None:
            raise ConfigurationError("the loss learns from held-out rows; pass eval_dataset")
        self.adapt: AdaptiveTraining | None = None
        self._adalfl, self._kind, self._loss_seed = adalfl, task, loss_seed
        self._valid: Iterator[Any] | None = None

    def training_step(
        self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None
    ) -> Tensor:
        """Train the model for one step under the loss, and the loss for one."""
        if self.adapt is None:
            self._begin(model)
        assert self.adapt is not None
        assert self._valid is not None
        model.train()
        found = self.adapt.step(self._pair(inputs), next(self._valid))
        # The Trainer steps its optimizer after this; without gradients that changes nothing.
        model.zero_grad(set_to_none=True)
        return torch.as_tensor(float(found.loss), device=self.args.device)

    def _begin(self, model: nn.Module) -> None:
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.adapt = self._adalfl.attach(model, optimizer, self._kind, seed=self._loss_seed)
        self._valid = self._endless(self.get_eval_dataloader())
        train = _Pairs(self, self.get_train_dataloader())
        self.adapt.warm_up(train, _Pairs(self, self.get_eval_dataloader()))

    def _pair(self, inputs: Any) -> tuple[Any, Tensor]:
        named = dict(self._prepare_inputs(inputs))
        return named, named.pop("labels")

    def _endless(self, loader: Any) -> Iterator[Any]:
        for again in repeat(_Pairs(self, loader)):
            yield from again


@final
class _Pairs:
    """A loader's batches as (named inputs, labels) on the Trainer's device."""

    def __init__(self, trainer: AdaLFLTrainer, loader: Any):
        self._trainer, self._loader = trainer, loader

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            yield self._trainer._pair(batch)
