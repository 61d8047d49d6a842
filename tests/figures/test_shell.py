"""The shell of a Gaussian ball, the Python side: where it starts, what it refuses."""

from tests.figures.contract import FigureContract
from vae_course.figures import Shell


class TestShell(FigureContract):
    kind = Shell
    other = {"d": 8}
    code = 35_000
    refused = [({"d": 5}, "d must be one of .* got 5")]


def test_it_starts_at_a_dimension_of_its_slider():
    assert Shell(32).d == 32
