"""Worker processes: they compute with one thread where asked, and don't outlive their driver."""

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator

import torch


class WorkerKilledError(RuntimeError):
    """A worker process was killed; the message says what is kept, and how to go on."""


@contextlib.contextmanager
def one_thread(restore: bool) -> Iterator[None]:
    """Compute with one thread inside: more hardly help one small model, and compete with others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if restore:
            torch.set_num_threads(threads)


def end_with(driver: int) -> None:
    """Let this worker end at once when its driver is gone; by itself it would idle for minutes.

    Only for joblib's own processes, the driver's children: a cluster looks after its workers.
    """
    name = "end with the driver"
    if multiprocessing.current_process().name.startswith("LokyProcess") and driver != os.getpid():
        if all(thread.name != name for thread in threading.enumerate()):
            threading.Thread(target=_watch, args=(driver,), name=name, daemon=True).start()


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)
