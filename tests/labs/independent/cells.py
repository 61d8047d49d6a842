"""The exercise masters, and the names that their cells define when they are run.

A master is read when a test asks for it: otter takes seconds to import, and every worker of
pytest collects all tests. What the masters hold is listed without it.
"""

import contextlib
import functools
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from masters import Master

ROOT = Path(__file__).resolve().parents[3]
PATHS = {path.stem: path for path in sorted((ROOT / "exercises").glob("*.ipynb"))}


@functools.cache
def read(name: str) -> "Master":
    import masters

    return masters.read(PATHS[name])


class Masters(Mapping[str, "Master"]):
    """Every master by its name, taken apart at the first look."""

    def __getitem__(self, name: str) -> "Master":
        return read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(PATHS)

    def __len__(self) -> int:
        return len(PATHS)


MASTERS = Masters()


def sources(path: Path) -> list[str]:
    """A notebook's cells, without Jupyter's own reader and its schemas."""
    return ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]


@functools.cache
def listed(name: str) -> dict[str, list[str]]:
    """The questions of a master, each with the titles of its known wrong answers."""
    found: dict[str, list[str]] = {}
    for source in sources(PATHS[name]):
        if begun := re.match(r"# BEGIN QUESTION\nname: (\w+)", source):
            found[begun[1]] = []
        elif mistake := re.match(r"# IGNORE a known wrong answer: (.+)", source):
            found[list(found)[-1]].append(mistake[1])
    return found


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
