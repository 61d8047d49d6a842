"""The runner of labs: kernels that need no ports, replies that nobody announced."""

import asyncio
import importlib
import sys
from queue import Empty

import pytest


class Deaf:
    """A socket that is never told of its message, but finds it at the second look."""

    def __init__(self, finds: int) -> None:
        self.finds, self.looks = finds, []

    async def poll(self, milliseconds):
        self.looks.append(milliseconds)
        return len(self.looks) >= self.finds


@pytest.fixture
def channel(monkeypatch):
    from jupyter_client.channels import AsyncZMQSocketChannel
    from nbmake import nb_run

    monkeypatch.setattr(AsyncZMQSocketChannel, "get_msg", AsyncZMQSocketChannel.get_msg)
    monkeypatch.setattr(nb_run, "NotebookClient", nb_run.NotebookClient)
    importlib.import_module("awake")
    made = AsyncZMQSocketChannel.__new__(AsyncZMQSocketChannel)

    async def receive():
        return {"content": "a reply"}

    made._recv = receive
    yield made
    del sys.modules["awake"]


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_reply_that_lies_there_is_found_at_the_next_look(channel, timeout):
    channel.socket = Deaf(finds=2)
    assert asyncio.run(channel.get_msg(timeout)) == {"content": "a reply"}
    assert channel.socket.looks == [1000, 1000]


def test_the_time_out_still_ends_the_wait(channel):
    channel.socket = Deaf(finds=10**9)
    with pytest.raises(Empty):
        asyncio.run(channel.get_msg(0.05))


def test_a_kernel_binds_no_port_that_another_process_could_take_first(channel):
    import nbformat
    from nbmake import nb_run

    manager = nb_run.NotebookClient(nbformat.v4.new_notebook()).create_kernel_manager()
    assert manager.transport == "ipc"
