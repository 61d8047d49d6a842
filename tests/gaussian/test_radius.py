"""The shell law against SciPy and mpmath."""

import math

import mpmath
import pytest
import scipy.stats

from vae_course.gaussian import shell, shell_mass


def test_shell_is_the_chi_distribution():
    for d in (1, 2, 3, 8, 31, 32, 33, 100, 1000):
        chi = scipy.stats.chi(d)
        assert shell(d).mean == pytest.approx(chi.mean(), rel=1e-12)
        assert shell(d).sd == pytest.approx(chi.std(), rel=1e-8)  # scipy's own digits
        for lower, upper in ((0.9, 1.1), (0.0, 0.5), (0.0, math.inf), (1.2, 1.5), (0.3, 0.3)):
            expected = chi.cdf(upper * d**0.5) - chi.cdf(lower * d**0.5)
            assert shell_mass(d, lower, upper) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [20, 31, 32, 10**3, 10**6, 10**8])
def test_shell_keeps_its_digits_in_a_million_dimensions(d):
    with mpmath.workdps(50):
        half = mpmath.mpf(d) / 2
        mean = mpmath.sqrt(2) * mpmath.gammaprod([half + 0.5], [half])
        sd = mpmath.sqrt(d - mean**2)
    assert shell(d).mean == pytest.approx(float(mean), rel=1e-12)
    assert shell(d).sd == pytest.approx(float(sd), rel=1e-12)


@pytest.mark.parametrize("d, within, inside", [
    (2, 0.147, 0.221), (8, 0.305, 0.0190), (32, 0.575, 4.89e-6), (128, 0.891, 1.36e-19),
])  # fmt: skip
def test_a_ball_is_a_bubble_in_high_dimension(d, within, inside):
    assert shell_mass(d, 0.9, 1.1) == pytest.approx(within, abs=5e-4)
    assert shell_mass(d, 0.0, 0.5) == pytest.approx(inside, rel=5e-3, abs=0)


def test_the_far_side_of_the_shell_keeps_its_digits():
    expected = scipy.stats.chi(32).sf(3 * 32**0.5)  # 3e-40
    assert shell_mass(32, 3.0, math.inf) == pytest.approx(expected, rel=1e-10, abs=0)


def test_no_dimensions_and_no_interval_are_refused(unchecked):
    with pytest.raises(ValueError, match="d must"):
        shell(0)
    with pytest.raises(ValueError, match="lower <= upper"):
        shell_mass(2, 1.0, 0.5)
    with pytest.raises(TypeError, match="d must be an int, got 2.5"):
        shell(2.5)
    with pytest.raises(TypeError, match="upper must be a number"):
        shell_mass(2, 0.0, None)
