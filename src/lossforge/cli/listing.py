"""`lossforge list`: the names that other commands take, a line each."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import cast, get_args

from lossforge.cli.parsing import word_after
from lossforge.cli.printing import print_as, terminal_width
from lossforge.errors import ConfigurationError, unknown_name
from lossforge.experiments.tables import Form, Table, check_form
from lossforge.losses import HANDCRAFTED, OBJECTIVES, ParametricLoss, zoo
from lossforge.methods import METHODS, AdaLFL
from lossforge.methods.adapting_rates import AdaptingRates
from lossforge.methods.adaptive import LAYER_RATES, PREFIX, adaptive_names
from lossforge.methods.npbml import VARIANTS
from lossforge.models import FAMILIES
from lossforge.tasks import FROM_FILES, LOADERS, OWN_FORMS
from lossforge.tasks.images import SETS
from lossforge.tasks.metrics.registry import OF_CLASSES, OF_VALUES

Row = tuple[str, str]

LONGEST_BESIDE = 36
"""characters of a name that has its description beside it"""
ABOUT_METRICS = {"error_rate": "Share of wrong rows", "mse": "Mean squared error"}
"""metrics of the kinds themselves"""


def list_names(words: list[str]) -> int:
    """Print the names of one sort with a line about each."""
    listings = _listings()
    usage = f"lossforge list {{{','.join(listings)}}} [--format {{{','.join(get_args(Form))}}}]"
    if words in (["-h"], ["--help"]):
        print(f"usage: {usage}")
        return 0
    what, form = _parse(words, usage)
    if what not in listings:
        raise unknown_name("list", what, listings)
    rows = tuple(listings[what]())
    if form == "plain":
        _print(rows)
    else:
        table = Table(what, ("name", "about"), rows, text_columns=2)
        print_as(form, [table], [{"name": name, "about": about} for name, about in rows])
    return 0


def _parse(words: list[str], usage: str) -> tuple[str, Form]:
    """Return what to list, and in which form."""
    form = word_after("--format", words)
    if form is not None:
        at = next(i for i, word in enumerate(words) if word.startswith("--format"))
        words = words[:at] + words[at + (1 if "=" in words[at] else 2) :]
        check_form(form)
    if len(words) != 1:
        raise ConfigurationError(f"say what to list: {usage}")
    return words[0], cast(Form, form or "plain")


def _print(rows: Sequence[Row]) -> None:
    """Print names beside their descriptions, which are folded where the terminal is narrow.

    Names are for copying, so none is shortened: what is about a long one begins below it.
    """
    width = max(40, terminal_width())
    beside = min(LONGEST_BESIDE, max((len(name) for name, _ in rows), default=0)) + 2
    for name, about in rows:
        head = name.ljust(beside)
        if len(name) > beside - 2:
            print(name)
            head = " " * beside
        print(
            textwrap.fill(
                about,
                width,
                initial_indent=head,
                subsequent_indent=" " * beside,
                break_on_hyphens=False,
            )
        )


def _listings() -> dict[str, Callable[[], Iterable[Row]]]:
    return {
        "tasks": _tasks,
        "models": _models,
        "losses": _losses,
        "methods": _methods,
        "metrics": _metrics,
        "zoo": _zoo,
    }


def _tasks() -> Iterable[Row]:
    yield from ((name, _about(loader)) for name, loader in sorted(LOADERS.items()))
    for name, loader in sorted(FROM_FILES.items()):
        about = SETS[name].about if name in SETS else _about(loader)
        yield name, f"{about} [needs files: --data-dir]"
    yield from OWN_FORMS.items()


def _metrics() -> Iterable[Row]:
    for kind, known in (("classes", OF_CLASSES), ("values", OF_VALUES)):
        for name, metric in known.items():
            yield name, f"{ABOUT_METRICS.get(name) or _about(metric)} [{kind}]"


def _models() -> Iterable[Row]:
    for name, family in FAMILIES.items():
        options = ",".join(f"{field.name}={field.default}" for field in fields(family))
        yield f"{name}:{options}" if options else name, _about(family)
    yield "timm:NAME", "a network of timm, with the task's channels and classes"
    yield "torchvision:NAME", "a network of torchvision"
    yield "hf:PATH", "a network of transformers from a folder, with its weights and a new head"


def _losses() -> Iterable[Row]:
    for loss in HANDCRAFTED.values():
        yield str(loss()), f"{loss.of_kind}: {_about(loss)}"
    for name, objective in OBJECTIVES.items():
        yield name, f"--task-loss: {_about(objective)}"
    yield "zoo:NAME", "a learned loss that ships with lossforge: lossforge list zoo"
    yield "PATH", "a loss file, or the folder of the run that found it"


def _methods() -> Iterable[Row]:
    yield from ((name, f"search: {_about(method)}") for name, method in METHODS.items())
    yield AdaLFL.name, f"train --loss: {_about(AdaLFL)}"
    yield "|".join(adaptive_names()), f"train --loss: {_about(ParametricLoss)}"
    yield f"{PREFIX}{LAYER_RATES}", f"train --loss: {_about(AdaptingRates)}"
    yield from ((name, f"fewshot: {about}") for name, (about, _) in VARIANTS.items())


def _zoo() -> Iterable[Row]:
    yield from ((f"{zoo.PREFIX}{name}", zoo.card(name).about) for name in zoo.names())


def _about(thing: object) -> str:
    """Return the first line of a docstring."""
    return (thing.__doc__ or "").strip().splitlines()[0]
