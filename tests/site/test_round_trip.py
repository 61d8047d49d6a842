"""The figure of one code in the browser: each term of the bound is torch's, the ball answers."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from tests.figures.test_round_trip import images
from tests.site.contract import FigureContract
from tests.site.readings import RING, cards, drag, heard, said, shot, shots
from vae_course.figures import RoundTrip

EIGENVALUES = [1.5, 0.4]
BALLS = [([0.0, 0.0], [1.0, 1.0]), ([1.2, -0.4], [0.3, 0.02]), ([-3.0, 2.0], [1.6, 0.5])]


@pytest.fixture
def figure() -> RoundTrip:
    return RoundTrip(images())


class TestRoundTrip(FigureContract):
    moves = {
        "This ball’s bound": {"mu": [1.0, 1.0]},
        "nats below": {"beta": 0.1},
        "Ask the encoder": {"selected": 3},
    }


@pytest.mark.parametrize("beta", [0.01, 0.3, 1.0, 3.5])  # beyond 0.8 and 3.0 an axis is idle
def test_the_browsers_terms_are_torchs(javascript, beta):
    m, x = 5, torch.tensor([0.7, -1.1, 0.2, 0.3, -0.4], dtype=torch.float64)  # axes: the first two
    gamma = beta / 2
    w = torch.zeros(m, 2, dtype=torch.float64)
    w[0, 0], w[1, 1] = (math.sqrt(max(0, value - gamma)) for value in EIGENVALUES)
    eye = torch.eye(m, dtype=torch.float64)
    marginal = MultivariateNormal(torch.zeros(m).double(), w @ w.T + gamma * eye)
    precision = torch.eye(2) + w.T @ w / gamma
    posterior = MultivariateNormal(
        torch.linalg.solve(precision, w.T @ x / gamma), precision_matrix=precision
    )
    image = {"a": x[:2].tolist(), "rest": x[2:].square().sum().item(), "m": m}
    for mu, sigma in BALLS:
        got = javascript(
            RoundTrip,
            "return m.terms(m.fit(a.eigenvalues, a.beta), a.image, a.ball)",
            {
                "eigenvalues": EIGENVALUES,
                "beta": beta,
                "image": image,
                "ball": {"mu": mu, "sigma": sigma},
            },
        )
        centre, radii = (torch.tensor(v, dtype=torch.float64) for v in (mu, sigma))
        q = MultivariateNormal(centre, torch.diag(radii.square()))
        prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
        # E ||x - W z||^2 = ||x - W mu||^2 + trace(W diag(sigma^2) W'), for any W
        distortion = (x - w @ centre).square().sum() + (w * radii).square().sum()
        at_mean = Normal(w @ centre, math.sqrt(gamma)).log_prob(x).sum()
        reconstruction = at_mean - (w * radii).square().sum() / beta
        rate = kl_divergence(q, prior)
        expected = {
            "distortion": distortion,
            "reconstruction": reconstruction,
            "rate": rate,
            "loss": distortion + beta * rate,
            "elbo": reconstruction - rate,
            "evidence": marginal.log_prob(x),
            "gap": kl_divergence(q, posterior),
        }
        assert got == pytest.approx({k: float(v) for k, v in expected.items()}, abs=1e-9)
        assert got["elbo"] + got["gap"] == pytest.approx(got["evidence"], abs=1e-9)


def test_the_figure_starts_at_the_ball_whose_bound_touches(visit, figure):
    page = visit(figure)
    shown = cards(page)
    assert shown["inference gap"] == "0.00 nats" and shown["ELBO"] == shown["log p(x)"]
    flat = images().flatten(1).double()
    covariance = flat.T.cov(correction=0)
    values, vectors = torch.linalg.eigh(covariance)
    gamma = figure.beta / 2
    kept = vectors[:, -2:] * (values[-2:] - gamma).sqrt()
    law = MultivariateNormal(flat.mean(0), kept @ kept.T + gamma * torch.eye(12))
    evidence = law.log_prob(flat[0]).item()
    assert float(shown["log p(x)"].split()[0].replace("−", "-")) == pytest.approx(
        evidence, abs=6e-3
    )
    assert "touches log p(x)" in said(page)


def test_another_image_leaves_the_ball_and_the_encoder_brings_it_back(visit, figure):
    page = visit(figure)
    ring = page.locator(RING)
    before = ring.get_attribute("aria-valuetext")
    page.get_by_role("slider", name="Image").fill("4")
    assert ring.get_attribute("aria-valuetext") == before
    assert float(cards(page)["inference gap"].split()[0]) > 1
    page.get_by_role("button", name="Ask the encoder").click()
    assert ring.get_attribute("aria-valuetext") != before
    assert cards(page)["inference gap"] == "0.00 nats"
    page.get_by_role("slider", name="Price β").focus()
    page.keyboard.press("End")  # beyond twice the largest eigenvalue
    page.get_by_role("button", name="Ask the encoder").click()
    assert cards(page)["rate"] == "0.00 nats"
    assert ring.get_attribute("aria-valuetext") == "μ = 0.00, 0.00"


def test_draws_from_the_ball_show_its_error_and_draws_from_the_prior_new_images(visit, figure):
    page = visit(figure)
    image = page.locator(".vf-path .vf-image").nth(1)
    pictures = [shot(image)]
    for name in ("codes from the ball", "from the prior"):
        page.get_by_role("button", name=name).click()
        pictures.append(shot(image))
        if name == "codes from the ball":
            words = said(page).removesuffix(" is expected.")
            assert words.startswith("20 draws from the ball: mean squared error ")
            mean, expected = (float(w) for w in words.split("error ")[1].split(", where "))
            assert f"{expected:.3g}" == f"{float(cards(page)['E D, squared error']):.3g}"
            # Off the axes nothing varies; on them the error of 20 draws scatters by a fifth.
            assert mean == pytest.approx(expected, rel=0.4)
    assert "no image went in" in said(page)
    page.get_by_role("checkbox", name="decoder’s own noise").check()
    pictures.append(shot(image))
    assert len(set(pictures)) == 4
    page.get_by_label("Centre μ₁").fill("1")
    assert "nats below log p(x)" in said(page)  # the draws are gone


def test_keys_sliders_and_the_pointer_move_the_ball(visit, figure):
    page = visit(figure)
    ring = page.locator(RING)
    for name, value in (("Centre μ₁", "1"), ("Centre μ₂", "-0.5"), ("Radius σ₁", "-1")):
        page.get_by_label(name).fill(value)
    ring.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    assert ring.get_attribute("aria-valuetext") == "μ = 0.90, 0.00"
    before = shots(page)
    box = page.locator(".vf-plane canvas").bounding_box()
    shares = (0.6, 0.5), (0.75, 0.2)
    drag(page, *((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares))
    mu = ring.get_attribute("aria-valuetext").replace("−", "-").removeprefix("μ = ").split(", ")
    assert 1 < float(mu[0]) < 3.2 and 1 < float(mu[1]) < 3.2
    assert all(a != b for a, b in zip(before, shots(page), strict=True))
    ring.focus()
    page.keyboard.press("Enter")
    assert "20 draws from the ball" in said(page)


def test_the_draws_fall_one_after_the_other_while_one_watches(visit, figure):
    page = visit(figure, motion="no-preference")
    page.locator(".vf-readout").evaluate(
        """node => { window.texts = []; new MutationObserver(() => texts.push(node.textContent))
          .observe(node, { childList: true }); }"""
    )
    page.get_by_role("button", name="codes from the ball").click()
    heard(page, "20 draws from the ball")
    counts = page.evaluate("texts.map((text) => parseInt(text))")
    assert counts[0] < 10 and counts == sorted(counts) and counts[-1] == 20


def test_a_kernel_hears_where_the_reader_is(told, figure):
    beta = figure.spec["betas"][12]
    heard_of = told(figure, [3, 12, 0.5, -0.25, -1, -2])
    assert heard_of["selected"] == 2 and heard_of["beta"] == pytest.approx(beta)
    assert heard_of["mu"] == pytest.approx(
        [0.5, -0.24]
    )  # the slider's steps are of 0.02, from -3.2
    assert heard_of["sigma"] == pytest.approx([math.exp(-1), math.exp(-2)], rel=1e-6)
