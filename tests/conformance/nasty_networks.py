"""Small networks of our own, each with a habit that breaks a careless differentiation engine."""

import copy
import warnings
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from conformance.specimen import Batch, Specimen

CLASSES = 3
FEATURES = 5
WIDTH = 8
TOKENS = 6
WORDS = 12

_shelf: list[Specimen] = []


# Batches.


def _labels(generator: Generator, *shape: int) -> Tensor:
    return torch.randint(CLASSES, shape, generator=generator)


def rows(generator: Generator) -> Batch:
    """Rows of features."""
    return torch.randn(6, FEATURES, generator=generator), _labels(generator, 6)


def sequences(generator: Generator) -> Batch:
    """Sequences of features with one label each."""
    return torch.randn(4, TOKENS, FEATURES, generator=generator), _labels(generator, 4)


def labeled_sequences(generator: Generator) -> Batch:
    """Sequences of features with a label for each step."""
    return torch.randn(4, TOKENS, FEATURES, generator=generator), _labels(generator, 4, TOKENS)


def words(generator: Generator) -> Batch:
    """Sequences of words with one label each."""
    return torch.randint(WORDS, (4, TOKENS), generator=generator), _labels(generator, 4)


def labeled_words(generator: Generator) -> Batch:
    """Sequences of words with the next word as the label of each."""
    ids = torch.randint(WORDS, (4, TOKENS), generator=generator)
    return ids, ids.roll(-1, dims=1)


def images(generator: Generator) -> Batch:
    """Color images with one label each."""
    return torch.randn(4, 3, 8, 8, generator=generator), _labels(generator, 4)


def labeled_pixels(generator: Generator) -> Batch:
    """Color images with a label for each pixel."""
    return torch.randn(4, 3, 8, 8, generator=generator), _labels(generator, 4, 8, 8)


def waves(generator: Generator) -> Batch:
    """One-dimensional signals."""
    return torch.randn(4, 2, 16, generator=generator), _labels(generator, 4)


def volumes(generator: Generator) -> Batch:
    """Three-dimensional images."""
    return torch.randn(4, 1, 4, 4, 4, generator=generator), _labels(generator, 4)


def pairs(generator: Generator) -> Batch:
    """Pairs of rows under names."""
    left, right = torch.randn(2, 6, FEATURES, generator=generator)
    return {"left": left, "right": right}, _labels(generator, 6)


def masked_sequences(generator: Generator) -> Batch:
    """Sequences with a mask of floats."""
    inputs, targets = sequences(generator)
    mask = torch.ones(4, TOKENS)
    mask[0, -2:] = 0.0
    assert isinstance(inputs, Tensor)
    return {"inputs": inputs, "mask": mask}, targets


# Building blocks.


class Net(nn.Module):
    """Named parts and a function of the network and its inputs."""

    def __init__(self, body: Callable[..., Any], **parts: nn.Module | nn.Parameter | Tensor):
        super().__init__()
        self.body = body
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        return self.body(self, *inputs, **named)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


class DropPath(nn.Module):
    """Drops whole examples of a branch and scales the others up."""

    def forward(self, inputs: Tensor) -> Tensor:
        keep = torch.rand(len(inputs), *[1] * (inputs.dim() - 1), dtype=inputs.dtype) < 0.7
        return inputs * keep / 0.7


def first(inputs: int = FEATURES, outputs: int = WIDTH) -> nn.Linear:
    """The layer that reads the features."""
    return nn.Linear(inputs, outputs)


def last(inputs: int = WIDTH) -> nn.Linear:
    """The layer that writes the logits."""
    return nn.Linear(inputs, CLASSES)


def around(*middle: nn.Module, width: int = WIDTH) -> nn.Sequential:
    """Modules between the first and the last linear layer."""
    return nn.Sequential(first(), *middle, last(width))


def convolutions(*middle: nn.Module, width: int = 4) -> nn.Sequential:
    """Modules between a convolution and a linear layer over averaged pixels."""
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *middle, *pool, last(width))


def freeze(module: nn.Module) -> nn.Module:
    """Take a module's weights out of training."""
    return module.requires_grad_(False)


