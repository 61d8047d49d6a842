"""The Poincaré disk in the browser: both divergences are the library's, and so is the disk."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.special import ive
from torch import Tensor
from torch.distributions import kl_divergence

from tests.site.contract import FigureContract
from tests.site.readings import RING, cards, drag, drawn, said, where
from vae_course.figures.poincare_drag import DIMENSIONS, PoincareDrag
from vae_course.sphere import SphericalCauchy, SphericalUniform, VonMisesFisher


@pytest.fixture
def figure() -> PoincareDrag:
    return PoincareDrag()


class TestPoincareDrag(FigureContract):
    moves = {"In 4 dimensions": {"b": [0.1, -0.2], "d": 4}}


PAIRS = [
    ([0.8, 0.3], [-0.2, 0.4]),
    ([0.95, 0.0], [-0.95, 0.0]),
    ([0.95, 0.0], [0.0, 0.95]),
    ([0.0, 0.0], [0.0, -0.95]),
    ([0.3, 0.3], [0.32, 0.3]),
]


def law(point: list[float], d: int) -> SphericalCauchy:
    """The law of a point of the disk, on the sphere of R^d."""
    rho, loc = math.hypot(*point), torch.zeros(d, dtype=torch.float64)
    loc[:2] = torch.tensor([v / rho for v in point] if rho else [1.0, 0.0])
    loc = torch.nn.functional.normalize(loc, dim=0)
    return SphericalCauchy.from_rho(loc, torch.tensor(rho, dtype=torch.float64))


def kl_von_mises_fisher(loc1: Tensor, kappa1: float, loc2: Tensor, kappa2: float) -> float:
    """E[log p] - E[log q]: both log densities are linear in x, and E[x] = A(kappa) loc."""
    d = len(loc1)
    kappa1, kappa2 = max(kappa1, 1e-9), max(kappa2, 1e-9)

    def log_partition(kappa: float) -> float:
        return np.log(ive(d / 2 - 1, kappa)) + kappa - (d / 2 - 1) * np.log(kappa)

    mean = ive(d / 2, kappa1) / ive(d / 2 - 1, kappa1)
    cosine = (loc1 @ loc2).item()
    return mean * (kappa1 - kappa2 * cosine) + log_partition(kappa2) - log_partition(kappa1)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_both_quadratures_are_the_library_kl_of_the_hyperbolic_distance(javascript, d):
    found = javascript(
        PoincareDrag,
        "const nodes = m.shadow(a.d); return a.pairs.map(([p, q]) => m.compare(nodes, p, q))",
        {"d": d, "pairs": PAIRS},
    )
    for (a, b), got in zip(PAIRS, found, strict=True):
        p, q = law(a, d), law(b, d)
        exact = kl_divergence(p, q).item()
        assert got["cauchy"] == pytest.approx([exact, exact], rel=1e-6, abs=1e-9)
        # F_d of the distance, by a third integral, is the same number.
        uniform = SphericalUniform(d, dtype=torch.float64)
        rates = [kl_divergence(x, uniform).item() for x in (p, q)]
        assert got["rates"] == pytest.approx(rates, rel=1e-9, abs=1e-12)
        matched = [VonMisesFisher(x.loc, k) for x, k in zip((p, q), got["kappas"], strict=True)]
        found_rates = [x.kl_to_uniform().item() for x in matched]
        assert found_rates == pytest.approx(rates, rel=1e-9, abs=1e-12)
        ends = [(x.loc, x.concentration.item()) for x in matched]
        there = kl_von_mises_fisher(*ends[0], *ends[1])
        back = kl_von_mises_fisher(*ends[1], *ends[0])
        assert got["misesFisher"] == pytest.approx([there, back], rel=1e-6, abs=1e-8)


def test_the_curve_is_the_library_rate(javascript):
    radii = [0.01, 0.5, 3.0, 7.5]
    for d in DIMENSIONS:
        got = javascript(
            PoincareDrag, "return a.r.map((r) => m.rate(r, a.d))", {"d": d, "r": radii}
        )
        loc = torch.eye(d, dtype=torch.float64)[0]
        laws = SphericalCauchy(loc, torch.tensor(radii, dtype=torch.float64))
        exact = kl_divergence(laws, SphericalUniform(d, dtype=torch.float64))
        assert got == pytest.approx(exact.tolist(), rel=1e-8)


def test_the_nodes_are_the_uniform_law_seen_on_a_plane(javascript):
    # Total 1, first moments 0, second moments 1 / d each, E[x^4] = 3 / (d (d + 2)).
    for d in DIMENSIONS:
        got = javascript(
            PoincareDrag,
            """const { x, y, weight } = m.shadow(a);
            const mean = (f) => weight.reduce((sum, w, i) => sum + w * f(x[i], y[i]), 0);
            const moments = [() => 1, (x) => x, (x) => x * x, (x, y) => x * y, (x) => x ** 4];
            return moments.map(mean)""",
            d,
        )
        assert got == pytest.approx([1, 0, 1 / d, 0, 3 / d / (d + 2)], rel=1e-12, abs=1e-14)


def test_the_drawn_way_is_a_geodesic_and_its_dots_are_units(javascript):
    for a, b in PAIRS:
        distance, steps = javascript(
            PoincareDrag,
            """const [p, q] = a, D = m.distance(p, q);
            const on = [0, 0.25, 0.5, 1].map((t) => m.along(p, q, t * D));
            return [D, on.map((z) => [m.distance(p, z), m.distance(z, q)])]""",
            [a, b],
        )
        sinh = math.hypot(a[0] - b[0], a[1] - b[1]) / math.sqrt(
            (1 - math.hypot(*a) ** 2) * (1 - math.hypot(*b) ** 2)
        )
        assert distance == pytest.approx(2 * math.asinh(sinh), rel=1e-9)
        for t, (before, after) in zip((0, 0.25, 0.5, 1), steps, strict=True):
            # No detour: the two parts add up only on the geodesic itself.
            assert before == pytest.approx(t * distance, abs=1e-9)
            assert after == pytest.approx((1 - t) * distance, abs=1e-9)


def test_swapping_leaves_cauchy_and_exchanges_von_mises_fisher(visit, figure):
    page = visit(figure)
    before = cards(page)
    assert before["Cauchy KL(a‖b)"] == before["Cauchy KL(b‖a)"]
    assert before["vMF KL(a‖b)"] != before["vMF KL(b‖a)"]
    page.get_by_role("button", name="Swap a and b").click()
    after = cards(page)
    assert after["Cauchy KL(a‖b)"] == before["Cauchy KL(a‖b)"]
    assert after["vMF KL(a‖b)"] == before["vMF KL(b‖a)"]
    assert after["vMF KL(b‖a)"] == before["vMF KL(a‖b)"]
    assert page.get_by_label("a: radius ρ").input_value() == "0.45"  # |(-0.2, 0.4)|


def test_moving_both_points_alike_leaves_cauchy_and_changes_von_mises_fisher(visit, figure):
    page = visit(figure)
    before = cards(page)
    for _ in range(3):
        page.get_by_role("button", name="Move both, keep D").click()
        after = cards(page)
        for name in ("hyperbolic distance D", "Cauchy KL(a‖b)", "Cauchy KL(b‖a)"):
            assert after[name] == before[name]
        assert after["vMF KL(a‖b)"] != before["vMF KL(a‖b)"]
        radii = [float(page.get_by_label(f"{k}: radius ρ").input_value()) for k in "ab"]
        assert max(radii) <= 0.95


def test_points_too_far_apart_to_move_stay(javascript):
    pair = [[0.95, 0.0], [-0.95, 0.0]]
    got = javascript(PoincareDrag, "return m.moved(a, m.uniforms(0), 0.95)", pair)
    assert np.abs(np.linalg.norm(got, axis=1)).max() <= 0.95 + 1e-9


def test_rings_drag_their_own_point_and_stop_at_the_edge(visit):
    page = visit(PoincareDrag(a=(0.5, 0), b=(-0.5, 0)))
    rings, canvas = page.locator(RING), page.locator(".vf-plane canvas").bounding_box()
    other = rings.nth(1).get_attribute("aria-valuetext")
    edge = canvas["x"] + canvas["width"] - 2, canvas["y"] + canvas["height"] / 2
    drag(page, where(rings.nth(0)), edge)
    assert rings.nth(0).get_attribute("aria-valuetext") == "a: ρ = 0.95, direction 0 degrees"
    assert rings.nth(1).get_attribute("aria-valuetext") == other
    # The ring follows the point onto the canvas.
    drawn(page)
    x, _ = where(rings.nth(0))
    assert x == pytest.approx(canvas["x"] + canvas["width"] * (0.5 + 0.37 * 0.95), abs=1.5)


def test_keys_and_sliders_move_the_points(visit):
    page = visit(PoincareDrag(a=(0.5, 0), b=(-0.5, 0)))
    ring = page.locator(RING).nth(1)
    ring.focus()
    page.keyboard.press("ArrowLeft")
    assert ring.get_attribute("aria-valuetext") == "b: ρ = 0.52, direction 180 degrees"
    distance = 2 * math.atanh(0.5) + 2 * math.atanh(0.52)
    assert cards(page)["hyperbolic distance D"] == f"{distance:.3f}"
    page.get_by_label("b: radius ρ").fill("0")
    assert "0.000" in cards(page)["rates of a, b"]
    page.get_by_label("b: radius ρ").fill("0.3")  # the direction has waited at 180 degrees
    assert ring.get_attribute("aria-valuetext") == "b: ρ = 0.30, direction 180 degrees"
    page.get_by_label("b: direction μ").fill("90")
    assert ring.get_attribute("aria-valuetext") == "b: ρ = 0.30, direction 90 degrees"


def test_the_dimension_changes_the_rate_and_not_the_distance(visit, figure):
    page = visit(figure)
    before = cards(page)
    page.get_by_label("Dimension d").fill("1")
    after = cards(page)
    assert after["hyperbolic distance D"] == before["hyperbolic distance D"]
    r = float(after["hyperbolic distance D"])
    assert float(after["Cauchy KL(a‖b)"]) == pytest.approx(2 * (r / math.tanh(r) - 1), abs=2e-3)
    assert "In 3 dimensions" in said(page)


def test_one_and_the_same_law_does_not_diverge(visit):
    page = visit(PoincareDrag(a=(0.4, 0.2), b=(0.4, 0.2)))
    assert "Both points are one law" in said(page)
    assert re.fullmatch(r"-?0\.0000", cards(page)["Cauchy KL(a‖b)"])
