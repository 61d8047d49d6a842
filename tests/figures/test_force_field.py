"""The force field, the Python side: what it starts from, what it saves."""

import math
import re

import pytest

from vae_course.figures import ForceField, state


def test_a_force_field_keeps_what_it_was_given():
    figure = ForceField(0.7, beta=0.1, start=(-1.0, 0.5))
    assert (figure.eigenvalue, figure.beta, figure.start) == (0.7, 0.1, [-1.0, 0.5])
    assert ForceField(0.7).beta == pytest.approx(0.14)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"eigenvalue": 0.0}, "eigenvalue must be positive and finite, got 0"),
        ({"eigenvalue": math.inf}, "eigenvalue must be positive"),
        ({"eigenvalue": math.nan}, "eigenvalue must be positive"),
        ({"eigenvalue": 0.7, "beta": 0.006}, r"beta must be in .* \[0.007, 2.8\], got 0.006"),
        ({"eigenvalue": 0.7, "beta": 3.0}, "beta must be in .* got 3"),
        ({"eigenvalue": 0.7, "beta": math.nan}, "beta must be in"),
        ({"start": (3.5, 0.0)}, r"start must be \(mu, log sigma\)"),
        ({"start": (0.0, 1.5)}, "start must be"),
        ({"start": (0.0, math.nan)}, "start must be"),
    ],
)
def test_a_start_that_is_not_on_the_plane_is_named(unchecked, arguments, message):
    with pytest.raises(ValueError, match=message):
        ForceField(**arguments)


def test_a_module_imports_nothing_and_is_small():
    assert not re.search(r"\bimport\b|https?://", ForceField._esm)
    assert ForceField._esm.count("export default") == 1
    assert ForceField(0.7).nbytes <= 35_000


def test_the_same_field_saves_the_same_file():
    assert state(ForceField(0.7)) == state(ForceField(0.7)) != state(ForceField(0.6))