def put(
    why: str,
    batch: Callable[[Generator], Batch] = rows,
    *,
    classes: int = CLASSES,
    class_dim: int = 1,
    small: bool = True,
) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Put a builder on the shelf; its name is the specimen's."""

    def register(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        name = build.__name__.replace("_", "-")
        specimen = Specimen(
            name,
            why,
            lambda: build().train(),
            batch,
            classes,
            class_dim,
            small,
        )
        _shelf.append(specimen)
        return build

    return register


# In-place operations.


@put("the linear layer's output is overwritten by its activation")
def inplace_relu_after_linear() -> nn.Module:
    return around(nn.ReLU(inplace=True))


@put("the convolution's output is overwritten by its activation", images)
def inplace_relu_after_convolution() -> nn.Module:
    return convolutions(nn.ReLU(inplace=True))


@put("the normalized values are overwritten", images)
def inplace_relu_after_batch_norm() -> nn.Module:
    return convolutions(nn.BatchNorm2d(4), nn.ReLU(inplace=True))


@put("several in-place activations, some of which save their output")
def inplace_activations() -> nn.Module:
    return around(
        nn.ELU(inplace=True),
        first(WIDTH),
        nn.SiLU(inplace=True),
        first(WIDTH),
        nn.Hardtanh(inplace=True),
    )


@put("the residual is added in place")
def inplace_residual() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        states += net.middle(torch.tanh(states))
        return net.last(states)

    return Net(body, first=first(), middle=first(WIDTH), last=last())


@put("the linear layer's output is scaled in place by a tensor and a number")
def inplace_scaling() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(net.first(inputs).mul_(net.scale).mul_(0.5).tanh_())

    return Net(body, first=first(), scale=nn.Parameter(torch.rand(WIDTH) + 0.5), last=last())


@put("F.relu_ overwrites the output of a linear layer and then of the logits")
def inplace_functional_relu() -> nn.Module:
    return Net(
        lambda net, inputs: F.relu_(net.last(F.relu_(net.first(inputs))) + 0.5),
        first=first(),
        last=last(),
    )


@put("part of the linear layer's output is set to zero")
def inplace_slice() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        states[:, 0] = 0
        states[:, 1:3].mul_(2.0)
        return net.last(torch.tanh(states))

    return Net(body, first=first(), last=last())


@put("the logits themselves are changed in place")
def inplace_logits() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        logits = net.last(torch.tanh(net.first(inputs)))
        logits -= logits.mean(1, keepdim=True)
        return logits.div_(0.7)

    return Net(body, first=first(), last=last())


@put("the inputs of a linear layer are overwritten after it has read a copy of them")
def inplace_input() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        other = net.middle(states.clone())
        states.add_(other)
        return net.last(states.sigmoid_())

    return Net(body, first=first(), middle=first(WIDTH), last=last())


@put("dropout overwrites the linear layer's output")
def inplace_dropout() -> nn.Module:
    return around(nn.Dropout(0.3, inplace=True), nn.Tanh())


@put("values are scattered into a buffer that started as zeros")
def inplace_index_put() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        board = states.new_zeros(states.shape)
        board[torch.arange(len(states)).flip(0)] = states
        board.index_put_((torch.tensor([0, 0]),), states[1:3], accumulate=True)
        return net.last(torch.tanh(board))

    return Net(body, first=first(), last=last())


@put("masked_fill_ and a scatter into the linear layer's output")
def inplace_masked_fill() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        states.masked_fill_(states.detach() < -0.5, -0.5)
        return net.last(states.scatter_(1, torch.zeros(len(states), 1, dtype=torch.long), 1.0))

    return Net(body, first=first(), last=last())


# Shared weights, and weights used in unusual ways.


@put("one layer is called twice")
def repeated_layer() -> nn.Module:
    middle = nn.Linear(WIDTH, WIDTH)
    return around(nn.Tanh(), middle, nn.Tanh(), middle, nn.Tanh())


@put("two modules hold one weight")
def tied_weight() -> nn.Module:
    one, two = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
    two.weight = one.weight
    return around(one, nn.Tanh(), two)


@put("the embedding is the output layer", labeled_words, classes=WORDS, class_dim=-1)
def tied_embedding() -> nn.Module:
    embedding, output = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WORDS)
    output.weight = embedding.weight
    return nn.Sequential(embedding, nn.Linear(WIDTH, WIDTH), nn.Tanh(), output)


@put("a layer's weight is also read outside its call")
def weight_read_outside() -> nn.Module:
    return Net(
        lambda net, inputs: (
            net.last(torch.tanh(net.first(inputs))) * (1 + net.first.weight.sum().tanh())
        ),
        first=first(),
        last=last(),
    )


@put("a layer is called once and its weight multiplied by hand, transposed")
def weight_transposed() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(
            torch.tanh(inputs @ net.first.weight.T) @ net.middle.weight
            + net.middle(net.first(inputs))
        )

    return Net(body, first=first(), middle=nn.Linear(WIDTH, WIDTH), last=last())


class Multiply(torch.autograd.Function):
    """A product with a weight, with its own derivative that can be differentiated again."""

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor) -> Tensor:
        return inputs @ weight.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        inputs, weight = ctx.saved_tensors
        return grad @ weight, grad.T @ inputs


@put(
    "a custom autograd.Function takes a layer's weight; it has no forward-mode rule",
)
def custom_function_on_weight() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(torch.tanh(Multiply.apply(inputs, net.first.weight) + net.first(inputs)))

    return Net(body, first=first(), last=last())


class SquareOnce(torch.autograd.Function):
    """A square whose derivative forbids a second one."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return inputs * inputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (inputs,) = ctx.saved_tensors
        return 2 * inputs * grad


@put(
    "a custom autograd.Function, SquareOnce, is differentiable once only",
)
def once_differentiable_function() -> nn.Module:
    return around(Apply(SquareOnce.apply))


class Reverse(torch.autograd.Function):
    """The identity, whose derivative has the wrong sign on purpose."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -0.5 * grad


@put("gradient reversal: the gradient is not that of the function")
def gradient_reversal() -> nn.Module:
    return around(nn.Tanh(), Apply(Reverse.apply))


@put("F.linear is called with keyword arguments")
def linear_by_keywords() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = F.linear(weight=net.first.weight, input=inputs, bias=net.first.bias)
        return F.linear(input=torch.tanh(states), weight=net.last.weight)

    return Net(body, first=first(), last=last())


@put("layers are called by keyword")
def module_by_keyword() -> nn.Module:
    return Net(
        lambda net, inputs: net.last(input=torch.tanh(net.first(input=inputs))),
        first=first(),
        last=last(),
    )


