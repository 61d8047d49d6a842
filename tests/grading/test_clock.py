"""Time limits of Python code end what is too long and leave nothing behind."""

import contextlib
import signal

import pytest

from vae_course.grading.clock import at_most


def test_code_that_takes_longer_is_ended_by_the_error():
    with pytest.raises(TimeoutError, match="too long"), at_most(0.01, TimeoutError("too long")):
        while True:
            pass


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_no_alarm_rings_afterwards(error):
    with contextlib.suppress(ZeroDivisionError), at_most(60, TimeoutError()):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
        if error:
            raise error
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
