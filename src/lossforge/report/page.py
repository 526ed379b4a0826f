"""The page: one HTML file that needs no other, readable in light and dark and on paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import final

from markupsafe import Markup

from lossforge.errors import ConfigurationError
from lossforge.files import sweep_stale, write_atomically
from lossforge.report import benchmark, comparison, few_shot, search, training
from lossforge.report.blocks import Section, definitions, folded, paragraph, to_copy
from lossforge.report.facts import Facts, State

FILES = Path(__file__).parent / "page_files"

CONTENTS: Mapping[str, tuple[Callable[[Facts], str], Callable[[Facts], list[Section]]]] = {
    "search": (lambda facts: search.verdict(facts.result), search.sections),
    "train": (training.verdict, training.sections),
    "compare": (comparison.verdict, comparison.sections),
    "fewshot": (few_shot.verdict, few_shot.sections),
    "benchmark": (benchmark.verdict, benchmark.sections),
}
"""verdict and parts of the page of each command's runs"""


@final
@dataclass(frozen=True)
class Page:
    """What the template is filled with.

    Attributes:
        title: heading of the page.
        verdict: the result in a sentence.
        badges: what one wants to know at once, such as the seed: name and value.
        sections: the parts.
    """

    title: str
    verdict: str
    badges: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    def html(self) -> str:
        """Return the page."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        files = {
            name: Markup((FILES / f"page.{name}").read_text(encoding="utf-8"))
            for name in ("css", "js")
        }
        environment = Environment(
            loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        return environment.get_template("page.html").render(page=self, **files)


def page_of(facts: Facts) -> Page:
    """Return the page of a run.

    Raises:
        ConfigurationError: runs of this command have no page.
    """
    if facts.command not in CONTENTS:
        raise ConfigurationError(
            f"a run of {facts.command or 'an unknown command'} has no page; there are pages for "
            f"{', '.join(CONTENTS)}"
        )
    verdict, sections = CONTENTS[facts.command]
    return Page(_title(facts), verdict(facts), _badges(facts), (*sections(facts), _repeat(facts)))


def write_page(facts: Facts, path: Path) -> None:
    """Write the page of a run.

    Args:
        facts: of the run.
        path: of the HTML file.

    Raises:
        ConfigurationError: runs of this command have no page.
    """
    text = page_of(facts).html()
    sweep_stale(path)
    write_atomically(path, text)


def _title(facts: Facts) -> str:
    result = facts.result
    what = {
        "train": str(result.get("loss", "")),
        "compare": "Comparison",
        "benchmark": "Benchmark",
    }.get(facts.command, str(result.get("method", facts.command)))
    what = what if len(what) <= 60 else f"{what[:59]}…"
    if facts.command == "fewshot" and len(facts.config.get("variants", ())) > 1:
        what = "Few-shot ablation"
    return f"{what} on {_several(result.get('task'))} with {_several(result.get('model'))}"


def _several(names: object) -> str:
    return ", ".join(str(names).split(","))


def _badges(facts: Facts) -> tuple[tuple[str, str], ...]:
    result = facts.result
    seconds = result.get("seconds")
    found = [
        ("command", facts.command),
        ("preset", result.get("preset")),
        ("seed", result.get("seed")),
        ("time", None if seconds is None else _time(float(seconds))),
        ("lossforge", result.get("version")),
    ]
    return tuple((name, str(value)) for name, value in found if value is not None)


def _time(seconds: float) -> str:
    """Return a duration.

    Examples:
        >>> _time(4.26), _time(3725)
        ('4.3 s', '1:02:05')
    """
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _repeat(facts: Facts) -> Section:
    blocks = []
    if facts.repeat is not None:
        blocks += [
            paragraph("This does the same again:"),
            to_copy(facts.repeat, "the command", "command"),
        ]
    else:
        blocks.append(
            paragraph("No command names all of its settings: repeat the call that began it.")
        )
    rows = [("lossforge", str(facts.result.get("version")))]
    rows += list(facts.environment.items()) or [("environment", "not recorded")]
    rows.append(("seed", str(facts.result.get("seed"))))
    rows += [(f"data{name}", value) for name, value in _fingerprints(facts.config)]
    blocks.append(definitions(rows))
    settings = definitions(list(_flat(facts.config)))
    blocks.append(folded("All settings", settings))
    return Section("How to repeat it", tuple(blocks))


def _fingerprints(config: State) -> list[tuple[str, str]]:
    """Return the fingerprint of the data, or that of each task's."""
    data = config.get("data")
    if isinstance(data, list):  # of a benchmark: one for each of its settings
        tasks = [setting["task"] for setting in config["settings"]]
        data = dict(zip(tasks, data, strict=True))
    if isinstance(data, Mapping):
        return [(f" of {name}", str(value)) for name, value in data.items()]
    return [] if data is None else [("", str(data))]


def _flat(config: State, prefix: str = "") -> list[tuple[str, str]]:
    """Return settings by name, nested ones behind a dot."""
    found = []
    for name, value in config.items():
        if isinstance(value, Mapping) and name != "data":
            found += _flat(value, f"{prefix}{name}.")
        elif name != "data":
            found.append((f"{prefix}{name}", str(value)))
    return found
