"""A process that a student's code cannot leave, and the questions one may put to it."""

import contextlib
import itertools
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from vae_course.grading import usage, walls, wire

counter = itertools.count()


@dataclass(frozen=True)
class Limits:
    """What one submission may use; bytes and seconds."""

    cell: float = 60  # wall time of a cell
    call: float = 20  # wall time of a call of a student's function
    total: float = 240  # wall time of a submission, and its processor time
    test: float = 60  # wall time of a test of the answers, outside
    start: float = 120  # wall time until the sandbox stands: that of the machine, not the student's
    memory: int = 3 << 30  # of a process, and of all of them
    processes: int = 24  # and threads
    scratch: int = walls.SCRATCH  # files under /tmp
    files: int = 4096  # of them: an empty one takes a kilobyte of the kernel's own memory
    message: int = 16 << 20
    notebook: int = 64 << 20


class SandboxError(Exception):
    """The process is gone, or answers against the rules: no more can be learnt from it."""


class Sandbox:
    """A worker at the other end of two pipes; ``with`` ends it and all that it started."""

    def __init__(self, limits: Limits, safe: bool = True) -> None:
        self.limits = limits
        self.end = time.monotonic() + limits.total
        self.number = itertools.count(1)
        self.folder = None if safe else tempfile.TemporaryDirectory(prefix="grading-")
        self.group = usage.group(limits.memory, limits.processes + 8) if safe else None
        settings = [wire.json.dumps(asdict(limits)), "safe" if safe else "unsafe"]
        with walls.filtered() if safe else contextlib.nullcontext(-1) as rules:
            start = walls.command(next(counter), rules, self.group) if safe else [sys.executable]
            self.process = subprocess.Popen(
                [*start, "-m", "vae_course.grading.worker", *settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,  # no file: a process inside might reach it by /proc/1/fd
                bufsize=0,
                env=walls.environment(safe),
                cwd="/" if self.folder is None else self.folder.name,
                pass_fds=(rules,) if safe else (),
                start_new_session=True,
            )
        os.set_blocking(self.process.stdin.fileno(), False)  # type: ignore[union-attr]
        self.said = b""
        self.full = ""
        self.ear = threading.Thread(target=self.listen, daemon=True)
        self.ear.start()
        threading.Thread(target=self.watch, daemon=True).start()

    def listen(self) -> None:
        """Keep the last that it says of its own troubles, and nothing of a flood."""
        with self.process.stderr as pipe:  # type: ignore[union-attr]
            while more := os.read(pipe.fileno(), 1 << 16):
                self.said = (self.said + more)[-500:]

    def watch(self) -> None:
        """Many small processes may pass as one may not: count what all of them hold."""
        limits, pid = self.limits, self.process.pid
        while self.process.poll() is None:
            used, files = usage.scratch(pid)
            if files > limits.files:
                self.full = f"it made more than {limits.files:,} files"
            elif usage.memory(pid) + used > limits.memory:
                self.full = self.too_much()
            if self.full:
                self.process.kill()
            time.sleep(0.25)

    def too_much(self) -> str:
        return f"its processes took more than {self.limits.memory >> 20:,} MiB"

    def __enter__(self) -> "Sandbox":
        try:
            if self.receive(self.limits.start)["id"] != 0:
                raise SandboxError("it did not start as it should")
        except SandboxError as error:
            self.close()
            self.ear.join(1)
            said = self.said.decode(errors="replace")
            raise RuntimeError(f"the sandbox did not start: {error}\n{said}") from None
        self.end = time.monotonic() + self.limits.total
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill whatever is left of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()  # type: ignore[union-attr]
        if self.folder is not None:
            self.folder.cleanup()
        if self.group is not None:
            usage.remove(self.group)

    def request(self, seconds: float, **message: Any) -> dict[str, Any]:
        """Put one question; SandboxError if no proper answer comes in time."""
        number = next(self.number)
        left = self.end - time.monotonic()
        if left <= 0:
            raise SandboxError(f"more than {self.limits.total:g} seconds in all")
        seconds = min(seconds, left)
        message |= {"id": number, "seconds": seconds}
        self.send(wire.pack(message, self.limits.message), seconds + 5)
        answer = self.receive(seconds + 5)
        if answer["id"] != number:
            self.process.kill()
            raise SandboxError("an answer that nobody asked for")
        return answer

    def wait(self, pipe: Any, event: int, end: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(max(0, end - time.monotonic())):
                self.process.kill()
                raise SandboxError("it does not stop: out of time")

    def send(self, frame: bytes, seconds: float) -> None:
        end, sent, pipe = time.monotonic() + seconds, 0, self.process.stdin
        while sent < len(frame):
            self.wait(pipe, selectors.EVENT_WRITE, end)
            try:
                sent += os.write(pipe.fileno(), frame[sent : sent + 65536])  # type: ignore[union-attr]
            except BrokenPipeError:
                raise SandboxError(self.death()) from None

    def receive(self, seconds: float) -> dict[str, Any]:
        end, pipe = time.monotonic() + seconds, self.process.stdout

        def read(size: int) -> bytes:
            data = b""
            while len(data) < size:
                self.wait(pipe, selectors.EVENT_READ, end)
                more = os.read(pipe.fileno(), min(size - len(data), 1 << 20))  # type: ignore[union-attr]
                if not more:
                    raise SandboxError(self.death())
                data += more
            return data

        try:
            answer = wire.unpack(read, self.limits.message)
        except wire.WireError as error:
            self.process.kill()
            raise SandboxError(f"it sent {error}") from None
        if not isinstance(answer, dict) or type(answer.get("id")) is not int:
            self.process.kill()
            raise SandboxError("it sent a message of no known form")
        return answer

    def death(self) -> str:
        if self.group is not None and usage.full(self.group):
            self.full = self.full or self.too_much()
        if self.full:
            return self.full
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "its process closed the line"
        return f"its process ended by itself (status {code})"
