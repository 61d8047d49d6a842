"""Perfect realism against codes that are searched for, and against squared error's own code.

And its opposite, a critic that has stopped learning, against Blahut and Arimoto's codes.
"""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.testing import assert_close

from vae_course.distortion import (
    beta_at_rate,
    blahut_arimoto,
    posterior_anisotropy,
    realistic_beta_at_rate,
    realistic_water_filling,
    reverse_water_filling,
)

SPECTRUM = torch.tensor([2.0, 0.9, 0.3, 0.05, 0.0], dtype=torch.float64)
IN_USE = SPECTRUM[:4]
PRICES = [1e-3, 0.05, 0.4, 1.0, 3.0, 50.0]


def searched(covariance: Tensor, beta: float) -> tuple[float, float]:
    """Rate and distortion of the best output that is Gaussian with the source's own covariance.

    It is searched over all joint laws, E x x_hat^T = S^½ K S^½ with any K of norm below 1, in no
    particular axes: R = -½ log det(1 - K K^T). Any K is A (1 + A^T A)^-½, and 1 - K K^T is then
    the inverse of 1 + A A^T.
    """
    values, axes = torch.linalg.eigh(covariance)
    root = axes * values.sqrt() @ axes.T
    eye = torch.eye(len(covariance), dtype=torch.float64)
    a = (0.1 * eye + 0.02).requires_grad_()
    search = torch.optim.LBFGS(
        [a], max_iter=2000, tolerance_grad=1e-11, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def terms() -> tuple[Tensor, Tensor]:
        squares, sides = torch.linalg.eigh(eye + a.T @ a)
        k = a @ (sides * squares.rsqrt() @ sides.T)
        return squares.log().sum() / 2, 2 * covariance.trace() - 2 * (root @ k @ root).trace()

    def closure() -> Tensor:
        search.zero_grad()
        rate, distortion = terms()
        loss = distortion + beta * rate
        loss.backward()
        return loss

    search.step(closure)
    rate, distortion = terms()
    return rate.item(), distortion.item()


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_no_joint_gaussian_law_with_the_sources_own_output_does_better(beta):
    draws = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = draws.T @ draws / 5
    filled = realistic_water_filling(torch.linalg.eigvalsh(covariance), beta)
    rate, distortion = searched(covariance, beta)
    assert rate == pytest.approx(filled.rates.sum().item(), rel=1e-7)
    assert distortion == pytest.approx(filled.distortion.item(), rel=1e-7)


@pytest.mark.parametrize("beta", PRICES)
@pytest.mark.parametrize("variance", [0.05, 1.0, 7.0])
def test_each_axis_has_the_correlation_that_minimises_distortion_and_price(variance, beta):
    """Over w = -log(1 - u), so that the minimum is far from the ends of its interval."""

    def loss(w: float) -> float:
        left = math.exp(-w)  # 1 - u
        return 2 * variance * left - beta / 2 * math.log(left * (2 - left))

    found = minimize_scalar(loss, bounds=(1e-12, 40), method="bounded", options={"xatol": 1e-10})
    filled = realistic_water_filling(torch.tensor([variance], dtype=torch.float64), beta)
    left = math.exp(-found.x)
    # A minimum is flat: its place is known to the root of the digits.
    assert filled.variances.item() == pytest.approx(left * (2 - left), rel=1e-5)
    at_best = filled.distortion.item() + beta * filled.rates.item()
    assert at_best == pytest.approx(found.fun, rel=1e-10, abs=1e-10)
    assert at_best <= found.fun + 1e-12


@pytest.mark.parametrize(
    "beta, correlation, rate", [(1.0, 0.780776, 0.470307), (3.0, 0.5, 0.143841)]
)
def test_one_axis_of_variance_one_has_the_chapters_numbers(beta, correlation, rate):
    filled = realistic_water_filling(torch.ones(1, dtype=torch.float64), beta)
    assert filled.variances.item() == pytest.approx(1 - correlation**2, abs=1e-6)
    assert filled.rates.item() == pytest.approx(rate, abs=1e-6)
    assert filled.distortion.item() == pytest.approx(2 - 2 * correlation, abs=2e-6)


@pytest.mark.parametrize("beta", PRICES)
def test_it_spends_more_nats_than_squared_error_on_every_axis_and_none_is_idle(beta):
    filled, plain = (f(SPECTRUM, beta) for f in (realistic_water_filling, reverse_water_filling))
    assert (filled.rates[:4] > plain.rates[:4]).all() and filled.rates[4] == 0
    assert (filled.variances[:4] < plain.variances[:4]).all() and filled.variances[4] == 1
    coded = plain.variances[:4] < 1  # D is not ordered: more nats buy less of it where both code
    alone = [realistic_water_filling(v, beta).distortion for v in IN_USE[:, None]]
    assert ((torch.stack(alone) < beta / 2) | ~coded).all()


@pytest.mark.parametrize("rate", [0.01, 0.5, 3.0, 12.0, 40.0])
def test_at_equal_rate_it_leaves_at_most_twice_the_distortion_and_is_more_even(rate):
    filled = realistic_water_filling(IN_USE, realistic_beta_at_rate(IN_USE, rate).item())
    plain = reverse_water_filling(IN_USE, beta_at_rate(IN_USE, rate).item())
    assert 1 < filled.distortion / plain.distortion <= 2
    uneven, uneven_plain = (posterior_anisotropy(w.variances.sqrt()) for w in (filled, plain))
    assert uneven < uneven_plain if rate < 40 else uneven <= uneven_plain


def test_where_all_is_coded_finely_both_have_one_distortion_and_where_nothing_is_twice():
    fine, coarse = 1e-6, 1e6
    filled, plain = (f(IN_USE, fine) for f in (realistic_water_filling, reverse_water_filling))
    assert_close(filled.distortion, plain.distortion, rtol=1e-4, atol=0.0)
    assert_close(filled.rates, plain.rates, rtol=0.0, atol=1e-4)
    filled = realistic_water_filling(IN_USE, coarse)
    # u = 2 lambda / beta, and R = u^2 / 2
    assert_close(filled.rates, 2 * (IN_USE / coarse).square(), rtol=1e-8, atol=0.0)
    assert_close(filled.distortion, 2 * IN_USE.sum(), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("beta", PRICES)
def test_the_slope_of_distortion_over_rate_is_minus_beta(beta):
    before, after = (realistic_water_filling(SPECTRUM, beta * f) for f in (1 - 1e-5, 1 + 1e-5))
    slope = (after.distortion - before.distortion) / (after.rates - before.rates).sum()
    assert_close(slope.item(), -beta, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("beta", PRICES)
def test_balls_narrow_slower_than_the_spectrum_rises_so_that_latents_are_more_even(beta):
    """d log s^2 / d log lambda = -2 u^2 / (1 + u^2), of squared error's latents in use -1."""
    logs = IN_USE.log().requires_grad_()
    filled = realistic_water_filling(logs.exp(), beta)
    (slope,) = torch.autograd.grad(filled.variances.log().sum(), logs)
    square = 1 - filled.variances.detach()
    assert_close(slope, -2 * square / (1 + square), rtol=1e-9, atol=1e-12)
    assert ((-1 < slope) & (slope < 0)).all()
    assert posterior_anisotropy(filled.variances.sqrt()) < IN_USE.log().var(correction=0)


def test_each_axis_pays_its_share_whatever_the_order_and_the_batch():
    shuffled = SPECTRUM[[3, 0, 4, 2, 1]]
    both = realistic_water_filling(torch.stack([shuffled, 2 * shuffled]), 0.4)
    assert_close(both.rates[0].sort().values, realistic_water_filling(SPECTRUM, 0.4).rates.flip(0))
    double = realistic_water_filling(2 * shuffled, 0.8)
    assert_close(double.variances, both.variances[0])
    assert_close(double.distortion, 2 * both.distortion[0])
    assert both.distortion.shape == (2,)


def test_it_holds_in_float32_over_a_wide_range_small_rates_and_all():
    spectrum = torch.logspace(-8, 6, 30, dtype=torch.float64)
    exact, single = (realistic_water_filling(s, 1e-3) for s in (spectrum, spectrum.float()))
    for found, wanted in zip(single, exact, strict=True):
        assert found.dtype == torch.float32
        assert_close(found.double(), wanted, rtol=1e-6, atol=0.0)
    ends = realistic_water_filling(torch.tensor([1e38, 0.0]), 0.1)
    assert ends.rates.tolist() == pytest.approx([0.5 * math.log(2e39), 0], rel=1e-6)


@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.3, 2.7, 10.0, 80.0])
def test_the_price_of_a_rate_buys_that_rate(rate):
    shuffled = SPECTRUM[[3, 0, 4, 2, 1]]
    beta = realistic_beta_at_rate(torch.stack([shuffled, 7 * shuffled]), rate)
    assert_close(beta[1], 7 * beta[0])
    bought = realistic_water_filling(SPECTRUM, beta[0].item()).rates.sum().item()
    assert bought == pytest.approx(rate, rel=1e-10)
    single = realistic_beta_at_rate(shuffled.float(), rate)
    assert_close(single.double(), beta[0], rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("rate", [1e-5, 1.0, 300.0])
def test_the_search_for_a_price_ends_in_spectra_of_a_few_heights_and_many_axes(rate):
    heights = torch.tensor([1e9, 1e3, 1e-3, 1e-9], dtype=torch.float64)
    spectrum = heights.repeat_interleave(torch.tensor([1, 30, 5, 900]))
    beta = realistic_beta_at_rate(spectrum, rate).item()
    bought = realistic_water_filling(spectrum, beta).rates.sum().item()
    assert bought == pytest.approx(rate, rel=1e-10)


def test_the_price_grows_with_the_spectrum_as_the_implicit_function_theorem_says():
    spectrum = IN_USE.clone().requires_grad_()
    beta = realistic_beta_at_rate(spectrum, 3.0)
    (slope,) = torch.autograd.grad(beta, spectrum)
    share = 1 - realistic_water_filling(IN_USE, beta.item()).variances
    weight = share / (1 + share)  # of each axis in dR / d log beta, with the sign changed
    assert_close(slope, beta.detach() * weight / weight.sum() / IN_USE, rtol=1e-9, atol=0.0)


@pytest.mark.parametrize(
    "eigenvalues, beta, message",
    [
        (SPECTRUM, 0.0, "beta=0.0"),
        (SPECTRUM, math.inf, "beta=inf"),
        (SPECTRUM, math.nan, "beta=nan"),
        (torch.tensor([1.0, -1e-9]), 0.1, "eigenvalues lie in .*clamp_min"),
        (torch.tensor([math.inf, 1.0]), 0.1, "eigenvalues lie in"),
        (torch.tensor(1.0), 0.1, "at least one"),
    ],
)
def test_it_refuses_what_is_no_spectrum_and_no_price(unchecked, eigenvalues, beta, message):
    with pytest.raises(ValueError, match=message):
        realistic_water_filling(eigenvalues, beta)


@pytest.mark.parametrize(
    "eigenvalues, rate, message",
    [
        (SPECTRUM, 0.0, r"rate=0\.0"),
        (SPECTRUM, math.nan, "rate=nan"),
        (SPECTRUM, 2000.0, r"rate=2000\.0: .* price is 0 in float64"),
        (torch.zeros(3), 1.0, "all 0"),
        (torch.tensor([1.0, -1.0]), 1.0, "clamp_min"),
    ],
)
def test_the_price_of_no_rate_is_refused(unchecked, eigenvalues, rate, message):
    with pytest.raises(ValueError, match=message):
        realistic_beta_at_rate(eigenvalues, rate)


# ---- a critic that has stopped learning: c(x) - t(x_hat)


def gaussian_source(variance: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Points, their probabilities and points to reproduce them by: quadrature of many digits."""
    x = torch.linspace(-5, 5, 61, dtype=torch.float64)
    p = torch.exp(-x.square() / (2 * variance))
    return x, p / p.sum(), torch.linspace(-8, 8, 121, dtype=torch.float64)


def test_a_fixed_critic_alone_is_satisfied_for_nothing():
    x, p, x_hat = gaussian_source()
    scores = torch.sin(3 * x_hat) - 0.1 * x_hat.abs()
    code = blahut_arimoto(p, x.cos()[:, None] - scores, 0.1, tolerance=1e-3)
    assert code.rate.item() == pytest.approx(0, abs=1e-12)
    least = (p @ x.cos() - scores.max()).item()  # the constant that it likes best
    assert code.distortion.item() == pytest.approx(least, abs=1e-3)


@pytest.mark.parametrize(
    "a, b, rate", [(1.0, 0.0, 1.498), (0.8, 0.0, 1.386), (0.8, 0.3, 1.227), (0.8, -0.3, 1.621)]
)
def test_a_fixed_critic_beside_pixels_shrinks_the_target_and_raises_the_curvature(a, b, rate):
    """a (x - x_hat)^2 + b x_hat^2, as the graded exercise `critic` has it in closed form."""
    x, p, x_hat = gaussian_source()
    cost = a * (x[:, None] - x_hat).square() + b * x_hat.square()
    code = blahut_arimoto(p, cost, 0.1, tolerance=1e-3)
    closed = 0.5 * math.log(2 * a**2 / ((a + b) * 0.1))
    assert code.rate.item() == pytest.approx(closed, abs=2e-4)
    assert closed == pytest.approx(rate, abs=1e-3)
