"""A relation network as the encoder of tasks: what a task is, from how its rows relate.

Source: thesis, ch. 7, whose released code computes FiLM from a relation network; as in LEO (Rusu et
al. 2019) and Sung et al. 2018, it looks at pairs of support rows and takes their mean. In the
released code it is trained beforehand and with an encoder of its own; here it is meta-learned with
everything else, on features of the weights that a task begins from.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32
"""of a row, of a pair and of a task"""


@final
class RelationNetwork(nn.Module):
    """Maps a support set to one vector, whatever the order of its rows and the names of classes.

    Args:
        features: of a row.

    Examples:
        >>> rows, labels = torch.randn(6, 8), torch.tensor([0, 0, 1, 1, 2, 2])
        >>> network = RelationNetwork(8)
        >>> network(rows, labels).shape
        torch.Size([32])
    """

    def __init__(self, features: int):
        super().__init__()
        self.row = nn.Linear(features, WIDTH)
        self.pair = nn.Linear(2 * WIDTH + 1, WIDTH)
        self.last = nn.Linear(WIDTH, WIDTH)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the task's vector, [WIDTH].

        Args:
            features: of the support rows, [B, F].
            labels: of the support rows, [B].
        """
        rows = F.relu(self.row(features))
        count = len(rows)
        alike = (labels[:, None] == labels).to(rows.dtype)[..., None]
        left, right = (
            rows[:, None].expand(-1, count, -1),
            rows[None].expand(count, -1, -1),
        )
        pairs = F.relu(self.pair(torch.cat([left, right, alike], 2)))
        found: Tensor = self.last(pairs.mean((0, 1)))
        return found
