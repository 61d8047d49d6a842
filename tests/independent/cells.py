"""The exercise masters, and the names that their cells define when they are run."""

import contextlib
import functools
import io
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # ipylab's, which otter imports
    import masters

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
