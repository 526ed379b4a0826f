"""``images:DIR``: a folder of a user's own, with a folder of images for each class."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.image_file import open_image
from lossforge.tasks.images import channels_first, image_task, official_parts
from lossforge.tasks.splits import split_rows
from lossforge.tasks.task import Task

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")


def load_image_folder(name: str, split_seed: int, folder: Path | None = None) -> Task:
    """Return the task of ``images:DIR``.

    ``DIR/CLASS/*.png`` are dealt out to the splits; with ``DIR/train/CLASS`` and
    ``DIR/test/CLASS`` the test rows are the given ones.

    Raises:
        DataError: there are no classes, or images that are damaged or of unequal size.
    """
    root = (folder or Path()) / Path(name.removeprefix("images:")).expanduser()
    if not root.is_dir():
        raise DataError(f"{root} is no folder; write images:DIR with a folder a class in it")
    official = (root / "train").is_dir() and (root / "test").is_dir()
    folders = [root / "train", root / "test"] if official else [root]
    classes = _classes(folders[0])
    images, labels, counts = [], [], []
    for part in folders:
        unknown = set(_classes(part)) - set(classes)
        if unknown:
            raise DataError(f"{part / min(unknown)} is a class without training images")
        paths = [(p, i) for i, label in enumerate(classes) for p in _images(part / label)]
        images += [_read(path) for path, _ in paths]
        labels += [label for _, label in paths]
        counts.append(len(paths))
    _check_sizes(root, images)
    targets = np.array(labels, dtype=np.int64)
    parts = (
        official_parts(targets, counts[0], split_seed)
        if official
        else split_rows(targets, split_seed)
    )
    return image_task(name, np.stack(images), targets, parts, classes)


def _classes(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    if len(names) < 2:
        raise DataError(f"{folder} holds {len(names)} folders; each class needs one of its images")
    return names


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not found:
        raise DataError(f"{folder} holds no images: a class without a row; add some or remove it")
    return found


def _read(path: Path) -> NDArray[np.uint8]:
    image = open_image(path, str(path))
    return channels_first(np.asarray(image if image.mode == "L" else image.convert("RGB")))


def _check_sizes(root: Path, images: list[NDArray[np.uint8]]) -> None:
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        first, second = sorted(shapes)[:2]
        raise DataError(
            f"{root} holds images of unequal size, such as {list(first)} and {list(second)}; "
            "bring them to one size, all gray or all colored"
        )
