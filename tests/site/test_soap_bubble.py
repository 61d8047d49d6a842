"""The soap bubble in the browser: its laws are the library's, its controls answer."""

import functools
import math

import mpmath
import numpy as np
import pytest
import torch
from torch.distributions import kl_divergence

from tests.site.contract import FigureContract
from tests.site.readings import drawn, said, shots
from vae_course.figures import SoapBubble
from vae_course.figures.soap_bubble import DIMENSIONS
from vae_course.sphere import (
    PowerSpherical,
    SphericalCauchy,
    SphericalUniform,
    VonMisesFisher,
    log_area,
)

FAMILIES = {"cauchy": SphericalCauchy, "vmf": VonMisesFisher, "power": PowerSpherical}
RATES = [1.0, 5.0, 20.0, 77.7, 200.0]
NEAR = math.radians(5)


@pytest.fixture
def figure() -> SoapBubble:
    return SoapBubble()


class TestSoapBubble(FigureContract):
    moves = {"At 50 nats": {"rate": 50.0}, "in 8 dimensions": {"d": 8}}

    @pytest.fixture
    def looks(self, figure) -> tuple[SoapBubble, ...]:
        return figure, SoapBubble(3.0, 12)


def law(family: str, d: int, parameter: float) -> torch.distributions.Distribution:
    mu = torch.eye(1, d, dtype=torch.float64)[0]
    return FAMILIES[family](mu, torch.tensor(parameter, dtype=torch.float64))


