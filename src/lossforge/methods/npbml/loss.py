"""The loss of the inner loop: the usual one and up to three learned terms.

Source: thesis, ch. 7. Each term is a small network whose output is added to cross-entropy (squared
error in regression). The inductive term sees predictions on the support set and their targets; the
transductive one sees predictions on the query inputs, without targets; the penalty sees statistics
of the adapted weights.
"""

import math
from collections.abc import Mapping
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.film import FiLM
from lossforge.tasks.kinds import Kind

Similarity = Literal["cosine", "distance"]
"""of a query row to a prototype: the cosine of their angle, or minus their squared distance"""

FIRST_SCALES: Mapping[Similarity, float] = {"cosine": 10.0, "distance": 1.0}
"""1 over the first temperature; for distances that of prototypical networks"""

LEAK, SHARPNESS = 0.25, 5.0
DEVIATION = 0.01
STATISTICS = 4
HIDDEN_LAYERS = 2

LEAST_SQUARE = 1e-8
"""added to squared lengths, which are about the number of features"""


def smooth_leaky_relu(x: Tensor) -> Tensor:
    """Return LEAK·x + (1 - LEAK)·softplus(SHARPNESS·x)/SHARPNESS."""
    return LEAK * x + (1 - LEAK) * F.softplus(x, beta=SHARPNESS)


@final
class Term(nn.Module):
    """A network from what a term sees to one number, averaged over the rows.

    FiLM stands as in the released code: in every layer, the last included, before the activation,
    and computed from the mean row that the layer sees. (The last released version has it written
    and switched off; what is written there is what is meant here. Its generators begin near 0, ours
    at 0.)

    Args:
        inputs: width of what it sees, and of its two hidden layers.
        film: whether its layers are modulated by the task.
        task: width of a task's vector that FiLM sees; 0 for the mean row.
    """

    def __init__(self, inputs: int, *, film: bool, task: int = 0):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(inputs, inputs) for _ in range(HIDDEN_LAYERS))
        self.last = nn.Linear(inputs, 1)
        widths = [inputs] * HIDDEN_LAYERS + [1]
        self.films = nn.ModuleList(FiLM(width, inputs, task) for width in widths if film)
        for layer in (*self.hidden, self.last):
            nn.init.normal_(layer.weight, std=DEVIATION)
            nn.init.zeros_(layer.bias)

    def forward(self, seen: Tensor) -> Tensor:
        """Return the term's value for what it sees, [B, inputs]."""
        return self.by_row(seen).mean()

    def by_row(self, seen: Tensor) -> Tensor:
        """Return its value for each row, [B]."""
        for index, layer in enumerate(self.hidden):
            seen = F.relu(self._layer(index, layer, seen))
        return smooth_leaky_relu(self._layer(HIDDEN_LAYERS, self.last, seen)).squeeze(1)

    def _layer(self, index: int, layer: nn.Module, seen: Tensor) -> Tensor:
        outputs: Tensor = layer(seen)
        return self.films[index](outputs, seen) if len(self.films) else outputs


@final
class Prototypes(nn.Module):
    """Similarities of query rows to the classes' mean features, as logits over the classes.

    They are divided by a learned temperature: without one, a softmax of cosines over 5 classes is
    at most e / (e + 4/e) = 0.65. The released code takes minus squared distances, which grow with
    the number of features; cosines with a temperature do not, and are the default.

    Args:
        similarity: cosine or distance.

    Examples:
        >>> support, labels = torch.eye(3), torch.arange(3)
        >>> Prototypes("cosine")(support, support, labels, 3).softmax(1).max().item() > 0.99
        True
    """

    def __init__(self, similarity: Similarity):
        super().__init__()
        self.similarity = similarity
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALES[similarity])))

    def forward(self, query: Tensor, support: Tensor, labels: Tensor, ways: int) -> Tensor:
        """Return logits [Q, ways].

        Args:
            query: features of the query rows, [Q, F].
            support: features of the support rows, [B, F].
            labels: of the support rows, [B]; every class has one.
            ways: classes.
        """
        prototypes = class_means(support, labels, ways)
        if self.similarity == "cosine":
            similar = unit_rows(query) @ unit_rows(prototypes).T
        else:
            similar = -(query[:, None] - prototypes).square().sum(2)
        return similar * self.log_scale.exp()


