"""A toy assignment, notebooks for it, and a sandbox without walls for code that can be trusted."""

import contextlib
import functools
import itertools
import json
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.labs.independent.cells import MASTERS
from vae_course.grading import assignment, grade, sandbox, walls, worker

needs_sandbox = pytest.mark.skipif(not walls.available(), reason="bubblewrap is missing")

# For root: a program that runs as somebody who may not do all.
AS_A_USER = ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", "1000", "--gid", "1000"]

CHECK_DOUBLE = {
    "name": "check_double",
    "points": 1,
    "hidden": False,
    "names": ["double"],
    "source": "def check_double(double):\n    import torch\n"
    "    y = double(torch.tensor([1.0, 2.0])).tolist()\n"
    "    if y == [1.0, 4.0]:\n        raise AssertionError('You square.')\n"
    "    assert y == [2.0, 4.0], 'Not the double.'",
}
TEST_DOUBLE = {
    "name": "test_double",
    "points": 3,
    "hidden": True,
    "names": ["double"],
    "source": "def test_double(double):\n    import torch\n"
    "    answers = double(torch.tensor([7.5])).tolist()\n    expected = [15.0]\n"
    "    assert answers == expected",
}
CHECK_ANSWER = {
    "name": "check_answer",
    "points": 1,
    "hidden": False,
    "names": ["answer"],
    "source": "def check_answer(answer):\n    assert answer == 42, 'Not 42.'",
}
TOY = {
    "name": "00-toy",
    "mistakes": {"double": [["takes the square for the double", "You square"]]},
    "questions": {"double": [CHECK_DOUBLE, TEST_DOUBLE], "answer": [CHECK_ANSWER]},
}
GOOD = "def double(x):\n    return 2 * x\n\nanswer = 42\n"
SQUARES = "def double(x):\n    return x * x\n\nanswer = 42\n"


def notebook(*sources: str) -> str:
    cells = [{"cell_type": "code", "source": source} for source in sources]
    return json.dumps({"cells": cells, "nbformat": 4})


def assigned(folder: Path, told: dict[str, Any] = TOY) -> assignment.Assignment:
    (folder / "grading.json").write_text(json.dumps(told))
    return assignment.read(folder / "grading.json")


def graded(
    folder: Path, *sources: str, told: dict[str, Any] = TOY, limits: sandbox.Limits | None = None
) -> dict[str, Any]:
    """What a notebook of these cells gets."""
    (folder / "one.ipynb").write_text(notebook(*sources))
    limits = limits or sandbox.Limits()
    return grade.submission(folder / "one.ipynb", assigned(folder, told), limits)


class Open(sandbox.Sandbox):
    """Stands for a sandbox: the worker in this process; what is asked and answered still is JSON.

    For code that can be trusted: it costs milliseconds where a process costs seconds.
    """

    def __init__(self, limits: sandbox.Limits, safe: bool = True) -> None:
        self.limits, self.number = limits, itertools.count(1)
        self.process = types.SimpleNamespace(kill=lambda: None)
        with self.inside({}):
            self.worker = worker.Worker()
            self.modules = {name: sys.modules[name] for name in ("__main__", "otter")}

    def __enter__(self) -> "Open":
        return self

    def close(self) -> None: ...

    @contextlib.contextmanager
    def inside(self, modules: dict[str, Any]) -> Iterator[None]:
        """The worker's stand-ins for modules, as long as it works."""
        outside = {name: sys.modules.get(name) for name in ("__main__", "otter")}
        sys.modules.update(modules)
        try:
            yield
        finally:
            for name, module in outside.items():
                sys.modules.pop(name, None)
                if module is not None:
                    sys.modules[name] = module

    def request(self, seconds: float, **message: Any) -> dict[str, Any]:
        told = json.loads(json.dumps(message | {"id": next(self.number), "seconds": seconds}))
        with self.inside(self.modules):
            answer = self.worker.answer(told)
        checked = list(self.worker.checked)
        return json.loads(json.dumps({"id": told["id"], "checked": checked} | answer))


@functools.cache
def given_assignment(name: str) -> assignment.Assignment:
    """A chapter's, as tools/make_exercises.py writes it."""
    import make_exercises

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "grading.json")
        path.write_text(make_exercises.grading(MASTERS[name]))
        return assignment.read(path)
