"""The stretched sphere in the browser: its numbers are the library's, its controls answer."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from tests.site.contract import FigureContract
from tests.site.readings import cards, drag, said, shots
from vae_course.figures import StretchSphere
from vae_course.figures.stretch_sphere import DIMENSIONS
from vae_course.sphere import SphericalCauchy, cauchy_kl, cauchy_mean_cosine, log_area


@pytest.fixture
def figure() -> StretchSphere:
    return StretchSphere()


class TestStretchSphere(FigureContract):
    moves = {"r = 3.00": {"r": 3.0}, "64 dimensions": {"d": 64}}


RADII = [0.0, 0.02, 0.5, 1.0, 1.5, 2.74, 4.0]


def test_the_browsers_rate_and_mean_cosine_are_the_librarys(javascript):
    got = javascript(
        StretchSphere,
        """return a.d.map((d) => a.r.map((r) => {
             const { kl, cosine } = m.stretchRate(d, r); return [kl, cosine]; }))""",
        {"d": list(DIMENSIONS), "r": RADII},
    )
    r = torch.tensor(RADII, dtype=torch.float64)
    for d, rows in zip(DIMENSIONS, got, strict=True):
        exact = torch.stack([cauchy_kl(r, d), cauchy_mean_cosine(r, d)], 1).numpy()
        assert np.allclose(rows, exact, rtol=1e-10, atol=1e-12)


def test_on_the_ordinary_sphere_the_rate_is_2_r_coth_r_minus_1(javascript):
    for r in RADII[1:]:
        got = javascript(StretchSphere, "return m.stretchRate(3, a)", r)
        assert got["kl"] == pytest.approx(2 * (r / math.tanh(r) - 1), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("d", [3, 16, 256])
def test_the_slope_of_the_browsers_curve_is_d_minus_1_mean_cosines(javascript, d):
    r, h = 1.3, 1e-4
    low, middle, high = (
        javascript(StretchSphere, "return m.stretchRate(...a)", [d, x]) for x in (r - h, r, r + h)
    )
    slope = (high["kl"] - low["kl"]) / (2 * h)  # error h^2 / 6 of the third derivative: 1e-8
    assert slope == pytest.approx((d - 1) * middle["cosine"], rel=1e-6)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_unstretched_dots_are_uniform(javascript, d):
    ranks = np.linspace(0.001, 0.999, 101)
    u = javascript(
        StretchSphere,
        "return Array.from(m.uniformQuantile(m.uniformLatitude(a.d), a.ranks))",
        {"d": d, "ranks": ranks.tolist()},
    )
    half = (d - 1) / 2  # (1 - t) / 2 of a uniform point is a Beta variable
    exact = scipy.stats.beta.cdf((1 - np.tanh(u)) / 2, half, half)
    assert np.allclose(exact, ranks, atol=2e-4)


@pytest.mark.parametrize("d, r", [(3, 0.7), (3, 2.5), (16, 1.0), (128, 0.3)])
def test_stretched_dots_follow_the_spherical_cauchy_law(javascript, d, r):
    ranks = np.linspace(0.01, 0.99, 50)
    angles = javascript(
        StretchSphere,
        """const law = m.uniformLatitude(a.d);
        return m.uniformQuantile(law, a.ranks).map((u) => m.angleOf(u + a.r))""",
        {"d": d, "r": r, "ranks": ranks.tolist()},
    )
    mu = torch.eye(d, dtype=torch.float64)
    law = SphericalCauchy(mu[0], torch.tensor(r, dtype=torch.float64))
    phi = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
    points = phi.cos()[:, None] * mu[0] + phi.sin()[:, None] * mu[1]
    ring = log_area(d - 1)  # of the parallel of radius 1
    density = torch.exp(law.log_prob(points) + ring) * phi.sin() ** (d - 2)
    share = torch.cumulative_trapezoid(density, phi)
    assert share[-1] == pytest.approx(1, abs=1e-6)
    assert np.allclose(np.interp(angles, phi[1:], share), ranks, atol=5e-4)


def test_the_numbers_shown_are_the_rate_the_cosine_the_slope_and_the_median_angle(visit):
    r = torch.tensor(1.5, dtype=torch.float64)
    kl, m = cauchy_kl(r, 3).item(), cauchy_mean_cosine(r, 3).item()
    assert cards(visit(StretchSphere(1.5))) == {
        "KL to uniform": f"{kl:.2f} nats",
        "mean cosine m": f"{m:.3f}",
        "slope (d − 1) m": f"{2 * m:.2f}",
        "half lies within": f"{math.degrees(2 * math.atan(math.exp(-1.5))):.0f}°",
    }


def test_keys_stretch_the_sphere_and_its_plane_and_move_along_the_curve(visit):
    page = visit(StretchSphere(0.0))
    assert list(cards(page).values()) == ["0.00 nats", "0.000", "0.00", "90°"]  # and not -0.000
    assert "the uniform law" in said(page)
    before = shots(page)
    page.get_by_label("Stretch r (hyperbolic radius)").focus()
    page.keyboard.press("ArrowRight")
    assert "r = 0.02" in said(page)
    page.keyboard.press("End")
    assert "r = 4.00" in said(page)
    assert all(a != b for a, b in zip(before, shots(page), strict=True))


def test_dragging_the_slider_stretches(visit):
    page = visit(StretchSphere(0.0))
    box = page.get_by_label("Stretch r (hyperbolic radius)").bounding_box()
    y = box["y"] + box["height"] / 2
    drag(page, (box["x"] + 8, y), (box["x"] + box["width"] / 2, y))
    assert cards(page)["half lies within"] == "15°"  # 2 atan(e^-2)


def test_the_dimension_changes_the_rate_but_not_the_median_angle(visit):
    page = visit(StretchSphere(1.5))
    before, pictures = cards(page), shots(page)
    page.get_by_label("Ambient dimension d").fill(str(DIMENSIONS.index(64)))
    after = cards(page)
    r = torch.tensor(1.5, dtype=torch.float64)
    assert after["KL to uniform"] == f"{cauchy_kl(r, 64).item():.2f} nats"
    assert after["half lies within"] == before["half lies within"]
    assert "Angles to μ as in R⁶⁴" in page.locator(".vf-pair").inner_text()
    assert all(a != b for a, b in zip(pictures, shots(page), strict=True))


def test_the_seed_draws_other_dots_and_the_same_curve(visit):
    one, two = (shots(visit(StretchSphere(seed=seed))) for seed in (0, 1))
    assert one[0] != two[0] and one[1] != two[1] and one[2] == two[2]


def test_a_kernel_hears_where_the_reader_stops(told):
    assert told(StretchSphere(1.5), [2.5, 1]) == {"r": 2.5, "d": 4}