@final
class InnerLoss(nn.Module):
    """M of one task: the usual loss on the support set and the learned terms.

    Args:
        kind: of the tasks.
        ways: outputs N.
        layers: names of the adapted weights that the penalty sees.
        inductive: whether there is the term of predictions with targets.
        transductive: whether there is the term of predictions without targets.
        penalty: whether there is the term of weights.
        film: whether the terms are modulated by the task.
        similarity: of query rows to prototypes; for the transductive term.
        task: width of a task's vector that FiLM sees; 0 for mean rows.
    """

    def __init__(
        self,
        kind: Kind,
        ways: int,
        layers: tuple[str, ...],
        *,
        inductive: bool,
        transductive: bool,
        penalty: bool,
        film: bool,
        similarity: Similarity = "cosine",
        task: int = 0,
    ):
        super().__init__()
        self.kind, self.ways, self.layers = kind, ways, layers
        width = 2 * ways + 1
        self.inductive = Term(width, film=film, task=task) if inductive else None
        self.transductive = Term(width, film=film, task=task) if transductive else None
        self.prototypes = Prototypes(similarity) if transductive else None
        count = len(layers) if penalty else 0
        self.penalty = nn.ModuleList(Term(STATISTICS, film=film, task=task) for _ in range(count))
        self.needs_query = transductive

    def forward(
        self,
        support: Tensor,
        targets: Tensor,
        query: Tensor | None,
        similarities: Tensor | None,
        weights: Mapping[str, Tensor],
        index: int = 0,
    ) -> Tensor:
        """Return the loss.

        Args:
            support: outputs on the support set, [B, N].
            targets: its labels [B] or values [B, N].
            query: outputs on the query inputs, [Q, N]; for the transductive term.
            similarities: what `prototypes` gives, [Q, N]; likewise.
            weights: the adapted weights by name; for the penalty.
            index: of the inner step, to which the loss is blind.
        """
        total = task_loss(support, targets, self.kind).mean()
        if self.inductive is not None:
            total = total + self.inductive(self.seen(support, targets))
        if self.transductive is not None:
            assert query is not None
            assert similarities is not None
            total = total + self.transductive(_unlabeled(query, similarities))
        for name, term in zip(self.layers, self.penalty, strict=False):
            total = total + term(statistics(weights[name]))
        return total

    def seen(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the inductive term sees: outputs, targets and the usual loss, [B, 2N+1]."""
        usual = task_loss(outputs, targets, self.kind)
        if self.kind.predicts_probabilities:
            targets = one_hot(targets, self.ways, outputs.dtype)
        return torch.cat([outputs, targets, usual[:, None]], 1)


def task_loss(outputs: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Return cross-entropy or squared error of each row, [B]."""
    if kind.predicts_probabilities:
        return F.cross_entropy(outputs, targets, reduction="none")
    return (outputs - targets).square().mean(1)


def one_hot(labels: Tensor, ways: int, dtype: torch.dtype) -> Tensor:
    """Return rows of one 1 each, [B, ways]; unlike PyTorch's, for stacked tasks too."""
    return (labels[:, None] == torch.arange(ways, device=labels.device)).to(dtype)


def unit_rows(rows: Tensor) -> Tensor:
    """Return rows [B, F] divided by their length; a row of zeros stays one.

    `torch.nn.functional.normalize` has second derivatives of NaN at zero, which rectified features
    of a row can all be.

    Examples:
        >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    return rows * (rows.square().sum(1, keepdim=True) + LEAST_SQUARE).rsqrt()


def class_means(features: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Return the mean features of each class, [ways, F]; every class has a row.

    Examples:
        >>> class_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2)
        tensor([[2.],
                [5.]])
    """
    member = one_hot(labels, ways, features.dtype)
    return (member.T @ features) / member.sum(0)[:, None]


def statistics(weight: Tensor) -> Tensor:
    """Return mean, deviation, mean of |w| and root of the mean of w² of a layer, [1, 4].

    The norms are divided by the layer's size, so that one network's terms are of one scale.
    """
    mean = weight.mean()
    square = weight.square().mean()
    deviation = (weight - mean).square().mean().add(1e-12).sqrt()
    return torch.stack([mean, deviation, weight.abs().mean(), square.add(1e-12).sqrt()])[None]


def _unlabeled(query: Tensor, similarities: Tensor) -> Tensor:
    likely = similarities.softmax(1)
    apart = -(likely * query.log_softmax(1)).sum(1, keepdim=True)
    return torch.cat([query, likely, apart], 1)
