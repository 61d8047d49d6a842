"""The figure of the density's factors in the browser: its sums and its statistics."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import MultivariateNormal, Normal

from tests.site.contract import FigureContract
from tests.site.readings import cards, said, shot
from vae_course.figures import DensityScatter

BETA, WEIGHTS = 0.05, torch.tensor([2.0, 0.7], dtype=torch.float64)


def linear_vae(n: int = 200, m: int = 3, a: float = 1.0) -> dict:
    """A linear VAE with the distortion a ||x - x_hat||² at its optimum, in closed form.

    x lies on the plane of two of m dimensions; along axis j its variance is w_j² + β/2a, so that
    the decoder's noise, of variance β/2a, belongs to the data. Both estimators are then exact.
    """
    noise = BETA / (2 * a)
    variance = WEIGHTS.square() + noise
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64) * variance.sqrt()
    sigma = (noise / variance).sqrt().expand(n, 2)
    mu = WEIGHTS * x / variance
    distortion = a * ((x - WEIGHTS * mu).square() + (WEIGHTS * sigma).square()).sum(1)
    rate = (0.5 * (mu.square() + sigma.square() - 1) - sigma.log()).sum(1)
    return {
        "log_p": MultivariateNormal(torch.zeros(2).double(), variance.diag()).log_prob(x),
        "betas": [BETA],
        "log_prior": Normal(0, 1).log_prob(mu).sum(1)[None],
        "log_volume": sigma.log().sum(1)[None],
        "loss": (distortion + BETA * rate)[None],
        "active": [2],
        **(
            {"log_metric": torch.full((n,), math.log(a), dtype=torch.float64), "dim": m}
            if a != 1
            else {}
        ),
    }


def estimate(javascript, data: dict, **use: object) -> np.ndarray:
    metric = data.get("log_metric", torch.zeros(data["loss"].shape[1]))
    parts = {"prior": data["log_prior"][0], "volume": data["log_volume"][0]}
    parts |= {"loss": data["loss"][0], "metric": metric}
    chosen = {"source": "ball", "prior": True, "volume": True, "constant": True, "power": 0} | use
    body = "return m.estimate(a.parts, a.beta, a.active, a.use)"
    parts = {name: value.tolist() for name, value in parts.items()}
    argument = {"parts": parts, "beta": BETA, "active": 2, "use": chosen}
    return np.array(javascript(DensityScatter, body, argument))


@pytest.mark.parametrize("a", [1.0, 3.0])
def test_the_objectives_estimate_is_the_density_of_a_linear_vae(javascript, a):
    data = linear_vae(a=a)
    power = 2 if a != 1 else 0  # n, not the data's dimension 3
    log = estimate(javascript, data, source="objective", power=power)
    assert np.abs(log - data["log_p"].numpy()).max() < 1e-10


def test_the_balls_estimate_is_the_objectives_without_the_reconstruction_error(javascript):
    # Their logarithms differ by D(x, g(mu)) / beta alone: the sigma terms cancel at the optimum,
    # where sigma² (1 + 2w²/beta) = 1.
    data = linear_vae()
    sigma = (BETA / 2 / (WEIGHTS.square() + BETA / 2)).sqrt()
    mu2 = -2 * (data["log_prior"][0] + math.log(2 * math.pi))  # |mu|²
    kl = 0.5 * (mu2 + sigma.square().sum() - 2) - sigma.log().sum()
    at_centre = data["loss"][0] - BETA * kl - (WEIGHTS * sigma).square().sum()
    ball = estimate(javascript, data)
    objective = estimate(javascript, data, source="objective")
    assert np.abs(ball - objective - at_centre.numpy() / BETA).max() < 1e-9


def test_each_switch_takes_away_its_own_factor(javascript):
    data = linear_vae(a=3.0)
    whole = estimate(javascript, data, power=2)
    parts = {
        "prior": data["log_prior"][0].numpy(),
        "volume": data["log_volume"][0].numpy(),
        "constant": np.log(2 / BETA),
    }
    for name, value in parts.items():
        assert (
            np.abs(whole - estimate(javascript, data, power=2, **{name: False}) - value).max()
            < 1e-9
        )
    assert np.abs(whole - estimate(javascript, data) - math.log(3)).max() < 1e-9


def test_the_statistics_are_scipys(javascript):
    random = np.random.default_rng(0)
    x = random.normal(size=300)
    y = np.round(0.5 * x + random.normal(size=300) + 2, 1)  # rounded: there are ties
    got = javascript(DensityScatter, "return m.compare(...a)", [x.tolist(), y.tolist()])
    assert got["r"] == pytest.approx(scipy.stats.pearsonr(x, y)[0], rel=1e-10)
    assert got["rho"] == pytest.approx(scipy.stats.spearmanr(x, y)[0], rel=1e-10)
    assert got["offset"] == pytest.approx(np.mean(y - x), rel=1e-10)
    assert got["spread"] == pytest.approx(np.std(y - x), rel=1e-10)


@pytest.fixture
def figure() -> DensityScatter:
    """At two betas and with a metric: all controls are there."""
    data = linear_vae(a=3.0)
    twice = {k: torch.cat([data[k], data[k] + 0.1]) for k in ("log_prior", "log_volume", "loss")}
    return DensityScatter(**{**data, **twice, "betas": [BETA, 0.1], "active": [2, 1]})


class TestDensityScatter(FigureContract):
    moves = {"^(1/2)": {"beta_index": 1}}


def test_factors_are_switched_by_keyboard_and_the_readings_follow(visit, figure):
    page = visit(figure)
    page.get_by_role("button", name="From the objective").press("Enter")
    assert "r = 1.000, ranks 1.000. Off by 0.00 nats" in said(page)
    assert page.get_by_label("p(μ)").is_disabled()
    page.get_by_role("button", name="aₓ to m/2").press("Space")
    assert "A factor is missing or wrong" in said(page)
    assert "0.549 nats" in " ".join(cards(page).values())  # (3 - 2)/2 log 3
    page.get_by_role("button", name="From the ball").click()
    chart = page.locator(".vf-canvas canvas")
    before = shot(chart)
    page.get_by_label("∏ σ").press("Space")
    assert shot(chart) != before
    assert page.locator(".vf-formula").inner_text().startswith("p̂ = p(μ) · (2/β)")
    page.get_by_label("the absolute constant").uncheck()
    page.get_by_role("button", name="no aₓ").click()
    page.get_by_label("p(μ)").uncheck()
    assert page.locator(".vf-formula").inner_text() == "p̂ = 1" and "r = none" in said(page)
    page.get_by_label("β of the model").fill("1")
    assert "n = 1" in page.locator(".vf-slider").inner_text()


def test_one_beta_has_no_slider_and_no_metric_no_buttons(visit):
    page = visit(DensityScatter(**linear_vae()))
    assert page.locator("input[type=range]").count() == 0
    assert page.get_by_role("group", name="Power of the metric").count() == 0
    assert f"{BETA}, n = 2" in page.locator(".vf-note").inner_text()