@put("the module's class derives from Linear and changes its call")
def linear_subclass() -> nn.Module:
    class Scaled(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return 2.0 * super().forward(inputs) + inputs.sum(1, keepdim=True)

    return around(nn.Tanh(), Scaled(WIDTH, WIDTH))


@put("linear layers without bias, over a sequence, a vector and a transposed input", sequences)
def linear_over_many_shapes() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.mix(net.first(inputs).transpose(1, 2)).transpose(1, 2)
        return net.last(torch.tanh(states).mean(1)) + net.last(
            torch.ones(WIDTH, dtype=inputs.dtype)
        )

    return Net(
        body,
        first=nn.Linear(FEATURES, WIDTH, bias=False),
        mix=nn.Linear(TOKENS, TOKENS, bias=False),
        last=last(),
    )


@put("weights are written as einsum", sequences)
def einsum_weights() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = torch.tanh(torch.einsum("btf,hfd->bhtd", inputs, net.heads))
        return torch.einsum("bhtd,hdc->bc", states, net.out)

    return Net(
        body,
        heads=nn.Parameter(0.3 * torch.randn(2, FEATURES, 4)),
        out=nn.Parameter(0.3 * torch.randn(2, 4, CLASSES)),
    )


@put("a scalar weight is broadcast")
def scalar_weight() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(torch.tanh(net.first(inputs) * net.scale.expand(WIDTH))) * net.temperature

    return Net(
        body,
        first=first(),
        last=last(),
        scale=nn.Parameter(torch.tensor(0.8)),
        temperature=nn.Parameter(torch.tensor([1.5])),
    )


@put("weights are also held in a list in a closure")
def weights_in_a_closure() -> nn.Module:
    one, two = first(), last()
    held = [one.weight, two.weight]

    def body(net: Any, inputs: Tensor) -> Tensor:
        return torch.tanh(inputs @ held[0].T + net.first.bias) @ held[1].T + net.last.bias

    return Net(body, first=one, last=two)


@put("some weights are not used")
def unused_weights() -> nn.Module:
    return Net(
        lambda net, inputs: net.last(torch.tanh(net.first(inputs))),
        idle=first(),
        first=first(),
        last=last(),
    )


@put("weights are generated by another network: F.linear on a weight that is no leaf")
def hypernetwork() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        weight = net.writer(net.code).view(WIDTH, FEATURES)
        return net.last(torch.tanh(F.linear(inputs, weight, net.bias)))

    return Net(
        body,
        writer=nn.Linear(2, WIDTH * FEATURES),
        code=nn.Parameter(torch.randn(2)),
        bias=nn.Parameter(torch.zeros(WIDTH)),
        last=last(),
    )


@put("low-rank adapters around frozen layers")
def low_rank_adapters() -> nn.Module:
    def adapt(layer: nn.Linear) -> nn.Module:
        wide, narrow = layer.out_features, layer.in_features
        return Net(
            lambda net, inputs: (
                net.layer(inputs) + 2.0 * net.up(net.down(F.dropout(inputs, 0.1, net.training)))
            ),
            layer=freeze(layer),
            down=nn.Linear(narrow, 2, bias=False),
            up=nn.Linear(2, wide, bias=False),
        )

    return nn.Sequential(
        adapt(first()), nn.Tanh(), adapt(nn.Linear(WIDTH, WIDTH)), nn.ReLU(), last()
    )


# Parametrized weights.


@put("weight_norm recomputes the weight at each read")
def weight_norm() -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(first()), nn.Tanh(), parametrizations.weight_norm(last())
    )


@put("spectral_norm changes its vectors in each forward pass")
def spectral_norm() -> nn.Module:
    return nn.Sequential(parametrizations.spectral_norm(first()), nn.Tanh(), last())


@put("the old spectral_norm sets the weight in a pre-hook")
def old_spectral_norm() -> nn.Module:
    return nn.Sequential(nn.utils.spectral_norm(first()), nn.Tanh(), last())


@put("orthogonal weight by a matrix exponential")
def orthogonal_weight() -> nn.Module:
    return around(
        nn.Tanh(), parametrizations.orthogonal(nn.Linear(WIDTH, WIDTH), orthogonal_map="matrix_exp")
    )


@put("orthogonal weight by Householder reflections")
def householder_weight() -> nn.Module:
    return around(nn.Tanh(), parametrizations.orthogonal(nn.Linear(WIDTH, WIDTH)))


@put("the convolution's weight is standardized in each pass", images)
def weight_standardization() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        weight = net.layer.weight
        mean, deviation = weight.mean((1, 2, 3), keepdim=True), weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(inputs, (weight - mean) / (deviation + 1e-5), net.layer.bias, padding=1)

    return nn.Sequential(
        Net(body, layer=nn.Conv2d(3, 4, 3)),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        last(4),
    )


@put("fake quantization of weights and states: rounding is passed straight through")
def fake_quantization() -> nn.Module:
    def rounded(values: Tensor) -> Tensor:
        return values + (torch.round(values * 8) / 8 - values).detach()

    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(
            rounded(torch.tanh(F.linear(inputs, rounded(net.first.weight), net.first.bias)))
        )

    return Net(body, first=first(), last=last())


@put("PyTorch's own fake quantization has no second derivative")
def torch_fake_quantization() -> nn.Module:
    return around(
        nn.Tanh(),
        Apply(lambda states: torch.fake_quantize_per_tensor_affine(states, 0.1, 0, -128, 127)),
    )


# Recurrence and attention.


@put("GRU of two layers with dropout", sequences)
def gru() -> nn.Module:
    return Net(
        lambda net, inputs: net.last(net.cells(inputs)[0][:, -1]),
        cells=nn.GRU(FEATURES, 4, 2, batch_first=True, dropout=0.2),
        last=last(4),
    )


