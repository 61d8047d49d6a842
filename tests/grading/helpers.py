"""Assignments for the grader's tests, as tools/make_exercises.py writes them."""

import functools
import tempfile
from pathlib import Path

import pytest

from tests.labs.independent.cells import MASTERS
from vae_course.grading import assignment, sandbox

needs_sandbox = pytest.mark.skipif(not sandbox.available(), reason="bubblewrap is missing")


@functools.cache
def grading_json(name: str) -> str:
    import make_exercises

    return make_exercises.grading(MASTERS[name])


@functools.cache
def given_assignment(name: str) -> assignment.Assignment:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "grading.json")
        path.write_text(grading_json(name))
        return assignment.read(path)
