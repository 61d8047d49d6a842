"""Each data set is read once for all tests of it; no test writes into one."""

import functools
from collections.abc import Callable

import pytest

from vae_course.data import Dataset, load


@pytest.fixture(scope="session")
def loaded() -> Callable[[str], Dataset]:
    """``load``, but each set only once."""
    return functools.cache(load)