@put("bidirectional LSTM of two layers with dropout", sequences)
def lstm() -> nn.Module:
    return Net(
        lambda net, inputs: net.last(net.cells(inputs)[0].mean(1)),
        cells=nn.LSTM(FEATURES, 3, 2, batch_first=True, dropout=0.2, bidirectional=True),
        last=last(6),
    )


@put("plain recurrence over packed sequences of several lengths", sequences)
def packed_rnn() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            inputs, torch.tensor([6, 5, 3, 2]), batch_first=True
        )
        return net.last(net.cells(packed)[1][-1])

    return Net(body, cells=nn.RNN(FEATURES, 4, batch_first=True), last=last(4))


@put("a cell called in a loop, its state detached half-way", sequences)
def cell_loop() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        state = inputs.new_zeros(len(inputs), 4)
        for step, values in enumerate(inputs.unbind(1)):
            state = net.cell(values, state.detach() if step == TOKENS // 2 else state)
        return net.last(state)

    return Net(body, cell=nn.GRUCell(FEATURES, 4), last=last(4))


@put("nn.MultiheadAttention, whose projections are no module calls", sequences)
def multihead_attention() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        return net.last(net.attention(states, states, states, need_weights=False)[0].mean(1))

    return Net(
        body,
        first=first(),
        attention=nn.MultiheadAttention(WIDTH, 2, dropout=0.1, batch_first=True),
        last=last(),
    )


@put("attention that also returns its weights", sequences)
def attention_with_weights() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        states = net.first(inputs)
        mixed, weights = net.attention(states, states, states)
        return net.last(mixed.mean(1) + weights.mean((1, 2))[:, None]), weights

    return Net(
        body,
        first=first(),
        attention=nn.MultiheadAttention(WIDTH, 2, batch_first=True),
        last=last(),
    )


def _encoder(norm_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        WIDTH, 2, 16, dropout=0.1, batch_first=True, norm_first=norm_first
    )
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(first(), encoder, Apply(lambda states: states.mean(1)), last())


@put("nn.TransformerEncoder with the norms last", sequences)
def encoder_norm_last() -> nn.Module:
    return _encoder(norm_first=False)


@put("nn.TransformerEncoder with the norms first", sequences)
def encoder_norm_first() -> nn.Module:
    return _encoder(norm_first=True)


@put(
    "nn.TransformerDecoder: causal attention and attention to a memory",
    labeled_sequences,
    class_dim=-1,
)
def transformer_decoder() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        mask = nn.Transformer.generate_square_subsequent_mask(TOKENS, dtype=inputs.dtype)
        return net.last(net.decoder(states, torch.tanh(states), tgt_mask=mask, tgt_is_causal=True))

    layer = nn.TransformerDecoderLayer(WIDTH, 2, 16, dropout=0.1, batch_first=True)
    return Net(body, first=first(), decoder=nn.TransformerDecoder(layer, 1), last=last())


@put(
    "scaled_dot_product_attention is called directly, causal, with dropout",
    labeled_sequences,
    class_dim=-1,
)
def causal_attention() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        query, key, value = net.first(inputs).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=0.1, is_causal=True)
        return net.last(mixed.transpose(1, 2).flatten(2))

    return Net(body, first=first(FEATURES, 24), last=last())


@put("attention by flash kernels: no dropout, no mask", sequences)
def flash_attention() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        query, key, value = net.first(inputs).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return net.last(
            F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2).mean(1)
        )

    return Net(body, first=first(FEATURES, 24), last=last())


@put("attention under a mask of floats given with the batch", masked_sequences)
def masked_attention() -> nn.Module:
    def body(net: Any, inputs: Tensor, mask: Tensor) -> Tensor:
        query, key, value = net.first(inputs).chunk(3, dim=-1)
        bias = ((mask.to(inputs.dtype) - 1) * 1e4)[:, None, :]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        weights = mask.to(inputs.dtype)[..., None]
        return net.last((mixed * weights).sum(1) / weights.sum(1))

    return Net(body, first=first(FEATURES, 24), last=last())


# Embeddings.


@put("bags of words of several lengths", words)
def embedding_bag() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(torch.tanh(net.bag(inputs.flatten(), torch.tensor([0, 5, 11, 20]))))

    return Net(body, bag=nn.EmbeddingBag(WORDS, WIDTH, mode="sum"), last=last())


@put("bags of words by mean", words)
def embedding_bag_mean() -> nn.Module:
    return nn.Sequential(nn.EmbeddingBag(WORDS, WIDTH, mode="mean"), nn.Tanh(), last())


@put("an embedding with a padding word and gradients scaled by frequency", words)
def embedding_by_frequency() -> nn.Module:
    embedding = nn.Embedding(WORDS, WIDTH, padding_idx=0, scale_grad_by_freq=True)
    return nn.Sequential(embedding, nn.Tanh(), Apply(lambda states: states.mean(1)), last())


@put("the embedding renormalizes its weights in place in each forward pass", words)
def embedding_max_norm() -> nn.Module:
    embedding = nn.Embedding(WORDS, WIDTH, max_norm=1.0)
    return nn.Sequential(embedding, nn.Tanh(), Apply(lambda states: states.mean(1)), last())


# Recomputation and randomness.


def _checkpointed(reentrant: bool) -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        return net.last(checkpoint(net.block, states, use_reentrant=reentrant))

    block = nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.Dropout(0.3), nn.Tanh(), nn.Linear(WIDTH, WIDTH)
    )
    return Net(body, first=first(), block=block, last=last())


@put("a block is recomputed in the backward pass, with the same dropout masks")
def checkpointed_block() -> nn.Module:
    return _checkpointed(reentrant=False)


