import contextlib
import subprocess
import sys
import threading
import time

import pytest

from lossforge.losses.expression.deadline import within


def forever() -> None:
    while True:
        len("")


def stubborn() -> None:
    """Swallows every exception, as numerical code sometimes does."""
    while True:
        with contextlib.suppress(Exception):
            forever()


def test_results_and_errors_pass():
    assert within(10.0, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(10.0, lambda: 1 // 0)


@pytest.mark.parametrize("function", [forever, stubborn])
def test_code_without_end_is_stopped(function):
    assert within(0.01, function) is None


def test_code_without_end_is_stopped_in_any_thread():
    results: list[object] = ["not yet"]
    thread = threading.Thread(target=lambda: results.append(within(0.01, forever)))
    thread.start()
    thread.join(timeout=60)
    assert results == ["not yet", None]


@pytest.mark.parametrize("function", [lambda: 1, forever, lambda: 1 // 0])
def test_the_profiler_before_is_restored(function):
    def profiler(*_: object) -> None:
        pass

    previous = sys.getprofile()
    sys.setprofile(profiler)
    try:
        with contextlib.suppress(ZeroDivisionError):
            within(0.01, function)
    finally:
        restored = sys.getprofile()
        sys.setprofile(previous)
    assert restored is profiler


def test_a_profiler_written_in_c_is_left_in_place():
    """Python code cannot put it back, so that nothing is limited under it."""
    program = (
        "import cProfile\n"
        "from lossforge.losses.expression.deadline import within\n"
        "profile = cProfile.Profile()\n"
        "profile.enable()\n"
        "assert within(0.01, lambda: 3) == 3\n"
        "profile.disable()\n"
        "assert any('within' in str(entry.code) for entry in profile.getstats())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_waiting_does_not_count():
    assert within(0.05, lambda: [time.sleep(0.001) for _ in range(200)]) is not None
