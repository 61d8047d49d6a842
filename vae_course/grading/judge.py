"""A process that grades, one submission after the other, and that can be ended.

It reads what submissions answer and runs the tests on it. Its own clock rings in Python code alone;
this one, outside, ends a step that takes too long in whatever code, and then the next submission
gets a new process. What had been earned by then counts.
"""

import json
import multiprocessing
import resource
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from vae_course.grading import grade
from vae_course.grading.assignment import Assignment
from vae_course.grading.sandbox import Limits

GRACE = 15.0  # seconds beyond those that a step may take by its own clock
MEMORY = 2 << 30  # bytes of its own, beside as many as a submission may have


class JudgeError(RuntimeError):
    """A submission could not be graded, for a reason that is not its own."""


def work(line: Connection, told: Assignment, limits: Limits, safe: bool) -> None:
    """In the process: paths come, results go."""
    import torch

    torch.set_num_threads(1)
    most = limits.memory + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def tell(state: dict[str, Any], seconds: float) -> None:
        line.send_bytes(json.dumps({"state": state, "seconds": seconds}).encode())

    while True:
        try:
            path = Path(line.recv())
        except EOFError:
            return
        answer: dict[str, Any]
        try:
            answer = {"result": grade.submission(path, told, limits, safe, tell)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            line.send_bytes(json.dumps(answer).encode())
        except OSError:
            return  # whoever asked was killed


class Judge:
    """The process from outside; calls start it where there is none."""

    def __init__(
        self, told: Assignment, limits: Limits, safe: bool = True, grace: float = GRACE
    ) -> None:
        self.told, self.limits, self.safe, self.grace = told, limits, safe, grace
        self.process: Any = None
        self.over = False

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, other = context.Pipe()
        given = (other, self.told, self.limits, self.safe)
        self.process = context.Process(target=work, args=given, daemon=True)
        self.process.start()
        other.close()

    def __call__(self, path: Path) -> dict[str, Any]:
        """A submission's result.

        Raises JudgeError if the sandbox or the process did not start.
        """
        if self.over:
            raise JudgeError("the class's run was stopped")
        if self.process is None:
            self.start()
        self.line.send(str(path))
        state: dict[str, Any] | None = None
        seconds = self.limits.start  # its own imports
        while True:
            reason = f"stopped: {grade.TOO_LONG.format(self.limits.test)}"
            try:
                if self.line.poll(seconds + self.grace):
                    answer = json.loads(self.line.recv_bytes())
                    if "result" in answer:
                        return answer["result"]
                    if "error" in answer:
                        raise JudgeError(answer["error"])
                    state, seconds = answer["state"], answer["seconds"]
                    continue
            except (EOFError, OSError):
                reason = "stopped: its answers ended the process that compares them"
            self.close()
            if state is None:
                raise JudgeError("the process that compares answers did not start")
            return grade.result(self.told, **state, reason=reason)

    def end(self) -> None:
        """End the process for good."""
        self.over = True
        self.close()

    def close(self) -> None:
        """End the process and all that it started; the next call starts another."""
        if self.process is not None:
            try:
                below = psutil.Process(self.process.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                below = []
            self.process.kill()
            for process in below:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            self.process.join()
            self.line.close()
            self.process = None