@put(
    "a block is recomputed by the old reentrant checkpoint, which allows backward() only",
)
def reentrant_checkpoint() -> nn.Module:
    return _checkpointed(reentrant=True)


@put("DropPath around branches")
def drop_path() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        return net.last(states + net.drop(torch.tanh(net.middle(states))))

    return Net(body, first=first(), drop=DropPath(), middle=first(WIDTH), last=last())


@put("many kinds of dropout in one network", images)
def many_dropouts() -> nn.Module:
    return convolutions(
        nn.Dropout2d(0.3),
        nn.ELU(),
        nn.Dropout(0.2),
        nn.FeatureAlphaDropout(0.2),
        nn.AlphaDropout(0.2),
    )


@put("random slopes of a leaky activation")
def random_slopes() -> nn.Module:
    return around(nn.RReLU())


@put("Gumbel noise and hard choices passed straight through")
def gumbel_softmax() -> nn.Module:
    return around(Apply(lambda states: F.gumbel_softmax(states, tau=1.0, hard=True)))


@put("noise is added to states by random numbers of a new shape and by bernoulli_")
def noisy_states() -> nn.Module:
    def noise(states: Tensor) -> Tensor:
        keep = torch.empty_like(states).bernoulli_(0.8)
        return states * keep + 0.1 * torch.randn_like(states)

    return around(Apply(noise), nn.Tanh())


@put("the order of the layers is drawn anew in each pass")
def random_order() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        for index in torch.randperm(3).tolist():
            states = torch.tanh(net.layers[index](states))
        return net.last(states)

    return Net(
        body, first=first(), layers=nn.ModuleList(first(WIDTH) for _ in range(3)), last=last()
    )


@put("layers are skipped at random")
def random_depth() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        for layer in net.layers:
            if torch.rand(()) < 0.5:
                states = torch.tanh(layer(states))
        return net.last(states)

    return Net(
        body, first=first(), layers=nn.ModuleList(first(WIDTH) for _ in range(4)), last=last()
    )


# Control flow that depends on data.


@put("each row goes to the expert with the highest score; some experts may idle")
def experts() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        scores = torch.softmax(net.gate(states), dim=1)
        best, choice = scores.max(1)
        outputs = states.new_zeros(len(states), WIDTH)
        for index, expert in enumerate(net.experts):
            (members,) = torch.where(choice == index)
            outputs = outputs.index_add(0, members, torch.tanh(expert(states[members])))
        return net.last(outputs * best[:, None])

    return Net(
        body,
        first=first(),
        gate=nn.Linear(WIDTH, 3),
        experts=nn.ModuleList(first(WIDTH) for _ in range(3)),
        last=last(),
    )


@put("the two highest gates weigh the experts")
def top_two_experts() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        values, indices = net.gate(inputs).topk(2, dim=1)
        outputs = torch.stack([expert(inputs) for expert in net.experts], dim=1)
        chosen = outputs.gather(1, indices[..., None].expand(-1, -1, WIDTH))
        return net.last(torch.tanh((torch.softmax(values, 1)[..., None] * chosen).sum(1)))

    return Net(
        body,
        gate=nn.Linear(FEATURES, 3),
        experts=nn.ModuleList(first() for _ in range(3)),
        last=last(),
    )


@put("the path depends on the batch's values")
def data_dependent_path() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = net.first(inputs)
        order = (0, 1) if float(states.detach().mean()) > 0 else (1, 0)
        for index in order:
            states = torch.tanh(net.layers[index](states))
        return net.last(states)

    return Net(
        body, first=first(), layers=nn.ModuleList(first(WIDTH) for _ in range(2)), last=last()
    )


# Kinds of outputs and inputs.


@put("outputs are a tuple")
def tuple_outputs() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        states = torch.tanh(net.first(inputs))
        return net.last(states), states

    return Net(body, first=first(), last=last())


@put("outputs are a dictionary")
def dictionary_outputs() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> dict[str, Tensor]:
        states = torch.tanh(net.first(inputs))
        return {"states": states, "logits": net.last(states)}

    return Net(body, first=first(), last=last())


@dataclass
class Outputs:
    """Outputs that hold the logits second, and a value that is no tensor."""

    states: Tensor
    logits: Tensor
    steps: int = 1


@put("outputs are a dataclass")
def dataclass_outputs() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Outputs:
        states = torch.tanh(net.first(inputs))
        return Outputs(states, net.last(states))

    return Net(body, first=first(), last=last())


NamedOutputs = namedtuple("NamedOutputs", ["states", "logits"])


@put("outputs are a named tuple whose first item is not the logits")
def named_tuple_outputs() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> NamedOutputs:
        states = torch.tanh(net.first(inputs))
        return NamedOutputs(states, net.last(states))

    return Net(body, first=first(), last=last())


@put("logits [batch, token, class]", labeled_sequences, class_dim=-1)
def logits_by_token() -> nn.Module:
    return around(nn.LayerNorm(WIDTH), nn.GELU())


@put("logits [batch, class, token], transposed and not contiguous", labeled_sequences)
def logits_transposed() -> nn.Module:
    return nn.Sequential(around(nn.Tanh()), Apply(lambda logits: logits.transpose(1, 2)))


@put("logits [batch, class, height, width]", labeled_pixels)
def logits_by_pixel() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, CLASSES, 1))


@put("two inputs by name through one branch", pairs)
def siamese() -> nn.Module:
    def body(net: Any, left: Tensor, right: Tensor) -> Tensor:
        one, two = net.branch(left), net.branch(right)
        return net.last(torch.cat([one, two, (one - two).abs(), one * two], dim=1))

    return Net(body, branch=nn.Sequential(first(), nn.Tanh(), first(WIDTH, 4)), last=last(16))


