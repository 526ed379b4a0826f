"""Episodes: disjoint classes, disjoint rows, labels dealt out at random, reproducible."""

import pytest
import torch

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks.episodes import ClassPool, EpisodeSpec, FewShotTask, Sinusoids
from lossforge.tasks.few_shot_sets import load_few_shot


def pool(classes: int = 6, rows: int = 8) -> ClassPool:
    """Rows that say which they are: (class, row)."""
    content = [
        torch.stack([torch.tensor([float(c), float(r)]) for r in range(rows)])
        for c in range(classes)
    ]
    return ClassPool(content, [f"class {c}" for c in range(classes)])


def test_support_and_query_rows_are_of_the_same_classes_and_share_no_row():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        episode = pool().draw(EpisodeSpec(3, 2, 4), generator)
        assert episode.support.shape == (6, 2)
        assert episode.query.shape == (12, 2)
        support = {tuple(row.tolist()) for row in episode.support}
        query = {tuple(row.tolist()) for row in episode.query}
        assert len(support) == 6
        assert len(query) == 12
        assert not support & query
        classes, labels = episode.support[:, 0].tolist(), episode.support_targets.tolist()
        named = dict(zip(classes, labels, strict=True))
        for row, label in zip(episode.query, episode.query_targets.tolist(), strict=True):
            assert named[float(row[0])] == label


def test_labels_are_dealt_out_at_random_and_by_the_seed():
    def labels(seed: int) -> list[float]:
        generator = torch.Generator().manual_seed(seed)
        return [
            pool().draw(EpisodeSpec(3, 1, 1), generator).support[0, 0].item() for _ in range(60)
        ]

    assert labels(0) == labels(0) != labels(1)
    assert set(labels(0)) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_purposes_may_not_share_a_class():
    one, other = pool(3), pool(2)
    with pytest.raises(DataError, match="'class 0' serves two purposes"):
        FewShotTask("t", "classification", {"train": one, "test": other}, (2,))


@pytest.mark.parametrize("name", ["clusters"])
def test_classes_of_the_purposes_are_disjoint(name):
    task = load_few_shot(name, seed=4)
    names = [set(p.names) for p in task.pools.values() if isinstance(p, ClassPool)]
    assert len(set.union(*names)) == sum(map(len, names)) == 120


def test_sinusoids_are_waves():
    episode = Sinusoids().draw(EpisodeSpec(1, 40, 60), torch.Generator().manual_seed(1))
    x = torch.cat([episode.support, episode.query])
    y = torch.cat([episode.support_targets, episode.query_targets])
    basis = torch.cat([x.sin(), x.cos()], 1)
    fitted = basis @ torch.linalg.lstsq(basis, y).solution
    torch.testing.assert_close(fitted, y, atol=1e-4, rtol=1e-4)
    assert x.abs().max() <= 5


@pytest.mark.parametrize("shape", [(0, 1, 1), (5, 0, 1), (5, 1, 0)])
def test_shapes_are_positive(shape):
    with pytest.raises(ConfigurationError):
        EpisodeSpec(*shape)
