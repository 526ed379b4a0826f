"""All few-shot methods on one data set: same encoder, data, pre-training and number of meta-steps.

    python benchmarks/few_shot_table.py [--quick] [--row NAME ...] [--json PATH] [--data-dir DIR]

Each row is a data set with several seeds of meta-training; a seed also deals the classes out to
meta-training, -validation and -test. All methods of a seed begin with the same weights and are
tested on the same tasks. What is learned goes beside the JSON, a line a training, and a call goes
on from there. Tables have the mean over seeds, its 95 % interval over seeds (Student's t of the
seeds' means, which holds what tasks differ by too) and over tasks (of learners as they are), the
paired difference to NPBML, and the validation metric after the same seconds of learning. Seconds
are of the processor, on one thread, so that a busy machine hardly changes them.

The fonts' characters are made from the TrueType faces in FONTS: a class a character, an image a
face.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import t as student
from torch import Tensor

from harness import Report, machine, parse_arguments
from lossforge.errors import LossforgeError
from lossforge.files import write_atomically
from lossforge.methods.npbml import VARIANTS, FewShot, MetaCourse
from lossforge.methods.npbml.learner import HeadInit
from lossforge.tasks import load
from lossforge.tasks.episodes import EpisodeSpec, FewShotTask
from lossforge.tasks.few_shot_sets import characters_task, load_few_shot

FONTS = Path("/usr/share/fonts/truetype")
"""packages fonts-dejavu and fonts-liberation of Debian"""

SIDE = 28
CIFAR_ROWS = 500
"""images of a class"""

MAIN = ("protonet", "linear_probe", "maml", "metal_alfa", "npbml_without_film", "npbml")
FROM_PROTOTYPES = ("maml from prototypes", "npbml from prototypes")
"""with --head-init prototypes"""

PLAIN, OURS = "maml", "npbml"
"""what errors are divided by, and what all are subtracted from"""

Runs = dict[tuple[str, int, str], dict[str, Any]]


@dataclass(frozen=True)
class DataSet:
    """A row: where episodes come from, and how methods learn on them.

    Attributes:
        load: returns the source of episodes for a data folder and a seed.
        shape: of every episode.
        settings: of every method.
        methods: to compare, the most important ones first.
        seeds: of meta-training.
    """

    load: Callable[[str | None, int], FewShotTask]
    shape: EpisodeSpec
    settings: FewShot
    methods: tuple[str, ...] = (*MAIN, *FROM_PROTOTYPES)
    seeds: int = 3


SMALL = FewShot(
    network="conv4",
    width=16,
    inner_steps=3,
    inner_rate=0.1,
    unlabelled=10,
    meta_batch=2,
    meta_steps=60,
    pretrain_steps=120,
    check_every=30,
    valid_tasks=15,
    test_tasks=80,
)
"""about ten minutes of a quiet core for the main methods of a data set"""


def sinusoids(data_dir: str | None, seed: int) -> FewShotTask:
    return load_few_shot("sinusoids", seed=seed)


def clusters(data_dir: str | None, seed: int) -> FewShotTask:
    return load_few_shot("clusters", seed=seed)


def omniglot(data_dir: str | None, seed: int) -> FewShotTask:
    return load_few_shot("omniglot", data_dir=data_dir, seed=seed)


def rotated(data_dir: str | None, seed: int) -> FewShotTask:
    return load_few_shot("omniglot", data_dir=data_dir, seed=seed, rotations=True)


def cifar(data_dir: str | None, seed: int) -> FewShotTask:
    """CIFAR-10 with 6, 2 and 2 of its classes for meta-training, -validation and -test."""
    inputs, labels = _cifar_rows(data_dir)
    classes = {f"class {k}": inputs[labels == k][:CIFAR_ROWS] for k in range(10)}
    return characters_task("cifar10", classes, seed, rotations=False)


@cache
def _cifar_rows(data_dir: str | None) -> tuple[Tensor, Tensor]:
    train = load("cifar10", data_dir=data_dir).train
    return train.inputs, train.targets


def fonts(data_dir: str | None, seed: int) -> FewShotTask:
    return characters_task("fonts", _faces(), seed, rotations=False)


@cache
def _faces() -> dict[str, Tensor]:
    """Return images [faces, 1, SIDE, SIDE] of each letter that all faces have, ink 1.

    Letters that look the same in some face, such as the Latin and the Greek A, are one class.
    """
    paths = sorted(path for path in FONTS.glob("*/*.ttf") if "Math" not in path.name)
    faces = [ImageFont.truetype(str(path), SIDE * 3 // 4) for path in paths]
    ranges = ((0x21, 0x7F), (0xC0, 0x180), (0x384, 0x3CF), (0x400, 0x460))
    known = set[bytes]()
    missing = [_drawn("\uffff", face) for face in faces]
    found = {}
    for code in chain.from_iterable(range(*each) for each in ranges):
        images = [_drawn(chr(code), face) for face in faces]
        blank = any(not image.any() for image in images)
        unknown = any(np.array_equal(i, m) for i, m in zip(images, missing, strict=True))
        if blank or unknown or any(image.tobytes() in known for image in images):
            continue
        known |= {image.tobytes() for image in images}
        found[f"U+{code:04X}"] = torch.from_numpy(np.stack(images)).float()[:, None] / 255
    return found


def _drawn(letter: str, face: ImageFont.FreeTypeFont) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).text((SIDE / 2, SIDE * 0.72), letter, 255, face, anchor="ms")
    return np.array(image)


CHARACTERS = EpisodeSpec(5, 1, 5)
ALL = (*MAIN, *FROM_PROTOTYPES, *(name for name in VARIANTS if name not in MAIN))
DATA = {
    "omniglot": DataSet(omniglot, CHARACTERS, SMALL, ALL),
    "omniglot_rotated": DataSet(rotated, CHARACTERS, SMALL),
    "fonts": DataSet(fonts, CHARACTERS, SMALL),
    "cifar10": DataSet(cifar, EpisodeSpec(2, 5, 5), SMALL),
    "sinusoids": DataSet(
        sinusoids,
        EpisodeSpec(1, 10, 10),
        replace(SMALL, network="dense", width=0, meta_batch=4, meta_steps=500, check_every=100),
        ("maml", "metasgd", "alfa", "metal_alfa", "npbml_without_film", "npbml"),
    ),
}
QUICK = DataSet(
    clusters,
    EpisodeSpec(3, 1, 3),
    FewShot(
        network="dense", width=8, meta_batch=2, meta_steps=4, pretrain_steps=4, check_every=2,
        valid_tasks=4, test_tasks=8,
    ),
    ("protonet", "maml", "npbml"),
    2,
)  # fmt: skip


def learn(data: DataSet, name: str, path: Path | None, data_dir: str | None) -> Runs:
    """Return what each method learned with each seed, from the file where it is there.

    Lines of other settings are left alone.
    """
    runs: Runs = {}
    for line in path.read_text().splitlines() if path is not None and path.is_file() else ():
        run = json.loads(line)
        is_ours = run["data"] == name and run["method"] in data.methods
        if is_ours and run["settings"] == plain(settings_of(data, run["method"])):
            runs[name, run["seed"], run["method"]] = run
    tasks = cache(lambda seed: data.load(data_dir, seed))
    first, others = data.methods[: len(MAIN)], data.methods[len(MAIN) :]
    jobs = [(seed, m) for some in (first, others) for seed in range(data.seeds) for m in some]
    for seed, method in jobs:
        if (name, seed, method) in runs:
            continue
        runs[name, seed, method] = run = learned(data, name, method, tasks(seed), seed)
        if path is not None:
            with path.open("a") as stream:
                stream.write(json.dumps(run) + "\n")
        told = f"{run['score']:.2f}" if run["error"] is None else run["error"]
        print(f"{name}, seed {seed}: {method} {told}", flush=True)
    return runs


class Stopwatch:
    """Counts processor time of learning, without evaluations."""

    def __init__(self) -> None:
        self.seconds = {"pre-training": 0.0, "meta-training": 0.0, "meta-testing": 0.0}
        self._mark = time.process_time()

    def go_on(self) -> None:
        """Leave out what has passed since the last step."""
        self._mark = time.process_time()

    def step(self, stage: str, done: int, total: int) -> None:
        """Count the time of a step of a stage."""
        now = time.process_time()
        self.seconds[stage] += now - self._mark
        self._mark = now

    @property
    def learning(self) -> float:
        """Seconds of pre-training and meta-training."""
        return self.seconds["pre-training"] + self.seconds["meta-training"]


def settings_of(data: DataSet, method: str) -> FewShot:
    """Return the hyper-parameters of a method of the table."""
    variant, _, other = method.partition(" ")
    assert not other or method in FROM_PROTOTYPES
    start: HeadInit = "prototypes" if other else "shared"
    return replace(data.settings, variant=variant, head_init=start)


def plain(settings: FewShot) -> dict[str, Any]:
    """Return hyper-parameters as they are read from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(settings.settings()))
    return found