@put("logits are the mean of stacked members, themselves expanded")
def ensemble() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return torch.stack([member(inputs) for member in net.members]).logsumexp(0)

    return Net(body, members=nn.ModuleList(around(nn.Tanh()) for _ in range(3)))


# Frozen and detached parts.


@put("the first layers are frozen")
def frozen_start() -> nn.Module:
    return nn.Sequential(
        freeze(first()),
        nn.ReLU(inplace=True),
        freeze(first(WIDTH)),
        nn.Tanh(),
        first(WIDTH),
        nn.Tanh(),
        last(),
    )


@put("a layer in the middle is frozen")
def frozen_middle() -> nn.Module:
    return around(nn.Tanh(), freeze(first(WIDTH)), nn.Tanh())


@put("weights are frozen but biases learn")
def frozen_weights() -> nn.Module:
    network = around(nn.Tanh())
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("bias" in name or name.startswith("2"))
    return network


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch norm that stays in evaluation mode."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm":
        return super().train(False)


@put("batch norm is frozen in evaluation mode", images)
def frozen_batch_norm() -> nn.Module:
    return convolutions(freeze(FrozenBatchNorm(4)), nn.ReLU(inplace=True))


@put("a part runs under no_grad")
def part_without_gradients() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            context = torch.tanh(net.reader(inputs))
        return net.last(torch.tanh(net.first(inputs)) * context)

    return Net(body, reader=first(), first=first(), last=last())


@put("the target branch is detached in the middle")
def detached_branch() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = torch.tanh(net.first(inputs))
        return net.last(states * torch.sigmoid(net.gate(states.detach())))

    return Net(body, first=first(), gate=first(WIDTH), last=last())


@put("rounding is passed straight through")
def straight_through_rounding() -> nn.Module:
    return around(Apply(lambda states: states + (states.round() - states).detach()))


# Hooks.


@put("a hook changes a layer's output, another its input")
def forward_hooks() -> nn.Module:
    network = around(nn.Tanh())
    network[0].register_forward_hook(lambda _module, _inputs, output: output * 1.5)
    network[2].register_forward_pre_hook(lambda _module, inputs: (inputs[0] - 0.2,))
    return network


@put("a hook overwrites a layer's output in place")
def inplace_forward_hook() -> nn.Module:
    network = around(nn.Tanh())
    network[0].register_forward_hook(lambda _module, _inputs, output: output.mul_(0.5))
    return network


@put("a full backward hook scales the gradient of a module's input")
def backward_hook() -> nn.Module:
    network = around(nn.Tanh())
    network[1].register_full_backward_hook(lambda _module, grads, _outputs: (grads[0] * 0.5,))
    return network


@put("a full backward pre-hook scales the gradient of a module's output")
def backward_pre_hook() -> nn.Module:
    network = around(nn.Tanh())
    network[2].register_full_backward_pre_hook(lambda _module, grads: (grads[0] * 0.5,))
    return network


@put("a hook on states inside the forward pass scales their gradient")
def state_hook() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        states = torch.tanh(net.first(inputs))
        states.register_hook(lambda grad: grad * 0.3)
        return net.last(states)

    return Net(body, first=first(), last=last())


@put("a hook halves a weight's gradient")
def halved_gradient() -> nn.Module:
    network = around(nn.Tanh())
    network[0].weight.register_hook(lambda grad: grad * 0.5)
    return network


@put("a hook sets rows of a weight's gradient to zero")
def gradient_rows_masked() -> nn.Module:
    mask = (torch.arange(WIDTH) % 2 == 0)[:, None]
    network = around(nn.Tanh())
    network[0].weight.register_hook(lambda grad: grad * mask)
    return network


@put("a hook clamps a weight's gradient: it depends on the gradient's value")
def clamped_gradient() -> nn.Module:
    network = around(nn.Tanh())
    for parameter in network.parameters():
        parameter.register_hook(lambda grad: grad.clamp(-0.01, 0.01))
    return network


@put("a hook divides a weight's gradient by its norm")
def normalized_gradient() -> nn.Module:
    network = around(nn.Tanh())
    network[0].weight.register_hook(lambda grad: grad / (grad.norm() + 1e-3))
    return network


@put("a hook after accumulation scales .grad; only backward() runs it")
def post_accumulate_hook() -> nn.Module:
    def scale(parameter: Tensor) -> None:
        assert parameter.grad is not None
        parameter.grad.mul_(0.5)

    network = around(nn.Tanh())
    network[0].weight.register_post_accumulate_grad_hook(scale)
    return network


# Kinds of layers.


@put("batch norm over rows, whose statistics change in each pass")
def batch_norm() -> nn.Module:
    return around(nn.BatchNorm1d(WIDTH), nn.Tanh())


@put("batch norm called twice in one pass")
def repeated_batch_norm() -> nn.Module:
    norm = nn.BatchNorm1d(WIDTH)
    return around(norm, nn.Tanh(), first(WIDTH), norm, nn.Tanh())


@put("batch norm without momentum counts its batches")
def cumulative_batch_norm() -> nn.Module:
    return around(nn.BatchNorm1d(WIDTH, momentum=None), nn.Tanh())


@put("group, instance and local response norms", images)
def image_norms() -> nn.Module:
    norms = (
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.InstanceNorm2d(4, affine=True),
        nn.LocalResponseNorm(2),
    )
    return convolutions(*norms, nn.Conv2d(4, 4, 3), nn.SiLU())


