"""The force field, the Python side: what it starts from, what it saves."""

import math

import pytest

from tests.figures.contract import FigureContract
from vae_course.figures import ForceField


class TestForceField(FigureContract):
    kind = ForceField
    other = {"eigenvalue": 0.6}
    page = 35_000
    refused = [
        ({"eigenvalue": 0.0}, "eigenvalue must be positive and finite, got 0"),
        ({"eigenvalue": math.inf}, "eigenvalue must be positive"),
        ({"eigenvalue": math.nan}, "eigenvalue must be positive"),
        ({"eigenvalue": 0.7, "beta": 0.006}, r"beta must be in .* \[0.007, 2.8\], got 0.006"),
        ({"eigenvalue": 0.7, "beta": 3.0}, "beta must be in .* got 3"),
        ({"eigenvalue": 0.7, "beta": math.nan}, "beta must be in"),
        ({"start": (3.5, 0.0)}, r"start must be \(mu, log sigma\)"),
        ({"start": (0.0, 1.5)}, "start must be"),
        ({"start": (0.0, math.nan)}, "start must be"),
    ]

    def given(self) -> dict:
        return {"eigenvalue": 0.7}


def test_a_force_field_keeps_what_it_was_given():
    figure = ForceField(0.7, beta=0.1, start=(-1.0, 0.5))
    assert (figure.eigenvalue, figure.beta, figure.start) == (0.7, 0.1, [-1.0, 0.5])
    assert ForceField(0.7).beta == pytest.approx(0.14)
