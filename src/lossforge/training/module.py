"""How a user's module is run: called, read, given other weights, and run again as it was.

A hypergradient needs the outputs of one pass as a function of the weights, sometimes after the
weights have moved. So a pass is something that can be repeated: with the same buffers and the same
random numbers, and with operators that have the derivatives it takes.
"""

import random
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import checkpoint

from lossforge.errors import DataError
from lossforge.randomness import RandomState


@final
@dataclass(frozen=True)
class OutputSpec:
    """Where a model's outputs are in what it returns, and which dimension holds the classes.

    Attributes:
        key: name or index of the outputs in a mapping, sequence or dataclass. By default a
            tensor is taken as it is, else ``logits``, else the first tensor of a sequence.
        class_dim: dimension of the classes; it is moved to 1, where losses expect it.
        count: how many outputs are expected; any number where None.

    Examples:
        >>> OutputSpec(class_dim=-1)({"logits": torch.zeros(2, 5, 3)}).shape
        torch.Size([2, 3, 5])
    """

    key: str | int | None = None
    class_dim: int = 1
    count: int | None = None

    def __call__(self, returned: Any) -> Tensor:
        """Return the outputs, [B, C, ...].

        Raises:
            DataError: there are none.
        """
        outputs = self._find(returned)
        if outputs.dim() < 2 or not -outputs.dim() <= self.class_dim < outputs.dim():
            raise DataError(
                f"the model gives outputs of shape {tuple(outputs.shape)}, without a dimension "
                f"{self.class_dim} for the classes; return [B, C] (unsqueeze(1) makes [B, 1] of "
                "[B]) or set class_dim"
            )
        outputs = outputs if self.class_dim == 1 else outputs.movedim(self.class_dim, 1)
        if self.count not in (None, outputs.shape[1]):
            raise DataError(
                f"the model gives {outputs.shape[1]} outputs, not {self.count}; change the model, "
                "class_dim or the outputs of attach"
            )
        return outputs

    def _find(self, returned: Any) -> Tensor:
        found = returned
        if self.key is not None:
            found = _member(returned, self.key)
        elif not isinstance(returned, Tensor):
            found = _member(returned, "logits")
            if found is None and isinstance(returned, Sequence) and returned:
                found = returned[0]
        if isinstance(found, Tensor) and found.is_floating_point():
            return found
        raise DataError(
            f"the model returned {_described(returned)}; return the outputs as a tensor, as the "
            "first of a tuple or as 'logits', or name them with output="
        )


def _member(returned: Any, key: str | int) -> Any:
    if isinstance(returned, Mapping):
        return returned.get(key)
    if isinstance(key, int):
        return returned[key] if isinstance(returned, Sequence) and key < len(returned) else None
    return getattr(returned, key, None)


def _described(returned: Any) -> str:
    name = type(returned).__name__
    if isinstance(returned, Tensor):
        return f"a tensor of {returned.dtype}".replace("torch.", "")
    if isinstance(returned, Mapping):
        return f"a {name} of {', '.join(map(str, returned)) or 'nothing'}"
    if isinstance(returned, Sequence) and not isinstance(returned, str):
        return f"a {name} of {', '.join(type(one).__name__ for one in returned) or 'nothing'}"
    return f"a {name}"


@contextmanager
def replaced(module: nn.Module, replacements: Mapping[int, Tensor]) -> Iterator[None]:
    """Put other tensors in place of parameters, wherever in the module they are registered.

    Args:
        module: any; a parameter that is shared by several modules is replaced in all of them.
        replacements: by the parameter's ``id``.

    Raises:
        NotImplementedError: the module does not let its parameters be replaced, as scripted ones.
    """
    undo = []
    try:
        for part in module.modules() if replacements else ():
            registered = part._parameters
            if registered and not isinstance(registered, dict):
                raise NotImplementedError("a scripted module's weights cannot be replaced")
            for name, theta in registered.items():
                if id(theta) in replacements:
                    undo.append((registered, name, theta))
                    registered[name] = replacements[id(theta)]  # type: ignore[assignment]
        yield
    finally:
        for registered, name, theta in undo:
            registered[name] = theta


