"""Few-shot data sets: Omniglot's zips, folders of images with published class splits, synthetic."""

import csv
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossforge.errors import DataError, unknown_name
from lossforge.extras import require_extra
from lossforge.randomness import torch_generator
from lossforge.tasks.episodes import PARTS, ClassPool, FewShotTask, Part, Pool, Sinusoids
from lossforge.tasks.folders import find_file
from lossforge.tasks.image_file import open_image
from lossforge.tasks.kinds import Classification, Regression

SIDE = 28
"""pixels of a character's side, as is common"""

LEAST_CLASSES = 4

CHARACTER_SHARES = {"train": 0.6, "valid": 0.15, "test": 0.25}

FOLDER_NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "meta-train", "base"),
    "valid": ("val", "valid", "meta-val"),
    "test": ("test", "meta-test", "novel"),
}

PUBLISHED = {
    "mini_imagenet": "mini-ImageNet with the splits of Ravi & Larochelle",
    "tiered_imagenet": "tieredImageNet with the splits of Ren et al.",
    "cifar_fs": "CIFAR-FS with the splits of Bertinetto et al.",
    "fc100": "FC100 with the splits of Oreshkin et al.",
}


def omniglot(data_dir: str | Path | None, seed: int, *, rotations: bool = False) -> FewShotTask:
    """Handwritten characters [1, 28, 28] of the official small background sets.

    A character that stands in both sets is one class with its drawings once. Characters are dealt
    out to the purposes at random; all rotations of one stay together.
    """
    require_extra("images", "omniglot")
    paths = find_file(data_dir, "omniglot", "images_background*.zip", "Omniglot's official zips")
    drawings: dict[str, Tensor] = {}
    for path in paths:
        for name, pictures in _characters(path).items():
            drawings.setdefault(name, pictures)
    return characters_task("omniglot", drawings, seed, rotations=rotations)


def characters_task(
    name: str, drawings: dict[str, Tensor], seed: int, *, rotations: bool
) -> FewShotTask:
    """Deal classes of [rows, 1, H, W] out to the purposes."""
    names = sorted(drawings)
    order = torch.randperm(len(names), generator=torch_generator(seed, "characters")).tolist()
    pools: dict[Part, Pool] = {}
    begin = 0
    for part in PARTS:
        count = round(CHARACTER_SHARES[part] * len(names))
        own = order[begin:] if part == "test" else order[begin : begin + count]
        begin += count
        pools[part] = _pool({names[i]: drawings[names[i]] for i in own}, 4 if rotations else 1)
    first = drawings[names[0]]
    return FewShotTask(name, Classification(), pools, tuple(first.shape[1:]))


def from_arrays(
    inputs: Tensor, labels: Tensor, *, name: str = "arrays", seed: int = 0
) -> FewShotTask:
    """Return a source of episodes of a user's own rows.

    Args:
        inputs: rows [N, ...], scaled as a network is to see them.
        labels: the class of each row, [N], whole numbers; a class serves one purpose alone.
        name: of the source.
        seed: deals the classes out to meta-training, -validation and -test (60, 15 and 25 %).

    Raises:
        DataError: rows and labels do not fit each other, or there are fewer than 4 classes.

    Examples:
        >>> task = from_arrays(torch.randn(60, 1, 28, 28), torch.arange(60) % 10)
        >>> {part: len(pool.names) for part, pool in task.pools.items()}
        {'train': 6, 'valid': 2, 'test': 2}
    """
    if len(inputs) != len(labels) or labels.dim() != 1:
        raise DataError(
            f"{name} has {len(inputs)} rows and labels of shape {list(labels.shape)}; give a label "
            "a row"
        )
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"the labels of {name} are {labels.dtype}; number the classes")
    classes = labels.unique().tolist()
    if len(classes) < LEAST_CLASSES:
        raise DataError(
            f"{name} has {len(classes)} classes; {LEAST_CLASSES} are the least, so that each of "
            "meta-training, -validation and -test has some"
        )
    if not bool(inputs.isfinite().all()):
        raise DataError(f"the inputs of {name} are not all finite; remove or fill in such rows")
    width = len(str(max(classes)))
    rows = {f"class {label:0{width}d}": inputs[labels == label].float() for label in classes}
    return characters_task(name, rows, seed, rotations=False)


def image_folder(name: str, root: Path, side: int = 84) -> FewShotTask:
    """Images [3, side, side] of ``ROOT/{train,val,test}/CLASS/*``, or of a CSV of each part.

    A CSV (filename,label) names files of ``ROOT/images``, as mini-ImageNet's splits do. Pixels are
    standardized by those of meta-training.
    """
    require_extra("images", name)
    rows = {part: _files(name, root, part) for part in PARTS}
    read = {part: {c: _read(f, side) for c, f in classes.items()} for part, classes in rows.items()}
    known = torch.cat(list(read["train"].values()))
    mean = known.mean((0, 2, 3), keepdim=True)
    deviation = known.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
    pools: dict[Part, Pool] = {
        part: _pool({c: (x - mean) / deviation for c, x in classes.items()}, 1)
        for part, classes in read.items()
    }
    return FewShotTask(name, Classification(), pools, (3, side, side))


