"""A sandbox that costs nothing."""

import pytest

from tests.grading import toy
from vae_course.grading import grade


@pytest.fixture
def opened(monkeypatch):
    """No walls: students' code runs in this process."""
    monkeypatch.setattr(grade, "Sandbox", toy.Open)
