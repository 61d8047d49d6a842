"""The figure of two balls in the browser: its numbers are the library's, its sliders answer."""

import math

import pytest
import scipy.stats
import torch

from tests.site.contract import FigureContract
from tests.site.readings import said, shots
from vae_course.figures import TwoBalls
from vae_course.gaussian import bhattacharyya_distance


def test_the_browsers_overlap_is_the_librarys(javascript):
    cases = [
        (spacing, sigma, d)
        for spacing in (0.0, 0.05, 1.0, 3.0)
        for sigma in (0.05, 0.5, 1.0)
        for d in TwoBalls().dimensions
    ]
    got = javascript(TwoBalls, "return a.map(([s, sigma, d]) => d * m.logOverlap(s, sigma))", cases)
    for (spacing, sigma, d), log in zip(cases, got, strict=True):
        direction = torch.randn(d, generator=torch.Generator().manual_seed(d)).double()
        mu = spacing * d**0.5 * direction / direction.norm()  # any direction: the balls are round
        radius = torch.full_like(mu, sigma)
        distance = bhattacharyya_distance(torch.zeros_like(mu), radius, mu, radius).item()
        assert -log == pytest.approx(distance, rel=1e-6, abs=0)


def test_the_browsers_mean_overlap_is_the_integral_over_random_pairs(javascript):
    # Centres N(0, (1 - s^2) I): squared distance 2 (1 - s^2) chi2_d. SciPy integrates.
    cases = [(sigma, d) for sigma in (0.2, 3**-0.5, 0.9) for d in (2, 8, 64)]
    got = javascript(TwoBalls, "return a.map(([sigma, d]) => m.logMeanOverlap(sigma, d))", cases)
    for (sigma, d), log in zip(cases, got, strict=True):
        rate = 2 * (1 - sigma**2) / (8 * sigma**2)
        mean = scipy.stats.chi2(d).expect(lambda s, rate=rate: math.exp(-rate * s), epsabs=0)
        assert math.exp(log) == pytest.approx(mean, rel=1e-6, abs=0)


def test_touching_is_at_twice_sigma_and_typical_pairs_touch_at_one_third(javascript):
    assert javascript(TwoBalls, "return m.touching(0.35)") == pytest.approx(0.7)
    touching, typical = javascript(TwoBalls, "return [m.touching(a), m.typical(a)]", 3**-0.5)
    assert touching == pytest.approx(typical, rel=1e-12)


@pytest.mark.parametrize(
    "value, words",
    [(1.0, "1.00"), (0.0183156, "0.0183"), (2.9e-4, "2.9 × 10⁻⁴"), (9.99e-15, "1.0 × 10⁻¹⁴")],
)
def test_an_overlap_is_said_in_two_or_three_digits(javascript, value, words):
    assert javascript(TwoBalls, "return m.spokenOverlap(Math.log(a))", value) == words


@pytest.fixture
def figure() -> TwoBalls:
    return TwoBalls()


class TestTwoBalls(FigureContract):
    moves = {"In 64 dimensions": {"d": 64}, "interpenetrate": {"spacing": 0.5}}

    @pytest.fixture
    def looks(self, figure) -> tuple[TwoBalls, ...]:
        return figure, TwoBalls(d=64)


def test_the_sliders_move_balls_plot_and_readings(visit, figure):
    page = visit(figure)
    assert "In 2 dimensions these balls touch" in said(page)
    assert "0.368" in said(page)  # e^-1
    before = shots(page)
    page.get_by_label("Dimension d").fill("10")
    assert "In 64 dimensions these balls touch" in said(page)
    assert "1.3 × 10⁻¹⁴" in said(page)  # e^-32
    assert all(a != b for a, b in zip(before, shots(page), strict=True))
    page.get_by_label("Distance Δ").fill("0.5")
    assert "interpenetrate (Δ is 0.50 times" in said(page)
    page.get_by_label("Radius σ").fill("0.1")
    assert "are apart (Δ is 2.50 times" in said(page)
    page.get_by_role("button", name="Let them touch").click()
    assert "touch (Δ is 1.00 times" in said(page)
    page.get_by_role("button", name="A typical pair").click()
    assert page.get_by_label("Distance Δ").input_value() == "1.41"
