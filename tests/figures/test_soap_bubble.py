"""The soap bubble, the Python side: what it takes and refuses."""

from tests.figures.contract import FigureContract
from vae_course.figures import SoapBubble


class TestSoapBubble(FigureContract):
    kind = SoapBubble
    other = {"seed": 1}
    refused = [
        ({"rate": 0.5}, r"rate must be in \[1, 200\] nats, got 0.5"),
        ({"rate": 201.0}, "got 201"),
        ({"rate": float("nan")}, "got nan"),
        ({"d": 1}, r"d must be one of \(2, 3, .*, got 1"),
        ({"d": 65}, "got 65"),
        ({"seed": 2**32}, r"seed must be in \[0, 2\*\*32\), got 4294967296"),
    ]


def test_it_starts_where_it_is_told():
    figure = SoapBubble(5, 3, seed=7)
    assert (figure.rate, figure.d, figure.seed) == (5.0, 3, 7)
    assert (SoapBubble().rate, SoapBubble().d) == (20.0, 64)
