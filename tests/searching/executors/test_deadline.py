"""A run's time limit: read in many forms, raised in time, and gone afterwards."""

import threading
import time

import pytest

from lossforge.errors import ConfigurationError
from lossforge.searching.executors import OutOfTime, limited_time
from lossforge.searching.executors.deadline import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1.5m", 90), ("2d1h", 176_400), ("1:01:01", 3661), ("0.05s", 0.05)],
)
def test_durations(text, seconds):
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["3", "h", "-3h", "3 h", "0s", "1:2:3", "3h4", "inf", "1000000d", "9" * 400 + "s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigurationError, match="max_time"):
        seconds_of(text)


def test_it_ends_what_waits():
    began = time.monotonic()
    with pytest.raises(OutOfTime), limited_time("0.05s"):
        time.sleep(60)
    assert time.monotonic() - began < 30


def test_what_ends_in_time_is_not_ended():
    with limited_time("0.05s"):
        pass
    time.sleep(0.1)


def test_another_thread_has_no_timers():
    found = []

    def run():
        try:
            with limited_time("1h"):
                pass
        except ConfigurationError as error:
            found.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in found[0]
