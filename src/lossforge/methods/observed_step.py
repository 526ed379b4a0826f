"""One step of a training loop of the user's own under an adaptive loss."""

from collections.abc import Callable
from typing import final

from torch import Tensor

from lossforge.errors import DataError
from lossforge.losses import Loss
from lossforge.methods.any_batch import AnyBatch, as_pair
from lossforge.training.hypergradient import Observation, OnlineEngine, OnlineStep
from lossforge.training.hypergradient.jacobian import Gradients
from lossforge.training.hypergradient.state import take_step, unscale
from lossforge.training.module import Moment as Circumstances


@final
class ObservedStep:
    """One step of a user's training loop under an adaptive loss, from `AdaptiveTraining.observe`.

    In order: `loss` and its backward pass, for one batch or several; `before_step`; the optimizer's
    step; `learn`.

    Args:
        engine: carries hypergradients through the model.
        loss: that adapts.
        task_loss: that it is to lower.
        end: counts the step, and tells whether the loss is to learn in it.
        learn: updates the loss by a hypergradient.
    """

    def __init__(
        self,
        engine: OnlineEngine,
        loss: Loss,
        task_loss: Loss,
        *,
        end: Callable[[], bool],
        learn: Callable[[list[Tensor]], None],
    ):
        self._engine, self._loss, self._task_loss = engine, loss, task_loss
        self._end, self._learn = end, learn
        self._watched = Observation(self._engine)
        self._total, self._batches = 0.0, 0

    def loss(self, batch: AnyBatch) -> Tensor:
        """Run the model on a training batch and return its loss, for a backward pass.

        Where several batches are accumulated, divide it by their number, and scale it with a
        `GradScaler` where there is one, as ever.
        """
        inputs, targets = as_pair(batch)
        engine, moment = self._engine, self._watched.moment()
        outputs = engine.run(inputs, moment)
        return self.loss_of(outputs, targets, moment, lambda: engine.rerun(inputs))

    def loss_of(
        self,
        outputs: Tensor,
        targets: Tensor,
        moment: Circumstances,
        rerun: Callable[[], Tensor],
    ) -> Tensor:
        """Return the loss of outputs [B, C, ...] that the model gave in code of your own.

        Args:
            outputs: of the model, with their graph.
            targets: of the batch.
            moment: taken before the model ran (``Moment(model)``).
            rerun: runs the same code again and returns the outputs.
        """
        value = self._watched.record(self._loss, outputs, targets, moment, rerun)
        self._total += value.item()
        self._batches += 1
        return value

    def before_clipping(self) -> None:
        """Take note of the gradients, for a loop that then clips them itself, as the settings say.

        Gradients must be unscaled already.
        """
        self._watched.gradients_ready()

    @property
    def clipped(self) -> Gradients:
        """The gradients as the settings clip them; between `before_clipping` and `before_step`."""
        return self._watched.clipping.clipped

    def leave_out(self, others: Gradients) -> None:
        """Tell, after `before_step`, which gradients of the step came from terms beside the loss.

        The first step is checked against the gradients that PyTorch found, and a weight penalty in
        a loop of one's own is among them.

        Args:
            others: of those terms, averaged over processes; one a parameter, None for none.
        """
        self._watched.leave_out(others)

    def before_step(self, *, clip: bool = True) -> None:
        """Unscale and clip the gradients, and take note of what the optimizer is about to do.

        Args:
            clip: False where `before_clipping` was called and the loop clips gradients itself.
        """
        state = self._engine.state
        if clip:
            unscale(state)
            self._watched.gradients_ready()
            state.set_gradients(self._watched.clipping.clipped)
        self._watched.before_step()

    def take_step(self) -> None:
        """Step the optimizer, through its scaler where there is one."""
        take_step(self._engine.state)

    def learn(
        self,
        valid_batch: AnyBatch | None = None,
        *,
        rerun: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ) -> OnlineStep:
        """Update the loss after the optimizer's step; gradients are cleared.

        Args:
            valid_batch: validation inputs and targets; may be None where `every` skips the update.
            rerun: instead, runs code of your own on it and returns outputs and targets.
        """
        state, is_due = self._engine.state, self._end()
        loss = self._total / max(1, self._batches)
        state.clear_gradients()
        if not is_due or self._watched.is_skipped:
            return OnlineStep(loss, None, None)
        if rerun is None:
            if valid_batch is None:
                raise DataError("a validation batch is needed to adapt the loss; pass one to learn")
            inputs, targets = as_pair(valid_batch)
            rerun = lambda: (self._engine.rerun(inputs), targets)  # noqa: E731
        reached, found = self._watched.differentiate(self._loss, *_split(rerun, self._task_loss))
        self._learn(found)
        return OnlineStep(loss, reached, found)


def _split(
    rerun: Callable[[], tuple[Tensor, Tensor]], task_loss: Loss
) -> tuple[Callable[[], Tensor], Callable[[Tensor], Tensor]]:
    """Return a function that gives outputs, and one that gives T of them."""
    targets: list[Tensor] = []

    def outputs() -> Tensor:
        found, wanted = rerun()
        targets[:] = [wanted]
        return found

    def outcome(found: Tensor) -> Tensor:
        value: Tensor = task_loss(found, targets[0])
        return value

    return outputs, outcome
