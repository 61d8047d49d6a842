"""The exercise masters, and the names that their cells define when they are run."""

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import masters

ROOT = Path(__file__).resolve().parents[3]

MASTERS = {p.stem: masters.read(p) for p in sorted((ROOT / "exercises").glob("*.ipynb"))}


def execute(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Names after the code has run on a copy of these names; what it prints is dropped."""
    names = {"__name__": "__main__"} | names
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "<notebook>", "exec"), names)
    return names


@functools.cache
def given(name: str, question: str) -> dict[str, Any]:
    master = MASTERS[name]
    return execute(master.preamble + master.questions[question].given, {})


@functools.cache
def solved(name: str, question: str) -> dict[str, Any]:
    return execute(MASTERS[name].questions[question].solution, given(name, question))