@put("layer norm and RMS norm, learned slopes")
def row_norms() -> nn.Module:
    return around(nn.LayerNorm(WIDTH), nn.PReLU(WIDTH), nn.RMSNorm(WIDTH), nn.PReLU())


@put("a bilinear layer", pairs)
def bilinear() -> nn.Module:
    return Net(
        lambda net, left, right: net.last(torch.tanh(net.both(left, right))),
        both=nn.Bilinear(FEATURES, FEATURES, WIDTH),
        last=last(),
    )


@put("one-dimensional convolution, dilated, and its transpose", waves)
def convolutions_1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, dilation=2, padding="same"),
        nn.ReLU(inplace=True),
        nn.ConvTranspose1d(4, 4, 4, stride=2),
        nn.Tanh(),
        nn.AdaptiveMaxPool1d(2),
        nn.Flatten(),
        last(),
    )


@put("three-dimensional convolution", volumes)
def convolutions_3d() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 4, 2), nn.ReLU(inplace=True), nn.AvgPool3d(3), nn.Flatten(), last(4)
    )


@put("depthwise and transposed convolutions with reflected padding", images)
def depthwise_convolutions() -> nn.Module:
    return convolutions(
        nn.ReLU6(inplace=True),
        nn.Conv2d(4, 8, 3, groups=4, padding=1, padding_mode="reflect"),
        nn.Hardswish(inplace=True),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.ReLU(inplace=True),
    )


@put("weights and images in channels-last memory", images)
def channels_last() -> nn.Module:
    network = convolutions(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3))
    network = network.to(memory_format=torch.channels_last)
    return nn.Sequential(
        Apply(lambda pixels: pixels.to(memory_format=torch.channels_last)), network
    )


@put("pixels are shuffled into space and back", labeled_pixels)
def pixel_shuffle() -> nn.Module:
    return nn.Sequential(
        nn.PixelUnshuffle(2), nn.Conv2d(12, 12, 3, padding=1), nn.Tanh(), nn.PixelShuffle(2)
    )


@put("maximum pooling, indices undone, bilinear resizing", labeled_pixels)
def unpooling() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        values, indices = F.max_pool2d(net.first(inputs), 2, return_indices=True)
        raised = F.max_unpool2d(values, indices, 2)
        resized = F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
        return net.last(raised + resized)

    return Net(body, first=nn.Conv2d(3, 4, 3, padding=1), last=nn.Conv2d(4, CLASSES, 1))


@put("a learned transformation samples the image", images)
def spatial_transformer() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        start = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]], dtype=inputs.dtype)
        theta = start + 0.1 * net.locate(inputs.mean((2, 3))).view(-1, 2, 3)
        grid = F.affine_grid(theta, [len(inputs), 3, 8, 8], align_corners=False)
        return net.read(F.grid_sample(inputs, grid, align_corners=False))

    return Net(body, locate=nn.Linear(3, 6), read=convolutions(nn.Tanh()))


@put("patches are unfolded and folded", labeled_pixels)
def unfold_and_fold() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        patches = net.mix(F.unfold(inputs, 3, padding=1).transpose(1, 2)).transpose(1, 2)
        return F.fold(torch.tanh(patches), (8, 8), 3, padding=1)

    return Net(body, mix=nn.Linear(27, CLASSES * 9))


# Kinds of operations.