def rate_of(family: str, d: int, parameter: float) -> float:
    """The library's KL to the uniform law, and mpmath's where kappa exceeds its domain."""
    if family != "power" or parameter < 1e6:
        uniform = SphericalUniform(d, dtype=torch.float64)
        return kl_divergence(law(family, d, parameter), uniform).item()
    with mpmath.workdps(400):  # of two digammas at 1e173 the difference is 1e-173
        half, k = mpmath.mpf(d - 1) / 2, mpmath.mpf(parameter)
        mean = mpmath.digamma(half + k) - mpmath.digamma(2 * half + k)
        log_partition = mpmath.loggamma(half + k) - mpmath.loggamma(2 * half + k)
        log_partition += mpmath.loggamma(2 * half) - mpmath.loggamma(half)
        return float(k * mean - log_partition)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_law_costs_the_rate_and_has_the_mean_cosine_by_the_librarys_measure(
    javascript, family
):
    got = javascript(
        SoapBubble,
        """return a.d.map((d) => a.rates.map((rate) => {
             const law = m.atRate(a.family, d, rate); return [law.parameter, law.cosine]; }))""",
        {"family": family, "d": list(DIMENSIONS), "rates": RATES},
    )
    for d, rows in zip(DIMENSIONS, got, strict=True):
        for rate, (parameter, cosine) in zip(RATES, rows, strict=True):
            assert rate_of(family, d, parameter) == pytest.approx(rate, rel=1e-8)
            exact = law(family, d, parameter).mean_cosine.item()
            assert exact == pytest.approx(cosine, rel=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d", [2, 3, 8, 64, 1024])
def test_the_density_of_the_angle_is_that_of_the_librarys_log_prob(javascript, family, d):
    angles = torch.linspace(0.02, 3.1, 40, dtype=torch.float64)
    got = javascript(
        SoapBubble,
        """const law = m.atRate(a.family, a.d, 7);
        return [law.parameter, a.angles.map((x) => m.angleDensity(law, x))]""",
        {"family": family, "d": d, "angles": angles.tolist()},
    )
    points = torch.zeros(40, d, dtype=torch.float64)
    points[:, 0], points[:, 1] = angles.cos(), angles.sin()
    # points at one angle lie on a sphere of R^(d - 1), of radius sin; two points when d = 2
    ring = math.log(2) if d == 2 else log_area(d - 1)
    log_density = law(family, d, got[0]).log_prob(points) + ring + (d - 2) * angles.sin().log()
    assert np.allclose(got[1], log_density.exp(), rtol=1e-7, atol=1e-300)


@functools.cache
def log_share(family: str, d: int, parameter: float, near: float) -> float:
    """Log of the probability of an angle below ``near``, by mpmath from the law's formula."""
    mpmath.mp.dps = 30
    half, k, near = mpmath.mpf(d - 1) / 2, mpmath.mpf(parameter), mpmath.mpf(near)
    beta = functools.partial(mpmath.betainc, regularized=True)
    if family == "power":
        return float(mpmath.log(beta(half, half + k, 0, mpmath.sin(near / 2) ** 2)))
    if family == "cauchy":
        before = 2 * mpmath.atan(mpmath.exp(k) * mpmath.tan(near / 2))
        return float(mpmath.log(beta(half, half, 0, mpmath.sin(before / 2) ** 2)))

    def mass(x: mpmath.mpf) -> mpmath.mpf:
        return mpmath.exp(k * (mpmath.cos(x) - 1)) * mpmath.sin(x) ** (d - 2)

    # A_d's normaliser in closed form: int e^(k cos) sin^(d-2) = sqrt(pi) Gamma((d-1)/2) (2/k)^nu I
    nu = mpmath.mpf(d) / 2 - 1
    whole = mpmath.sqrt(mpmath.pi) * mpmath.gamma(half) * (2 / k) ** nu
    whole *= mpmath.besseli(nu, k) * mpmath.exp(-k)
    # the mass rises like sin^(d-2): pieces that halve towards the far end resolve it
    inner = mpmath.quad(mass, [0, *(near * (1 - mpmath.mpf(2) ** -j) for j in range(1, 14)), near])
    return float(mpmath.log(inner / whole))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d, rate", [(2, 1), (3, 5), (8, 20), (24, 20), (64, 20), (1024, 200)])
def test_the_share_near_mu_is_right_down_to_the_exponent(javascript, family, d, rate):
    parameter, got = javascript(
        SoapBubble,
        "const law = m.atRate(...a.law); return [law.parameter, m.logShare(law, a.near)]",
        {"law": [family, d, rate], "near": NEAR},
    )
    assert got == pytest.approx(log_share(family, d, parameter, NEAR), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("d, rate", [(2, 1), (3, 5), (64, 20), (1024, 20)])
def test_quantiles_of_the_angle_invert_its_distribution_function(javascript, family, d, rate):
    ranks = [0.01, 0.1, 0.5, 0.9, 0.99]
    parameter, angles = javascript(
        SoapBubble,
        "const law = m.atRate(...a.law); return [law.parameter, m.quantiles(law, a.ranks)]",
        {"law": [family, d, rate], "ranks": ranks},
    )
    exact = [math.exp(log_share(family, d, parameter, angle)) for angle in angles]
    assert np.allclose(exact, ranks, atol=2e-4)


def test_the_latitude_law_misses_the_mean_cosines_by_order_one_over_d(javascript):
    for rate in (5.0, 20.0, 77.7):
        for d in (64, 128, 256, 512, 1024):
            line = javascript(SoapBubble, "return m.lawCosine(...a)", [d, rate])
            assert line == pytest.approx(math.sqrt(1 - math.exp(-2 * rate / (d - 1))), rel=1e-12)
            for family in FAMILIES:
                exact = javascript(SoapBubble, "return m.atRate(...a).cosine", [family, d, rate])
                assert abs(line / exact - 1) < 2.5 / d


def table(page) -> list[list[str]]:
    rows = page.locator(".vf-soap tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def test_nobody_lives_at_mu_in_64_dimensions_and_everybody_in_three(visit):
    page = visit(SoapBubble(20.0, 64))
    assert [row[-1] for row in table(page)] == ["0", "0", "0", "–"]
    assert page.locator("caption").inner_text() == "Each law costs R = 20 nats"
    page.get_by_label("Ambient dimension d").fill("1")
    assert [row[-1] for row in table(page)] == ["10,000", "10,000", "10,000", "–"]
    assert "At 20 nats in 3 dimensions" in said(page)


def test_the_draws_within_5_degrees_are_as_many_as_the_law_says(visit, javascript):
    shown = [int(row[-1].replace(",", "")) for row in table(visit(SoapBubble(20.0, 8)))[:3]]
    for family, count in zip(FAMILIES, shown, strict=True):
        share = math.exp(
            javascript(SoapBubble, "return m.logShare(m.atRate(a, 8, 20), Math.PI / 36)", family)
        )
        assert abs(count - 1e4 * share) < 4 * math.sqrt(1e4 * share * (1 - share))


def test_the_table_holds_the_librarys_numbers(visit):
    rows = table(visit(SoapBubble(20.0, 64)))
    for family, row in zip(FAMILIES, rows, strict=False):
        parameter = float(row[0].split("=")[1])  # to three digits
        assert rate_of(family, 64, parameter) == pytest.approx(20, rel=0.01)
        exact = law(family, 64, parameter).mean_cosine.item()
        assert float(row[1]) == pytest.approx(exact, rel=0.005)
    assert rows[3][1:3] == [f"{math.sqrt(1 - math.exp(-40 / 63)):.4f}", "at 46.7°"]


def test_keys_spend_nats_and_the_rings_shrink(visit):
    page = visit(SoapBubble(20.0, 64))
    before, numbers = shots(page), table(page)
    page.get_by_label("Rate R of each law").focus()
    page.keyboard.press("ArrowRight")
    assert table(page) != numbers
    page.keyboard.press("End")
    assert page.locator("caption").inner_text() == "Each law costs R = 200 nats"
    for low, high in zip(numbers, table(page), strict=True):
        assert float(high[1]) > float(low[1])
    assert all(a != b for a, b in zip(before, shots(page), strict=True))


def test_zooming_in_changes_the_pictures_and_no_number(visit):
    page = visit(SoapBubble(20.0, 256))
    before, numbers = shots(page), table(page)
    page.get_by_label("zoom in on the rings").check()
    assert all(a != b for a, b in zip(before, shots(page), strict=True))
    assert table(page) == numbers


@pytest.mark.parametrize("rate, d", [(1.0, 2), (200.0, 2), (200.0, 3), (1.0, 1024)])
def test_no_corner_of_the_sliders_shows_a_nan(visit, rate, d):
    page = visit(SoapBubble(rate, d))
    page.get_by_label("zoom in on the rings").check()
    drawn(page)
    text = page.locator(".vf-soap").inner_text()
    assert not any(bad in text for bad in ("NaN", "Infinity", "undefined"))


def test_the_seed_draws_other_dots_and_the_same_densities(visit):
    one, two = (shots(visit(SoapBubble(seed=seed))) for seed in (0, 1))
    assert one[0] == two[0] and all(a != b for a, b in zip(one[1:], two[1:], strict=True))


def test_a_kernel_hears_where_the_reader_stops(told):
    assert told(SoapBubble(20.0, 64), [2, 100]) == {"rate": 200, "d": 4}