def clusters(seed: int, *, features: int = 16, classes: int = 120, rows: int = 40) -> FewShotTask:
    """Gaussian clusters [16] around random centers: offline, fast, of known structure.

    Half of the features tell the classes apart; the others are louder noise, which
    meta-training can learn to ignore.
    """
    draw = torch_generator(seed, "clusters")
    useful = features // 2
    drawings = {}
    for index in range(classes):
        center = torch.randn(useful, generator=draw)
        inputs = torch.randn(rows, features, generator=draw)
        inputs[:, :useful] = center + 0.7 * inputs[:, :useful]
        inputs[:, useful:] *= 2
        drawings[f"cluster {index:03d}"] = inputs
    return characters_task("clusters", drawings, seed, rotations=False)


def sinusoids(seed: int) -> FewShotTask:
    """Regression of random sine waves (Finn et al. 2017)."""
    pools: dict[Part, Pool] = {part: Sinusoids() for part in PARTS}
    return FewShotTask("sinusoids", Regression(), pools, (1,))


def few_shot_names() -> tuple[str, ...]:
    """Return the names that `load_few_shot` takes, but for ``images:DIR``."""
    return ("omniglot", *PUBLISHED, "clusters", "sinusoids")


def load_few_shot(
    name: str, *, data_dir: str | Path | None = None, seed: int = 0, rotations: bool = False
) -> FewShotTask:
    """Load a source of episodes by its name.

    Args:
        name: one of `few_shot_names()`, or ``images:DIR`` for folders of a user's own.
        data_dir: folder of the data sets that come from files.
        seed: deals Omniglot's characters and clusters out to the purposes.
        rotations: count Omniglot's characters in four rotations as four classes.

    Raises:
        UnknownNameError: there is no such source.
        DataError: files are missing or damaged.

    Examples:
        >>> task = load_few_shot("clusters")
        >>> task.kind.name, task.input_shape
        ('classification', (16,))
    """
    if name.startswith("images:"):
        return image_folder(name, Path(name.removeprefix("images:")))
    synthetic: dict[str, Callable[[int], FewShotTask]] = {
        "clusters": clusters,
        "sinusoids": sinusoids,
    }
    if name in synthetic:
        return synthetic[name](seed)
    if name == "omniglot":
        return omniglot(data_dir, seed, rotations=rotations)
    if name in PUBLISHED:
        found = find_file(data_dir, name, "*", PUBLISHED[name])
        return image_folder(name, found[0].parent, 32 if name in ("cifar_fs", "fc100") else 84)
    raise unknown_name("few-shot task", name, [*few_shot_names(), "images:DIR"])


def _pool(drawings: dict[str, Tensor], turns: int) -> ClassPool:
    names, rows = [], []
    for name, pictures in drawings.items():
        for turn in range(turns):
            names.append(name if turn == 0 else f"{name}, turned {90 * turn}")
            rows.append(torch.rot90(pictures, turn, (2, 3)) if turn else pictures)
    return ClassPool(rows, names)


def _characters(path: Path) -> dict[str, Tensor]:
    """Return the drawings of each character, strokes 1 and paper 0."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in sorted(archive.namelist()):
                if entry.endswith(".png"):
                    *_, alphabet, character, _ = entry.split("/")
                    found[f"{alphabet}/{character}"].append(
                        _drawing(archive.read(entry), f"{path}: {entry}")
                    )
    # The last three: an unknown compression, an encrypted entry, damaged data.
    except (
        *(zipfile.BadZipFile, OSError, ValueError),
        *(NotImplementedError, RuntimeError, zlib.error),
    ) as error:
        raise DataError(f"{path} is no whole zip of Omniglot ({error}); get it anew") from None
    if not found:
        raise DataError(f"{path} holds no drawings Alphabet/character/*.png; get it anew")
    return {name: torch.stack(pictures) for name, pictures in found.items()}


def _drawing(content: bytes, where: str) -> Tensor:
    from PIL import Image

    image = open_image(content, where).convert("L")
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return 1 - torch.from_numpy(np.array(small, dtype=np.float32))[None] / 255


def _files(name: str, root: Path, part: Part) -> dict[str, list[Path]]:
    """Return the files of each class of a part."""
    for folder in (root / other for other in FOLDER_NAMES[part]):
        if folder.is_dir():
            classes = sorted(path for path in folder.iterdir() if path.is_dir())
            return {path.name: sorted(p for p in path.iterdir() if p.is_file()) for path in classes}
        listed = folder.with_suffix(".csv")
        if listed.is_file():
            return _listed(listed, root / "images")
    wanted = " or ".join(f"{root / other}" for other in FOLDER_NAMES[part][:2])
    raise DataError(f"{name} needs {wanted} with a folder for each class of meta-{part}")


def _listed(path: Path, images: Path) -> dict[str, list[Path]]:
    classes: dict[str, list[Path]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if "filename" not in row or "label" not in row:
                raise DataError(f"{path} has no columns filename and label")
            classes[row["label"]].append(images / row["filename"])
    return dict(classes)


def _read(files: Iterable[Path], side: int) -> Tensor:
    from PIL import Image

    pictures = []
    for path in files:
        image = open_image(path, str(path)).convert("RGB")
        if image.width != image.height:
            raise DataError(f"{path} is {image.width}x{image.height}; crop the images to squares")
        image = image.resize((side, side), Image.Resampling.BILINEAR)
        pictures.append(torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) / 255)
    if not pictures:
        raise DataError("a class has no images; add some or remove its folder")
    return torch.stack(pictures)
