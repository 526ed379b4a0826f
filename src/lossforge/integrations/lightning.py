"""A Lightning module whose loss adapts; ``pip install 'lossforge[lightning]'``."""

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, final

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError
from lossforge.extras import require_extra
from lossforge.losses import default_loss
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining
from lossforge.tasks import Kind

try:
    import lightning
except ImportError:
    require_extra("lightning", "AdaptiveModule")
    raise

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


@final
class AdaptiveModule(lightning.LightningModule):
    """Train a model under an adaptive loss with `lightning.Trainer`.

    Batches are (inputs, targets). The trainer's validation loader gives the rows that the loss
    learns from; it must be passed to ``fit``. Lightning's count of global steps stands still, for
    the steps are not its own: limit training by epochs or batches.

    Args:
        model: gives outputs [B, C].
        make_optimizer: constructs SGD, Adam or AdamW from the model's parameters.
        adalfl: settings of the loss.
        task: "classification" or "regression".
        outputs: how many the model has.
        seed: of the loss network's weights.
    """

    def __init__(
        self,
        model: nn.Module,
        make_optimizer: MakeOptimizer,
        adalfl: AdaLFL,
        task: Kind = "classification",
        outputs: int | None = None,
        *,
        seed: int = 0,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.adapt: AdaptiveTraining | None = None
        self._make_optimizer, self._adalfl = make_optimizer, adalfl
        self._kind, self._outputs, self._seed = task, outputs, seed
        self._saved: dict[str, Any] | None = None
        self._valid: Iterator[Any] | None = None
        self._task_loss = default_loss(task)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the model's outputs."""
        outputs: Tensor = self.model(inputs)
        return outputs

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the model's optimizer."""
        return self._make_optimizer(self.model.parameters())

    def on_fit_start(self) -> None:
        """Attach the loss; warm it up unless training goes on from a checkpoint."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        if isinstance(optimizer, list):
            raise ConfigurationError("AdaptiveModule takes one optimizer")
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.adapt = self._adalfl.attach(
            self.model, optimizer, self._kind, self._outputs, seed=self._seed
        )
        if self._saved is not None:
            self.adapt.load_state_dict(self._saved)

    def on_train_start(self) -> None:
        """Warm the loss up, on the batches of the trainer's loaders."""
        assert self.adapt is not None
        loaders = self.trainer.val_dataloaders
        if not loaders:
            raise ConfigurationError(
                "the loss learns from validation batches; pass val_dataloaders to fit"
            )
        self._valid = _endless(self, loaders)
        if self._saved is None:
            train = self.trainer.train_dataloader
            assert train is not None
            self.adapt.warm_up(_OnDevice(self, train), _OnDevice(self, loaders))

    def training_step(self, batch: Any, batch_index: int) -> None:
        """Train the model for one step under the loss, and the loss for one."""
        assert self.adapt is not None
        assert self._valid is not None
        found = self.adapt.step(tuple(batch), tuple(next(self._valid)))
        self.log("train_loss", found.loss, prog_bar=True)
        if found.task_loss is not None:
            self.log("task_loss", found.task_loss, prog_bar=True)

    def validation_step(self, batch: Any, batch_index: int) -> None:
        """Log the usual loss, and in classification the error rate."""
        inputs, targets = batch
        outputs = self(inputs)
        self.log("valid_loss", self._task_loss(outputs, targets))
        if self._kind == "classification" and outputs.shape[1] > 1:
            self.log("valid_error", (outputs.argmax(1) != targets).float().mean())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the loss with the model."""
        if self.adapt is not None:
            checkpoint["adalfl"] = self.adapt.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the loss that was saved with the model."""
        self._saved = checkpoint.get("adalfl")


@final
class _OnDevice:
    """A loader's batches as pairs on the module's device."""

    def __init__(self, module: lightning.LightningModule, loader: Iterable[Any]):
        self._module, self._loader = module, loader

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            yield tuple(self._module.transfer_batch_to_device(batch, self._module.device, 0))


def _endless(module: lightning.LightningModule, loader: Iterable[Any]) -> Iterator[Any]:
    for again in repeat(_OnDevice(module, loader)):
        yield from again
