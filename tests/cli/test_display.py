"""Options of how a run is watched, from words to `Watching`."""

import pytest

from lossforge.cli.display import Display
from lossforge.cli.parsing import parse_options
from lossforge.errors import ConfigurationError, MissingPackageError
from lossforge.integrations.loggers import LOGGERS


@pytest.mark.parametrize(
    ("words", "shown"),
    [([], True), (["--quiet"], False), (["--json-progress"], "json")],
)
def test_words_say_how_progress_is_shown(words, shown):
    watching = parse_options(Display, words, "lossforge train").watching()
    assert (watching.shown, watching.loggers) == (shown, ())


def test_quiet_json_is_refused():
    with pytest.raises(ConfigurationError, match="leave out --json-progress"):
        Display(quiet=True, json_progress=True).watching()


def test_loggers_are_those_of_their_names(monkeypatch):
    monkeypatch.setattr("lossforge.cli.display.require_extra", lambda *_: None)
    found = parse_options(Display, ["--log", "wandb", "mlflow"], "lossforge train").watching()
    assert found.loggers == (LOGGERS["wandb"], LOGGERS["mlflow"])


def test_a_missing_package_is_told_before_the_run(monkeypatch):
    monkeypatch.setattr("lossforge.extras._missing", lambda extra: [extra])
    with pytest.raises(MissingPackageError, match=r"--log wandb needs wandb; .*lossforge\[wandb\]"):
        Display(log=("wandb",)).watching()