def learned(data: DataSet, name: str, method: str, task: FewShotTask, seed: int) -> dict[str, Any]:
    settings, watch, times = settings_of(data, method), Stopwatch(), list[float]()
    run: dict[str, Any] = {"data": name, "seed": seed, "method": method, "error": None}
    run["settings"] = plain(settings)
    course = MetaCourse(settings, task, data.shape, seed)
    try:
        while not course.is_over:
            watch.go_on()
            course.advance(watch.step)
            times.append(watch.learning)
        found = course.conclude(watch.step)
    except LossforgeError as error:
        return run | {"error": str(error)}
    return run | {
        "metric": found.metric,
        "score": found.score,
        "valid": found.valid,
        "step_seconds": watch.seconds["meta-training"] / settings.meta_steps,
        "seconds": watch.learning,
        "curve": [[*each, at] for each, at in zip(course.curve, times, strict=True)],
        "scores": [round(score, 4) for score in found.scores],
    }


def over_seeds(means: Sequence[float]) -> float:
    """Return half of the 95 % interval of the mean of independent numbers."""
    if len(means) < 2:
        return math.nan
    return float(student.ppf(0.975, len(means) - 1)) * stdev(means) / math.sqrt(len(means))


def over_tasks(scores: Sequence[Sequence[float]]) -> float:
    """Return half of the 95 % interval of the mean over tasks, for learners as they are."""
    squares = [stdev(each) ** 2 / len(each) for each in scores]
    return 1.96 * math.sqrt(sum(squares)) / len(squares)