@put("a Fourier transform in the middle: complex values")
def fourier_transform() -> nn.Module:
    def transform(states: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(states, dim=1)
        return torch.cat([spectrum.real, spectrum.imag, spectrum.abs()], dim=1)

    return around(nn.Tanh(), Apply(transform), width=15)


@put("complex weights")
def complex_weights() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(net.first(inputs), dim=1) * torch.complex(net.real, net.imaginary)
        return net.last(torch.tanh(torch.fft.irfft(spectrum, n=WIDTH, dim=1)))

    return Net(
        body,
        first=first(),
        real=nn.Parameter(torch.randn(5)),
        imaginary=nn.Parameter(torch.randn(5)),
        last=last(),
    )


@put("torch.vmap inside the forward pass")
def vmap_inside() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        def one(row: Tensor) -> Tensor:
            return torch.tanh(net.first.weight @ row + net.first.bias)

        return net.last(torch.vmap(one)(inputs))

    return Net(body, first=first(), last=last())


@put("torch.func.functional_call inside, with changed weights")
def functional_call_inside() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        changed = {name: net.scale * value for name, value in net.first.named_parameters()}
        return net.last(
            torch.tanh(
                torch.func.functional_call(net.first, changed, (inputs,)) + net.first(inputs)
            )
        )

    return Net(body, first=first(), scale=nn.Parameter(torch.tensor(0.7)), last=last())


@put("torch.func.grad inside: the output is a gradient of an energy")
def gradient_inside() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        def energy(states: Tensor) -> Tensor:
            return torch.tanh(net.middle(states)).square().sum()

        return net.last(torch.func.grad(energy)(net.first(inputs)))

    return Net(body, first=first(), middle=first(WIDTH), last=last())


@put("sums that run along the row, and sorting")
def cumulative_sum_and_sort() -> nn.Module:
    return around(
        Apply(lambda states: states.cumsum(1).sort(1).values + states.cummax(1).values), nn.Tanh()
    )


@put("messages are added along edges by scatter_add and index_select")
def graph_messages() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        source, sink = torch.tensor([[0, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 3]])
        states = net.first(inputs)
        messages = torch.tanh(net.message(states.index_select(0, source)))
        return net.last(
            torch.zeros_like(states).scatter_add(0, sink[:, None].expand_as(messages), messages)
            + states
        )

    return Net(body, first=first(), message=first(WIDTH), last=last())


@put("branches by torch.where, and clamping")
def where_and_clamp() -> nn.Module:
    return around(
        Apply(lambda states: torch.where(states > 0, states.clamp(max=1.0), states.exp() - 1))
    )


@put("a linear system and an inverse are solved in each pass")
def linear_solve() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        matrix = torch.eye(WIDTH, dtype=inputs.dtype) * 2 + 0.1 * net.middle.weight
        states = torch.linalg.solve(matrix, net.first(inputs).T).T
        return net.last(torch.tanh(states @ torch.linalg.inv(matrix)))

    return Net(body, first=first(), middle=first(WIDTH), last=last())


@put("logits are distances to learned prototypes")
def prototypes() -> nn.Module:
    return Net(
        lambda net, inputs: -torch.cdist(net.first(inputs), net.centers),
        first=first(),
        centers=nn.Parameter(torch.randn(CLASSES, WIDTH)),
    )


@put("a fixed point is found by iteration; the last step carries the gradient")
def fixed_point() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        pushed = net.first(inputs)
        states = torch.zeros_like(pushed)
        with torch.no_grad():
            for _ in range(5):
                states = torch.tanh(0.3 * net.middle(states) + pushed)
        return net.last(torch.tanh(0.3 * net.middle(states) + pushed))

    return Net(body, first=first(), middle=first(WIDTH), last=last())


# Wrappers and number types.


@put("a buffer in float64 inside a network of another type")
def float64_buffer() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        return net.last(torch.tanh(net.first((inputs * net.scale).to(inputs.dtype))))

    return Net(
        body, first=first(), scale=torch.rand(FEATURES, dtype=torch.float64) + 0.5, last=last()
    )


@put("a block computes in bfloat16", small=False)
def autocast_block() -> nn.Module:
    def body(net: Any, inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = torch.tanh(net.middle(net.first(inputs)))
        return net.last(states.to(inputs.dtype))

    return Net(body, first=first(), middle=first(WIDTH), last=last())


@put("compiled with the eager backend")
def compiled_eager() -> nn.Module:
    return torch.compile(around(nn.ReLU(inplace=True), nn.Dropout(0.2)), backend="eager")


@put(
    "compiled ahead of time, which has no second derivative",
)
def compiled_ahead() -> nn.Module:
    return torch.compile(around(nn.ReLU(inplace=True)), backend="aot_eager")


@put("a script of TorchScript")
def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(around(nn.ReLU(inplace=True), nn.LayerNorm(WIDTH)))


@put("a trace of TorchScript")
def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(around(nn.Tanh()), torch.zeros(2, FEATURES))


@put("wrapped in DataParallel: one more level of names")
def data_parallel() -> nn.Module:
    return nn.DataParallel(around(nn.ReLU(inplace=True)))


@put("a copy made by deepcopy, with a tied weight inside")
def deep_copy() -> nn.Module:
    return copy.deepcopy(tied_weight())


# What PyTorch 2.13 cannot do, by measurement. An operator's name where there is one.
NO_JVP = "custom autograd.Function without jvp"
BACKWARD_ONLY = "forward mode runs no hooks of the backward pass"
NO_FORWARD_MODE = {
    "custom-function-on-weight": NO_JVP,
    "once-differentiable-function": NO_JVP,
    "gradient-reversal": NO_JVP,
    "reentrant-checkpoint": NO_JVP,
    "weight-norm": "_weight_norm_interface",
    "spectral-norm": "div_out",
    "old-spectral-norm": "div_out",
    "torch-fake-quantization": "fake_quantize_per_tensor_affine_cachemask",
    "lstm": "mkldnn_rnn_layer",
    "embedding-bag": "_embedding_bag",
    "embedding-bag-mean": "_embedding_bag",
    "embedding-by-frequency": "the gradient is scaled by frequency, the tangent is not",
    "weights-in-a-closure": "weights in a closure cannot be replaced",
    "backward-hook": BACKWARD_ONLY,
    "backward-pre-hook": BACKWARD_ONLY,
    "state-hook": "register_hook on a tensor that requires no gradient",
    "halved-gradient": BACKWARD_ONLY,
    "clamped-gradient": BACKWARD_ONLY,
    "normalized-gradient": BACKWARD_ONLY,
    "post-accumulate-hook": BACKWARD_ONLY,
    "spatial-transformer": "grid_sampler_2d",
    "prototypes": "_cdist_forward",
    "scripted": "weights of a script cannot be replaced",
    "traced": "weights of a script cannot be replaced",
}
NO_DOUBLE_BACKWARD = {
    # grad(..., inputs=...) does not visit the node that would raise, and drops the term in silence.
    "once-differentiable-function": "SquareOnce",
    "reentrant-checkpoint": "CheckpointFunction",
    "embedding-bag": "_embedding_bag_backward",
    "embedding-bag-mean": "_embedding_bag_backward",
    # Silent too: the second derivative ignores the frequencies.
    "embedding-by-frequency": "embedding_dense_backward",
    "prototypes": "_cdist_backward",
    "compiled-ahead": "aot_autograd",
}

NASTY: tuple[Specimen, ...] = tuple(
    replace(
        specimen,
        float64=specimen.name != "autocast-block",
        no_forward_mode=NO_FORWARD_MODE.get(specimen.name, ""),
        no_double_backward=NO_DOUBLE_BACKWARD.get(specimen.name, ""),
    )
    for specimen in _shelf
)
