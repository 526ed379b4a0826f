"""Short texts as one-hot characters; ``text:DIR`` reads a folder of one file a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lossforge.errors import DataError
from lossforge.tasks.assembly import assemble
from lossforge.tasks.kinds import Classification
from lossforge.tasks.splits import Rows, split_rows
from lossforge.tasks.task import Task

LONGEST = 64
"""characters of a text; what is longer is cut"""

MOST_VALUES = 10**8
"""numbers that texts may become; a small file can ask for very many"""
MOST_VALUES_PER_CHARACTER = 100
"""likewise, of many texts"""

Texts = tuple[list[str], NDArray[np.int64], tuple[str, ...]]
"""texts, their labels, and the names of the classes"""


def load_text_folder(name: str, split_seed: int, folder: Path | None = None) -> Task:
    """Return the task of ``text:DIR``: each file ``CLASS.txt`` of the folder has a text a line.

    Raises:
        DataError: there are no files, or one is empty or no UTF-8.
    """
    root = (folder or Path()) / Path(name.removeprefix("text:")).expanduser()
    files = sorted(root.glob("*.txt"))
    if len(files) < 2:
        raise DataError(f"{root} holds {len(files)} files CLASS.txt; two classes are the least")
    return text_task(name, *read_lines(files), split_seed)


def read_lines(files: Sequence[Path]) -> Texts:
    """Return the lines of files of which each is a class.

    Raises:
        DataError: a file is empty or no UTF-8.
    """
    texts: list[str] = []
    labels: list[int] = []
    for label, path in enumerate(files):
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError:
            raise DataError(f"{path} is not UTF-8 text; convert it") from None
        own = [line.strip() for line in lines if line.strip()]
        if not own:
            raise DataError(f"{path} is empty: a class without a row; add rows or remove it")
        texts += own
        labels += [label] * len(own)
    return texts, np.array(labels), tuple(path.stem for path in files)


def text_task(
    name: str,
    texts: Sequence[str],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    split_seed: int,
    *,
    longest: int = LONGEST,
    parts: tuple[Rows, ...] | None = None,
) -> Task:
    """Return the task of texts as [length, alphabet], one-hot; zero after the last character.

    The alphabet is that of the training rows; other characters share the first place.

    Args:
        name: the task's.
        texts: one a row.
        labels: [N], from 0.
        classes: names of the labels.
        split_seed: decides the splits, where `parts` does not.
        longest: characters that are kept of a text.
        parts: rows of the training, validation and test split.
    """
    parts = split_rows(labels, split_seed) if parts is None else parts
    known = sorted({character for row in parts[0] for character in texts[row][:longest]})
    places = {character: i + 1 for i, character in enumerate(known)}
    length = min(longest, max(map(len, texts)))
    size, characters = len(texts) * length * (len(known) + 1), sum(map(len, texts))
    if size > max(MOST_VALUES, MOST_VALUES_PER_CHARACTER * characters):
        raise DataError(
            f"{len(texts)} texts of an alphabet of {len(known)} characters become {size} numbers; "
            "leave out rare characters, or bring fewer texts"
        )
    inputs = np.zeros((len(texts), length, len(known) + 1), dtype=np.float32)
    for row, text in enumerate(texts):
        for position, character in enumerate(text[:length]):
            inputs[row, position, places.get(character, 0)] = 1.0
    return assemble(
        name, Classification(), inputs=inputs, targets=labels, parts=parts, classes=classes
    )
