"""A pytest plugin for the runs of labs: a kernel's reply is never left unread.

ZeroMQ tells asyncio once that a message is there. nbclient answers widgets on the socket that it
waits on for replies, which can swallow that word: the cell is finished, its reply has arrived, and
nobody looks until the cell's time-out. So look once a second.
"""

from queue import Empty
from time import monotonic
from typing import Any

from jupyter_client.channels import AsyncZMQSocketChannel

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
