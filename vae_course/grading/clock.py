"""Time limits of Python code, on both sides of the wall."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def at_most(seconds: float, error: BaseException) -> Iterator[None]:
    """Raise ``error`` in Python code that takes longer; code of other languages ends first."""

    def ring(*_: Any) -> None:
        raise error

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