def tables(data: DataSet, name: str, runs: Runs) -> list[str]:
    """Return the Markdown of a data set's tables, from what is learned until now."""
    complete = {m: own for m in data.methods if (own := _without_failure(data, name, m, runs))}
    lines = [f"## {name}", "", *_methods(complete), "", *_seconds(complete)]
    failed = [run for key, run in runs.items() if key[0] == name and run["error"]]
    return lines + [f"- {run['method']}, seed {run['seed']}: {run['error']}" for run in failed]


def _without_failure(data: DataSet, name: str, method: str, runs: Runs) -> list[dict[str, Any]]:
    """Return a method's runs; none of them if one of its seeds failed."""
    own = [runs[name, seed, method] for seed in range(data.seeds) if (name, seed, method) in runs]
    return [] if any(run["error"] is not None for run in own) else own


def _methods(complete: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    metric = next(iter(complete.values()))[0]["metric"]
    lines = [
        f"| method | seeds | {metric} | over seeds | over tasks | {OURS} minus it | over seeds "
        "| over tasks | seconds | s a meta-step |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    places = 1 if metric == "accuracy" else 3
    for method, runs in complete.items():
        cells = _cells([run["scores"] for run in runs], places, signed=False)
        differences = paired(complete.get(OURS, []), runs) if method != OURS else []
        against = _cells(differences, places, signed=True) if differences else ("", "", "")
        seconds = fmean(run["seconds"] for run in runs)
        step = fmean(run["step_seconds"] for run in runs)
        row = (method, str(len(runs)), *cells, *against, f"{seconds:.0f}", f"{step:.3f}")
        lines.append(f"| {' | '.join(row)} |")
    return lines


def paired(ours: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Return the differences of two methods on each task, for each seed that both have."""
    known = {run["seed"]: run["scores"] for run in ours}
    return [
        [a - b for a, b in zip(known[run["seed"]], run["scores"], strict=True)]
        for run in others
        if run["seed"] in known
    ]


def _cells(scores: Sequence[Sequence[float]], places: int, *, signed: bool) -> tuple[str, ...]:
    means = [fmean(each) for each in scores]
    sign = "+" if signed else ""
    return (
        f"{fmean(means):{sign}.{places}f}",
        f"± {over_seeds(means):.{places}f}",
        f"± {over_tasks(scores):.{places}f}",
    )


def _seconds(complete: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Return the best metric on validation tasks after the same seconds of learning."""
    longest = max(run["seconds"] for runs in complete.values() for run in runs)
    moments = [longest / 2**halvings for halvings in (5, 4, 3, 2, 1, 0)]
    lines = [
        f"| validation after | {' | '.join(f'{moment:.0f} s' for moment in moments)} |",
        f"|---|{'---:|' * len(moments)}",
    ]
    for method, runs in complete.items():
        best = max if runs[0]["metric"] == "accuracy" else min
        cells = []
        for moment in moments:
            reached = [[score for _, score, at in run["curve"] if at <= moment] for run in runs]
            done = all(reached)
            cells.append(f"{fmean(best(scores) for scores in reached):.1f}" if done else "-")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def add_rows(report: Report, data: DataSet, name: str, runs: Runs) -> None:
    """Add each method's error against MAML's to a report."""
    errors = {}
    for method in data.methods:
        own = _without_failure(data, name, method, runs)
        if own:
            score = fmean(run["score"] for run in own)
            errors[method] = 100 - score if own[0]["metric"] == "accuracy" else score
    for method, error in errors.items():
        ratio = error / errors[PLAIN]
        report.add(f"{method}: {name}", PLAIN, ratio, "error, below 1 is better")


def _arguments() -> argparse.Namespace:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return parse_arguments(__doc__ or "", data=True, rows=tuple(DATA))


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    report, lines = Report(), list[str]()
    chosen = {"clusters": QUICK} if arguments.quick else DATA
    if arguments.row:
        chosen = {name: DATA[name] for name in arguments.row}
    path = arguments.json.with_suffix(".jsonl") if arguments.json is not None else None
    for name, data in chosen.items():
        runs = learn(data, name, path, arguments.data_dir)
        add_rows(report, data, name, runs)
        lines += [*tables(data, name, runs), ""]
    print("\n".join(lines))
    report.save(arguments.json)
    if arguments.json is not None:
        text = f"{__doc__}\n{machine()}\n\n" + "\n".join(lines)
        write_atomically(arguments.json.with_suffix(".md"), text)


if __name__ == "__main__":
    main()
