"""Attacks on the process: signals, closed pipes, encodings, narrow terminals, python -OO."""

import os
import signal
import subprocess
import sys
import time

from fault.commands import COMMANDS
from fault.harness import Attacks, Ending, attempt, begin, outcome, wait

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
LONG = ["train", "--task", "iris", "--model", "linear", "--steps", "3000", "--check-every", "5"]
SHORT = [*COMMANDS["train"]]
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "LC_ALL=C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "TERM=dumb": {"TERM": "dumb"},
    "NO_COLOR": {"NO_COLOR": "1"},
    "no HOME": {"HOME": "/nowhere"},
}
HELP = [[], ["--help"], ["train", "--help"], ["search", "evomal", "--help"], ["list", "tasks"]]
HELP += [["fewshot", "maml", "--help"], ["compare", "--help"], ["list", "losses"]]


class ProcessAttacks(Attacks):
    """Attacks by what surrounds the program."""

    classes = ("signals", "pipes", "terminals", "widths", "optimized", "imports")

    def signals(self) -> None:
        """Send signals at any moment of a run: it says how to go on, and goes on."""
        ending = attempt([*LONG, "--out", "whole"], self.folder)
        whole = outcome(self.folder / "whole")
        for number in range(self.count(60, 1)):
            sent = self.random.choice(list(STATUS))
            name = f"run-{number}"
            begun = begin([*LONG, "--out", name], self.folder)
            time.sleep(self.random.uniform(0.05, 3))
            os.kill(begun[0], sent)
            ending = wait(begun)
            trouble = self._ended_by(sent, ending, name) or self._goes_on(name, whole)
            self.tally.record("signal", f"{sent.name} {number}", trouble)

    def _ended_by(self, sent: signal.Signals, ending: Ending, name: str) -> str | None:
        if ending.status == 0 and (self.folder / name / "result.json").exists():
            return None
        lines = [line for line in ending.said.splitlines() if line.startswith("lossforge: ")]
        if ending.status != STATUS[sent] or len(lines) != 1 or "Traceback" in ending.said:
            return f"status {ending.status}: {ending.said[-300:]}"
        return None

    def _goes_on(self, name: str, whole: object) -> str | None:
        begun = (self.folder / name / "config.json").exists()
        ending = attempt(["resume", name] if begun else [*LONG, "--out", name], self.folder)
        if ending.status != 0:
            return ending.said[-300:]
        return None if outcome(self.folder / name) == whole else "another result"

    def pipes(self) -> None:
        """Close the reader's end of output: the work is done all the same."""
        for words in ([*SHORT, "--out", "piped"], *self.sample(HELP, 1)):
            reader, writer = os.pipe()
            os.close(reader)
            process = subprocess.run(
                self._program(words),
                cwd=self.folder,
                stdout=writer,
                stderr=subprocess.PIPE,
                check=False,
                text=True,
            )
            os.close(writer)
            bad = process.returncode != 0 or "Traceback" in process.stderr
            trouble = f"{process.returncode}: {process.stderr[-300:]}" if bad else None
            self.tally.record("closed pipe", " ".join(words)[:60], trouble)

    def terminals(self) -> None:
        """Run in other encodings and without a terminal's usual surroundings."""
        for name, settings in self._some(TERMINALS):
            commands = ([*SHORT, "--out", f"in {name}"], ["list", "tasks"], ["explain", "focal"])
            for words in self.sample(list(commands), 1):
                trouble = self._run(words, settings)
                self.tally.record("encodings", f"{name}: {words[0]}", trouble)

    def widths(self) -> None:
        """Print into terminals of any width."""
        for width in self.sample([*range(1, 21), 40, 200, 0, -1], 1):
            for words in self.sample(HELP, 1):
                trouble = self._run(words, {"COLUMNS": str(width)})
                self.tally.record("widths", f"{width}: {' '.join(words)}", trouble)

    def optimized(self) -> None:
        """Run without assertions and docstrings."""
        for words in ([*SHORT, "--out", "bare"], *(HELP if self.full else [])):
            trouble = self._run(words, {}, "-OO")
            self.tally.record("python -OO", " ".join(words)[:60], trouble)

    def imports(self) -> None:
        """Interrupt while modules are imported."""
        for number in range(self.count(60, 1)):
            process = subprocess.Popen(
                self._program(["explain", "focal"]),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            after = self.random.uniform(0.15, 2.5)
            time.sleep(after)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=300)
            bad = process.returncode not in (0, 130) or "Traceback" in said
            # Before the program's first line, Python itself is interrupted.
            early = "lossforge" not in said and process.returncode in (1, 130, -2)
            trouble = f"{process.returncode}: {said[-600:]}" if bad and not early else None
            self.tally.record("interrupted import", f"after {after:.2f} s, {number}", trouble)

    def _some(self, settings: dict[str, dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
        return self.sample(list(settings.items()), 1)

    def _program(self, words: list[str], *options: str) -> list[str]:
        return [sys.executable, "-W", "ignore", *options, "-m", "lossforge", *words]

    def _run(self, words: list[str], settings: dict[str, str], *options: str) -> str | None:
        done = subprocess.run(
            self._program(words, *options),
            cwd=self.folder,
            env=os.environ | settings,
            check=False,
            capture_output=True,
            timeout=600,
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode != 0 or "Traceback" in said:
            return f"{done.returncode}: {said[-400:]}"
        return None
