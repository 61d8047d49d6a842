"""The force field, the browser side: its forces, its flow and its controls, with no network."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tests.site.contract import FigureContract
from tests.site.readings import RING, drag, said
from vae_course.distortion import reverse_water_filling
from vae_course.figures import ForceField
from vae_course.gaussian import kl_to_standard_normal

LAMBDA = 0.7
BETAS = [0.01, 0.1, 0.5, 1.3, 1.5]  # the last one lies beyond 2 lambda


@pytest.fixture
def figure() -> ForceField:
    return ForceField(LAMBDA)


class TestForceField(FigureContract):
    moves = {"μ = −1.00, σ = 1.0": {"start": [-1, 0]}, "Force on μ: −2.00,": {"beta": 1.5}}


def slope(beta: float) -> float:
    return max(0.0, LAMBDA - beta / 2) ** 0.5


@pytest.mark.parametrize("beta", BETAS)
def test_the_forces_are_minus_the_gradients_of_the_two_terms_of_the_loss(javascript, beta):
    points = torch.tensor([[2.0, -2.0], [-1.5, 0.5], [0.0, 0.0], [0.3, -0.7]], dtype=torch.float64)
    mu, log_sigma = points.T.clone().requires_grad_(), None
    mu, log_sigma = mu[0], mu[1]
    w, s = slope(beta), LAMBDA**0.5
    rate = kl_to_standard_normal(mu[:, None], log_sigma.exp()[:, None])
    # E (s - w z)^2 over z = mu + sigma eps, by a Gauss-Hermite rule that is exact for squares
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    z = mu[:, None] + log_sigma.exp()[:, None] * torch.tensor(nodes)
    distortion = ((s - w * z).square() * torch.tensor(weights / weights.sum())).sum(1)
    expected = [
        -torch.stack(torch.autograd.grad(term.sum(), (mu, log_sigma), retain_graph=True), 1)
        for term in (rate, distortion / beta)
    ]
    got = javascript(
        ForceField,
        "return a.points.map((p) => [m.pull(p), m.repel(m.spring(a.lambda, a.beta), p)])",
        {"points": points.tolist(), "lambda": LAMBDA, "beta": beta},
    )
    assert torch.allclose(torch.tensor(got, dtype=torch.float64), torch.stack(expected, 1))


@pytest.mark.parametrize("parts", ["both", "pull", "repel"])
@pytest.mark.parametrize("beta", BETAS)
def test_the_flow_solves_its_differential_equation(javascript, beta, parts):
    w, s = slope(beta), LAMBDA**0.5
    a, b = float(parts != "repel"), float(parts != "pull")

    def force(t: float, x: np.ndarray) -> list[float]:
        v = np.exp(2 * x[1])
        back = 2 * w * (s - w * x[0]) / beta
        return [-a * x[0] + b * back, a * (1 - v) - b * 2 * w * w * v / beta]

    for start in ([2.0, -2.0], [-3.0, 1.0]):
        times = [0.1, 1.0, 4.0]
        exact = solve_ivp(force, (0, 4), start, "LSODA", times, rtol=1e-10, atol=1e-12).y.T
        got = javascript(
            ForceField,
            "return a.times.map((t) => m.flow(a.lambda, a.beta, a.start, t, a.parts))",
            {"times": times, "lambda": LAMBDA, "beta": beta, "start": start, "parts": parts},
        )
        assert np.abs(np.array(got) - exact).max() < 1e-6


@pytest.mark.parametrize("beta", BETAS)
def test_the_ball_rests_where_the_forces_vanish_at_the_water_fillings_variance(javascript, beta):
    rest, total, far = javascript(
        ForceField,
        """const s = m.spring(a.lambda, a.beta), r = m.rest(s), p = m.pull(r), q = m.repel(s, r);
        return [r, [p[0] + q[0], p[1] + q[1]], m.flow(a.lambda, a.beta, [2, -2], 40)]""",
        {"lambda": LAMBDA, "beta": beta},
    )
    assert np.abs(total).max() < 1e-9 and np.abs(np.subtract(rest, far)).max() < 1e-6
    filled = reverse_water_filling(torch.tensor([LAMBDA], dtype=torch.float64), beta)
    assert np.exp(2 * rest[1]) == pytest.approx(filled.variances.item())
    if beta >= 2 * LAMBDA:
        assert rest == pytest.approx([0, 0])
    else:  # the image lies at one standard deviation; mu's variance is 1 - sigma^2
        assert rest[0] ** 2 == pytest.approx(1 - filled.variances.item())


def test_a_released_ball_comes_to_rest_and_beyond_the_threshold_it_is_the_prior(visit):
    page = visit(ForceField(LAMBDA, beta=0.14))
    page.get_by_role("button", name="Release the ball").click()
    assert "At rest. μ = 0.95, σ = 0.32" in said(page)  # 1 - 0.1, and 0.1, under the roots
    page.get_by_role("button", name="Back to the start").click()
    assert "μ = 2.00" in said(page)
    page.get_by_label("β, the price of a nat").fill("40")
    page.get_by_role("button", name="Release the ball").click()
    assert "the ball is the prior. μ = 0.0" in said(page) and "100 %" in said(page)


def test_each_force_alone_leads_elsewhere(visit):
    page = visit(ForceField(LAMBDA, beta=0.14))
    page.get_by_role("button", name="KL alone").click()
    page.get_by_role("button", name="Release the ball").click()
    assert "the ball is the prior" in said(page)
    page.get_by_role("button", name="Reconstruction alone").click()
    page.get_by_role("button", name="Release the ball").click()
    assert "the radius shrinks for ever" in said(page)


def test_the_ball_flows_while_one_watches(visit, figure):
    page = visit(figure, motion="no-preference")
    first = said(page)
    page.locator(".vf-readout").evaluate(
        """node => { window.texts = []; new MutationObserver(() => texts.push(node.textContent))
          .observe(node, { childList: true }); }"""
    )
    page.get_by_role("button", name="Release the ball").click()
    page.locator(".vf-readout", has_text="At rest").wait_for(state="attached")
    on_its_way = page.evaluate("texts.filter((text) => !text.includes('At rest'))")
    assert any("Force on μ" in text and text != first for text in on_its_way)


def test_keys_sliders_and_the_pointer_move_the_start(visit, figure):
    page = visit(figure)
    ring = page.locator(RING)
    ring.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    assert ring.get_attribute("aria-valuetext") == "μ = 1.90, log σ = −1.50"
    page.keyboard.press("Enter")
    assert "At rest" in said(page)
    page.get_by_label("Centre μ").fill("-1")
    page.get_by_label("log σ").fill("0.5")
    assert ring.get_attribute("aria-valuetext") == "μ = −1.00, log σ = 0.50"
    box = page.locator(".vf-plane canvas").bounding_box()
    shares = (0.7, 0.7), (0.75, 0.3)
    drag(page, *((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares))
    mu, log_sigma = ring.get_attribute("aria-valuetext").replace("−", "-").split(", ")
    assert 1 < float(mu.split("= ")[1]) < 1.6 and float(log_sigma.split("= ")[1]) > -0.8
