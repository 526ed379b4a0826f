"""A network as a function of its parameters."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lossforge.models.calling import Inputs
from lossforge.training.module import OutputSpec
from lossforge.training.optimizers import Tensors

Buffers = dict[str, Tensor]


@final
class Network:
    """A module with its weights taken out, so that they can be passed in.

    Parameters that do not ask for gradients stay inside and are never changed.

    Args:
        module: any network. It is used as a skeleton and must not be trained elsewhere meanwhile.
        output: where its outputs are in what it returns.

    Examples:
        >>> network = Network(nn.Linear(3, 2))
        >>> theta = network.parameters()
        >>> network(theta, torch.ones(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, module: nn.Module, output: OutputSpec | None = None):
        # Data-parallel wrappers cannot be given other weights.
        self.module = module.module if isinstance(module, nn.DataParallel) else module
        module = self.module
        self._output = OutputSpec() if output is None else output
        self.names = [name for name, theta in module.named_parameters() if theta.requires_grad]
        self._convolves = any(isinstance(part, nn.Conv2d) for part in module.modules())

    def parameters(self) -> Tensors:
        """Return copies of the module's own parameters, detached."""
        named = dict(self.module.named_parameters())
        return [self.arrange(named[name].detach().clone()) for name in self.names]

    def buffers(self) -> Buffers:
        """Return copies of the module's buffers, such as running means."""
        return {name: buffer.clone() for name, buffer in self.module.named_buffers()}

    def arrange(self, tensor: Tensor) -> Tensor:
        """Return images and filters in the memory layout in which convolutions are fastest here."""
        return channels_last(tensor) if self._convolves else tensor

    def __call__(
        self,
        parameters: Sequence[Tensor],
        inputs: Inputs,
        buffers: Buffers | None = None,
        *,
        train: bool = True,
    ) -> Tensor:
        """Return the outputs [B, C, ...] for a batch.

        Args:
            parameters: in the order of `names`.
            inputs: one tensor [B, ...], or positional or named arguments.
            buffers: updated in place as the module would its own; without them the module's own
                are copied, and their update is forgotten.
            train: training mode, as in ``module.train()``.
        """
        if self.module.training != train:
            self.module.train(train)
        state = dict(zip(self.names, parameters, strict=True))
        state.update(self.buffers() if buffers is None else buffers)
        if isinstance(inputs, Tensor):
            returned = functional_call(self.module, state, (self.arrange(inputs),))
        elif isinstance(inputs, Mapping):
            returned = functional_call(self.module, state, (), dict(inputs))
        else:
            returned = functional_call(self.module, state, tuple(inputs))
        return self._output(returned)


def channels_last(tensor: Tensor) -> Tensor:
    """Return images [B, C, H, W] on a CPU with the channels last in memory; all else as it is.

    It made a step of a convolutional network 1.3 to 1.5 times faster.
    """
    if tensor.dim() != 4 or tensor.device.type != "cpu":
        return tensor
    arranged = tensor.contiguous(memory_format=torch.channels_last)
    if tensor.shape[1] > 1:
        return arranged
    # With one channel both layouts are the same in memory; the strides tell which is meant.
    height, width = tensor.shape[2:]
    return arranged.as_strided(tensor.shape, (height * width, 1, width, 1))
