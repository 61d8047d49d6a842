"""A pytest plugin for the runs of labs: kernels start, and no reply of theirs is left unread.

A manager picks free ports and the kernel binds them a second later, if no other process did in
between: labs run side by side, so their kernels talk over socket files, named by their ids.

ZeroMQ tells asyncio once that a message is there. nbclient answers widgets on the socket that it
waits on for replies, which can swallow that word: the cell is finished, its reply has arrived, and
nobody looks until the cell's time-out. So look once a second.
"""

from functools import partial
from queue import Empty
from time import monotonic
from typing import Any

from jupyter_client.channels import AsyncZMQSocketChannel
from nbclient import NotebookClient
from nbmake import nb_run
from traitlets.config import Config

_wait = AsyncZMQSocketChannel.get_msg


async def _look_each_second(self: Any, timeout: float | None = None) -> dict[str, Any]:
    end = None if timeout is None else monotonic() + timeout
    while True:
        left = 1.0 if end is None else min(1.0, max(end - monotonic(), 0.0))
        try:
            return await _wait(self, left)
        except Empty:
            if end is not None and monotonic() >= end:
                raise


AsyncZMQSocketChannel.get_msg = _look_each_second
nb_run.NotebookClient = partial(NotebookClient, config=Config(KernelManager={"transport": "ipc"}))
