"""The figure of the stretched sphere, the Python side: what it takes and refuses."""

from tests.figures.contract import FigureContract
from vae_course.figures import StretchSphere


class TestStretchSphere(FigureContract):
    kind = StretchSphere
    other = {"seed": 1}
    page = 40_000
    refused = [
        ({"r": -0.1}, r"r must be in \[0, 4\], got -0.1"),
        ({"r": 4.1}, r"r must be in \[0, 4\], got 4.1"),
        ({"r": float("nan")}, "got nan"),
        ({"d": 2}, r"d must be one of \(3, 4, .*, got 2"),
        ({"d": 5}, "got 5"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*32\), got -1"),
    ]


def test_it_starts_where_it_is_told():
    figure = StretchSphere(2, 64, seed=3)
    assert (figure.r, figure.d, figure.seed) == (2.0, 64, 3)
    assert (StretchSphere().r, StretchSphere().d) == (1.5, 3)