@contextmanager
def at_values(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Let the parameters themselves have other values inside the block.

    It serves every module, whatever it does with its parameters, at the price that nothing of a
    pass's graph can be used after the block.
    """
    kept = [theta.data for theta in parameters]
    try:
        for theta, value in zip(parameters, values, strict=True):
            theta.data = value
        yield
    finally:
        for theta, value in zip(parameters, kept, strict=True):
            theta.data = value


@final
class Buffers:
    """A module's buffers as they are now."""

    def __init__(self, module: nn.Module):
        self._kept = [
            (part._buffers, name, buffer, buffer.detach().clone())
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if buffer is not None
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Put them back, those that a pass exchanged for others included."""
        for registered, name, buffer, value in self._kept:
            buffer.copy_(value)  # whether it was written to does not show: batch norm is silent
            if registered[name] is not buffer:
                registered[name] = buffer


@final
class Moment:
    """What a pass depends on besides weights and inputs: buffers and random numbers.

    Args:
        module: that is run.
        everywhere: whether to keep the states of `random` and NumPy as well, which few models use.
    """

    def __init__(self, module: nn.Module, *, everywhere: bool = False):
        self._module, self._buffers, self._torch = module, Buffers(module), RandomState()
        self._others = (random.getstate(), np.random.get_state(legacy=True)) if everywhere else None

    def draws_elsewhere(self) -> bool:
        """Tell whether `random` or NumPy were drawn from since, as far as their states are kept."""
        if self._others is None:
            return False
        drawn: Any = np.random.get_state(legacy=True)
        kept: Any = self._others[1]
        same = drawn[2] == kept[2] and np.array_equal(drawn[1], kept[1])
        return not same or random.getstate() != self._others[0]

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """Inside the block all is as it was; after it, as it is now."""
        now = Moment(self._module, everywhere=self._others is not None)
        try:
            self._buffers.restore()
            self._seed()
            with self._torch.replayed():
                yield
        finally:
            now._buffers.restore()
            now._seed()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Undo what the block does to buffers and random numbers."""
        try:
            with self._torch.replayed():
                yield
        finally:
            self._buffers.restore()
            self._seed()

    def undo(self) -> None:
        """Put all back to where it was."""
        self._buffers.restore()
        self._seed()
        self._torch.restore()

    def _seed(self) -> None:
        if self._others is not None:
            random.setstate(self._others[0])
            np.random.set_state(self._others[1])


@contextmanager
def differentiable() -> Iterator[None]:
    """Inside the block operators have the derivatives that a hypergradient takes.

    Attention runs on PyTorch's math backend, because flash attention can be differentiated neither
    twice nor forward; compiled code runs eagerly; reentrant checkpoints run their function as it
    is; weight normalization is computed by its definition.
    """
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(without_reentrant_checkpoints())
        stack.enter_context(patch.object(torch, "_weight_norm", _weight_norm))
        yield


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Stand in for PyTorch's function of that name, whose second derivative is wrong."""
    return v * (g / torch.norm_except_dim(v, 2, dim))


@contextmanager
def without_reentrant_checkpoints() -> Iterator[None]:
    """Let reentrant checkpoints run their function as it is: they know `backward` alone."""
    with patch.object(checkpoint.CheckpointFunction, "apply", _straight):
        yield


@contextmanager
def without_hooks(module: nn.Module) -> Iterator[None]:
    """Keep a module's backward hooks from changing gradients inside the block."""
    with ExitStack() as stack:
        for part in module.modules():
            for name in ("_backward_hooks", "_backward_pre_hooks"):
                if getattr(part, name, None):
                    stack.enter_context(patch.object(part, name, OrderedDict()))
        yield


def _straight(function: Any, _preserve_random_state: bool, *args: Any) -> Any:
    return function(*args)
