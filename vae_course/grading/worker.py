"""Inside the sandbox: run a student's cells and answer what the grader asks of their names.

Started as ``python -m vae_course.grading.worker LIMITS safe``; requests come on standard input and
answers leave on standard output, which the student's code sees as empty and as a sink.
"""

import contextlib
import json
import os
import random
import resource
import sys
import types
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vae_course.grading import jupyter, wire
from vae_course.grading.clock import at_most


class Largest(TorchFunctionMode):
    """Watches for the largest tensor that is made."""

    size = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        if isinstance(result, Tensor):
            self.size = max(self.size, result.numel())
        return result


class Worker:
    """The student's names, and the objects that the grader holds a handle of."""

    def __init__(self) -> None:
        self.main = types.ModuleType("__main__")
        self.names = self.main.__dict__
        self.notebook = jupyter.Notebook(self.main)
        self.kept: list[Any] = []
        self.calls: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        self.checked: list[str] = []
        sys.modules["__main__"] = self.main
        sys.modules["otter"] = self.otter()

    def otter(self) -> types.ModuleType:
        """Stands in for otter: a check only says which question is ready."""
        checked = self.checked

        class Notebook:
            def __init__(self, *_: Any, **__: Any) -> None: ...

            def check(self, question: str, *_: Any, **__: Any) -> None:
                checked.append(str(question)[:100])

            def __setattr__(self, *_: Any) -> None: ...  # solutions open for people

            def __getattr__(self, name: str) -> Any:
                return lambda *_, **__: None

        module = types.ModuleType("otter")
        module.Notebook = Notebook  # type: ignore[attr-defined]
        return module

    def keep(self, x: Any) -> Any:
        if not callable(x):
            return {"t": "opaque", "text": wire.text_of(x)}
        self.kept.append(x)
        return {"t": "handle", "id": len(self.kept) - 1, "text": wire.text_of(x)}

    def special(self, decoder: wire.Decoder, x: dict[str, Any]) -> Any:
        if x["t"] == "function":
            return decoder.function(x)
        return wire.module(x["v"]) if x["t"] == "module" else self.kept[x["id"]]

    def cell(self, source: str) -> Any:
        self.checked.clear()
        self.notebook.run(source)

    def ask(self, names: list[str]) -> Any:
        encode = wire.Encoder(self.keep)
        return {name: encode(self.names[name]) for name in names if name in self.names}

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        decode = wire.Decoder(lambda x: self.special(decode, x))
        function = self.kept[request["handle"]]
        args, kwargs = decode(request["args"]), decode(request["kwargs"])
        with Largest() if request["watch"] else contextlib.nullcontext() as largest:
            result = function(*args, **kwargs)
        encode = wire.Encoder(self.keep)
        made = {"value": encode(result)}
        if decode.tensors and encode.tensors:
            self.calls[request["id"]] = decode.tensors, encode.tensors
        return made | ({"largest": largest.size} if largest else {})

    def gradient(self, request: dict[str, Any]) -> dict[str, Any]:
        inputs, outputs = self.calls[request["call"]]
        decode = wire.Decoder(lambda x: None)
        pairs = [(out, decode(g)) for out, g in zip(outputs, request["grads"], strict=True)]
        out, by = zip(*(pair for pair in pairs if pair[1] is not None), strict=True)
        found = torch.autograd.grad(out, inputs, by, retain_graph=True, allow_unused=True)
        return {"value": wire.Encoder(self.keep)(list(found))}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is sent back; an error of the student's code is an answer as well."""
        try:
            late = TimeoutError(f"took longer than {request['seconds']:g} seconds")
            with at_most(request["seconds"], late):
                match request["do"]:
                    case "cell":
                        self.cell(request["source"])
                        return {}
                    case "ask":
                        return {"value": self.ask(request["names"])}
                    case "call":
                        return self.call(request)
                    case _:
                        return self.gradient(request)
        except BaseException as error:
            return {"error": type(error).__name__, "text": said(error)}


def said(error: BaseException) -> str:
    try:
        return str(error)[:2000]
    except BaseException:
        return ""


def channel() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output away from the student's code."""
    asked, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing, sink = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 0)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    return asked, told


def restrict(limits: dict[str, Any], safe: bool) -> None:
    """Limits that the process cannot raise again."""
    processor = int(limits["total"]) + 5
    for what, most in [
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_DATA, limits["memory"]),
        (resource.RLIMIT_AS, 4 * limits["memory"]),  # tables of pages that hold nothing
        (resource.RLIMIT_FSIZE, limits["scratch"]),
        (resource.RLIMIT_NOFILE, 64),  # a socket may hold 400 KB of the kernel's own memory
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        *([(resource.RLIMIT_NPROC, limits["processes"])] if safe else []),
    ]:
        resource.setrlimit(what, (most, most))


def main() -> None:
    limits = json.loads(sys.argv[1])
    limit = limits["message"]
    restrict(limits, sys.argv[2] == "safe")
    asked, told = channel()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    worker = Worker()

    def read(size: int) -> bytes:
        data = asked.read(size)
        if len(data) < size:
            os._exit(0)
        return data

    def send(message: dict[str, Any]) -> None:
        try:
            frame = wire.pack(message, limit)
        except (wire.WireError, ValueError, TypeError) as error:
            text = f"the answer cannot be sent: {error}"
            frame = wire.pack({"id": message["id"], "error": "ValueError", "text": text}, limit)
        told.write(frame)
        told.flush()

    send({"id": 0})
    process = os.getpid()
    while True:
        request = wire.unpack(read, limit)
        answer = worker.answer(request)
        if os.getpid() != process:
            os._exit(0)  # a child that the student's code forked and did not end
        send({"id": request["id"], "checked": list(worker.checked)} | answer)


if __name__ == "__main__":
    main()
