"""`lossforge fewshot`: from options to meta-learning from a handful of examples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lossforge import experiments
from lossforge.cli.display import Display
from lossforge.cli.parsing import parse_options, word_after
from lossforge.cli.printing import Printing, terminal_width
from lossforge.errors import ConfigurationError, unknown_name
from lossforge.experiments import FewShotReport, NewFolder
from lossforge.experiments.arguments import Preset
from lossforge.experiments.fewshot_run import ABLATION
from lossforge.methods.npbml import PRESETS, VARIANTS, FewShot
from lossforge.searching.executors import Execution


@dataclass(frozen=True)
class FewShotOptions:
    """Meta-learn from many small tasks, and test on tasks of classes that were never seen."""

    method: tyro.conf.OmitArgPrefixes[FewShot]
    execution: tyro.conf.OmitArgPrefixes[Execution]
    display: tyro.conf.OmitArgPrefixes[Display]
    printing: tyro.conf.OmitArgPrefixes[Printing]
    task: str
    """data set that tasks are drawn from: omniglot, mini_imagenet, tiered_imagenet, cifar_fs, fc100
    (from files), images:DIR, or the synthetic clusters and sinusoids"""
    ways: int = 5
    """number of classes in a task; 1 for sinusoids"""
    shots: int = 1
    """number of labeled examples of each class"""
    queries: int = 15
    """number of test examples of each class"""
    rotations: tyro.conf.FlagCreatePairsOff[bool] = False
    """use each character of Omniglot in four rotations, as four classes"""
    variants: tuple[str, ...] = ()
    """methods that `lossforge fewshot ablation` compares; by default all"""
    seed: int = 0
    """seed of all random numbers; the same seed gives the same result on the same machine"""
    preset: Preset = "quick"
    """quick takes minutes to hours on two cores, paper has the published settings; sets the
    defaults of the other options"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of the run; by default a new one under runs/"""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """discard the run that the folder of --out holds"""
    data_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """folder of data sets that come from files; by default that of LOSSFORGE_DATA"""
    device: str = "auto"
    """device of learner and data: cpu, cuda, or auto for a GPU if there is one"""
    threads: int | None = None
    """threads of PyTorch in each process; another number changes the last bits of results; by
    default one for an ablation, and for a single method as many as PyTorch takes"""


def fewshot(words: list[str]) -> int:
    """Run `lossforge fewshot METHOD ...`."""
    known = (*VARIANTS, ABLATION)
    if words[:1] in ([], ["-h"], ["--help"]):
        print("usage: lossforge fewshot METHOD --task TASK --ways N --shots K ...\n\nmethods:")
        for name, (about, _) in VARIANTS.items():
            print(f"  {name:<20} {about}")
        print(f"  {ABLATION:<20} all of them, or those of --variants, in one table")
        print("\n`lossforge fewshot METHOD --help` shows the options.")
        return 0
    name, *rest = words
    if name not in known:
        raise unknown_name("few-shot method", name, known)
    options = _parse(name, rest)
    _check_unused(name, rest, options)
    report = experiments.fewshot(
        ABLATION if name == ABLATION else options.method,
        options.task,
        ways=options.ways,
        shots=options.shots,
        queries=options.queries,
        rotations=options.rotations,
        variants=options.variants,
        seed=options.seed,
        preset=options.preset,
        out=options.out or NewFolder(),
        overwrite=options.overwrite,
        data_dir=options.data_dir,
        device=options.device,
        threads=options.threads,
        workers=options.execution,
        progress=options.display.watching(),
        **(options.method.settings() if name == ABLATION else {}),
    )
    options.printing.report(report, print_few_shot)
    return 0


def _parse(name: str, words: list[str]) -> FewShotOptions:
    preset = word_after("--preset", words) or "quick"
    known = preset if preset in PRESETS else "quick"
    method = FewShot.preset(known, "npbml" if name == ABLATION else name)
    default = FewShotOptions(
        method=method,
        execution=Execution("auto"),
        display=Display(),
        printing=Printing(),
        task=tyro.MISSING,
    )
    return parse_options(FewShotOptions, words, f"lossforge fewshot {name}", default=default)


def _check_unused(name: str, words: list[str], options: FewShotOptions) -> None:
    """Raise `ConfigurationError` for an option that the method would ignore."""
    if name != ABLATION and options.variants:
        raise ConfigurationError(f"--variants is of ablation; {name} is one method: leave it out")
    if word_after("--variant", words) is not None:
        instead = "pass --variants" if name == ABLATION else f"the method is {name}: leave it out"
        raise ConfigurationError(f"--variant is not used here; {instead}")


def print_few_shot(report: FewShotReport) -> None:
    """Print a few-shot report: a line for one method, a table for several."""
    if len(report.rows()) > 1:
        for table in report.tables():
            print(table.plain(terminal_width()))
        print(f"the run is {report.path}")
        return
    unit = " %" if report.result["metric"] == "accuracy" else ""
    for row in report.rows():
        print(
            f"{row['method']}: meta-test {row['metric']} {row['test']:.2f}{unit} "
            f"± {row['interval']:.2f} in {row['seconds']:.0f} s"
        )
    print(f"the run is {report.path}")
