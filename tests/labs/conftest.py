"""What is made of the masters, once for all that is asked of it."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labs.independent.cells import PATHS


@pytest.fixture(scope="session")
def build(tmp_path_factory) -> Path:
    """A build folder; only ``exercises`` writes in it, others take copies."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="session")
def exercises(build) -> Callable[[str], Path]:
    """The folder of what ``make exercises`` makes of a master, made when it is asked for."""
    import make_exercises

    @functools.cache
    def make(name: str) -> Path:
        folder = build / "exercises" / name
        make_exercises.make(PATHS[name], folder)
        (folder / "key").write_text(make_exercises.key(PATHS[name]))
        return folder

    return make
