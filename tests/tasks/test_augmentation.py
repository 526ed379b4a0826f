import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.tasks import augmentation
from lossforge.tasks.augmentation import CropAndFlip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def candidates(image: torch.Tensor, padding: int, flip: bool) -> list[torch.Tensor]:
    """Return everything that a crop and flip may give."""
    height, width = image.shape[1:]
    sides = [image, image.flip(-1)] if flip else [image]
    padded = [torch.nn.functional.pad(side, (padding,) * 4) for side in sides]
    places = range(2 * padding + 1)
    return [p[:, i : i + height, j : j + width] for p in padded for i in places for j in places]


@pytest.mark.parametrize("flip", [False, True])
def test_each_image_is_a_crop_of_itself(flip):
    images = torch.randn(40, 3, 6, 7)
    found = CropAndFlip(2, flip)(images, seeded())
    chosen = set()
    for image, changed in zip(images, found, strict=True):
        options = candidates(image, 2, flip)
        matches = [i for i, option in enumerate(options) if torch.equal(option, changed)]
        assert matches
        chosen.add(matches[0])
    assert len(chosen) > 10
    assert (max(chosen) >= 25) == flip


def test_it_follows_the_generator():
    images = torch.randn(8, 1, 6, 6)
    change = CropAndFlip(2)
    assert torch.equal(change(images, seeded(1)), change(images, seeded(1)))
    assert not torch.equal(change(images, seeded(1)), change(images, seeded(2)))


def test_negative_padding_is_refused():
    with pytest.raises(ConfigurationError):
        CropAndFlip(-1)


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_both_ways_of_changing_give_the_same(padding: int):
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(40, 3, 9, 7, generator=draw)
    places = torch.randint(2 * padding + 1, (2, 40), generator=draw)
    mirrored = torch.rand(40, generator=draw) < 0.5
    one = augmentation._changed_by_numpy(images, padding, places, mirrored)
    two = augmentation._changed_by_torch(images, padding, places, mirrored)
    assert torch.equal(one, two)
