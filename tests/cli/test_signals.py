"""Signals that ask the program to end become exceptions inside the block, and only there."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from lossforge.cli.signals import NAMES, StoppedBySignal, signals_interrupt

KNOWN = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


@pytest.fixture(autouse=True)
def _handlers():
    before = {number: signal.getsignal(number) for number in KNOWN}
    for number in KNOWN:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", KNOWN)
def test_a_signal_is_an_interruption_with_its_number(number):
    with pytest.raises(KeyboardInterrupt) as caught, signals_interrupt():
        send(number)
    assert isinstance(caught.value, StoppedBySignal)
    assert caught.value.number == number
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", KNOWN)
def test_what_was_ignored_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with signals_interrupt():
        send(number)
    assert signal.getsignal(number) is signal.SIG_IGN


def test_other_threads_leave_handlers_alone():
    seen = []

    def enter() -> None:
        with signals_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


FORKS = """
import os, signal, sys
sys.path.insert(0, {source!r})
from lossforge.cli.signals import signals_interrupt
with signals_interrupt():
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(7)
    status = os.waitpid(child, 0)[1]
print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_ends_as_it_would_without():
    code = FORKS.format(source=os.path.dirname(os.path.dirname(__import__("lossforge").__file__)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == signal.SIGTERM
