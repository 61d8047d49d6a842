"""Distortions against independent formulas."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from vae_course.distortion import bernoulli, named, reverse_water_filling, squared_error


def batch(n=5, shape=(1, 3, 4), seed=0, dtype=torch.float64):
    return torch.rand(2, n, *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_squared_error_is_beta_times_the_gaussian_log_likelihood_with_variance_half_beta():
    x, x_hat = batch()
    beta = 0.3
    pixels = torch.distributions.Normal(x_hat, (beta / 2) ** 0.5)
    constant = x[0].numel() / 2 * torch.log(torch.tensor(torch.pi * beta, dtype=x.dtype))
    log_likelihood = pixels.log_prob(x).flatten(1).sum(1)
    assert_close(squared_error(x, x_hat), -beta * (log_likelihood + constant))


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_bernoulli_is_the_negative_log_likelihood_of_binary_images(dtype, tol):
    x, logits = batch(dtype=torch.float64)
    x, logits = x.round(), 20 * logits - 10
    oracle = torch.distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    assert_close(bernoulli(x.to(dtype), logits.to(dtype)).double(), -oracle, rtol=tol, atol=tol)


def test_bernoulli_is_smallest_where_the_decoded_pixel_is_the_image():
    x = torch.tensor([[0.1, 0.25, 0.5, 0.9]], dtype=torch.float64)
    logits = x.logit().requires_grad_()
    (gradient,) = torch.autograd.grad(bernoulli(x, logits).sum(), logits)
    assert_close(gradient, torch.zeros_like(x), rtol=0.0, atol=1e-15)


def test_bernoulli_stays_finite_at_extreme_logits():
    x = torch.tensor([[0.0, 1.0, 0.5]])
    assert_close(bernoulli(x, torch.tensor([[1e4, -1e4, 1e4]])), torch.tensor([2.5e4]))
    assert_close(bernoulli(x[:, :2], torch.tensor([[-1e4, 1e4]])), torch.tensor([0.0]))


@pytest.mark.parametrize("distortion", [squared_error, bernoulli])
def test_a_distortion_of_a_batch_is_that_of_each_image(distortion):
    x, output = batch()
    alone = torch.cat([distortion(x[i : i + 1], output[i : i + 1]) for i in range(len(x))])
    assert_close(distortion(x, output), alone)


def test_an_unknown_distortion_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="distortion='mse'.*bernoulli.*squared_error"):
        named("mse")


# ---- reverse water-filling

SPECTRUM = torch.tensor([2.0, 0.9, 0.3, 0.05, 0.0], dtype=torch.float64)


def trained_linear_vae(covariance: Tensor, beta: float, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior variances, mean KL of each latent and distortion of a linear VAE, by L-BFGS.

    Encoder mu = A x with free sigma, decoder W z. Over x with this covariance and over the noise
    the loss is a polynomial in A, W and sigma: no sampling, and no knowledge of the spectrum.
    """
    n = len(covariance)
    generator = torch.Generator().manual_seed(0)

    def start(*shape: int) -> Tensor:
        values = 0.3 * torch.randn(*shape, dtype=torch.float64, generator=generator)
        return values.requires_grad_()

    a, w, log_sigma = start(d, n), start(n, d), start(d)
    optimizer = torch.optim.LBFGS(
        [a, w, log_sigma],
        max_iter=3000,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def terms() -> tuple[Tensor, Tensor, Tensor]:
        variance = (2 * log_sigma).exp()
        rest = torch.eye(n, dtype=torch.float64) - w @ a
        distortion = (rest @ covariance @ rest.T).trace() + (w.square() * variance).sum()
        rate = 0.5 * ((a @ covariance @ a.T).diagonal() + variance - 1 - 2 * log_sigma)
        return variance, rate, distortion

    def closure() -> Tensor:
        optimizer.zero_grad()
        _, rate, distortion = terms()
        loss = distortion + beta * rate.sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return tuple(t.detach() for t in terms())


@pytest.mark.parametrize("beta", [0.05, 0.4, 1.0, 3.0])
def test_a_trained_linear_vae_fills_the_water_in_reverse(beta):
    generator = torch.Generator().manual_seed(1)
    basis, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=generator))
    variance, rate, distortion = trained_linear_vae(basis * SPECTRUM @ basis.T, beta, d=5)
    filled = reverse_water_filling(SPECTRUM, beta)
    assert_close(variance.sort().values, filled.variances.sort().values, rtol=0.0, atol=1e-6)
    assert_close(rate.sort(descending=True).values, filled.rates, rtol=0.0, atol=1e-6)
    assert_close(distortion, filled.distortion, rtol=0.0, atol=1e-6)


def test_a_linear_vae_with_d_latents_codes_the_d_largest_and_pays_for_the_rest():
    _, rate, distortion = trained_linear_vae(SPECTRUM.diag(), 0.05, d=2)
    filled = reverse_water_filling(SPECTRUM[:2], 0.05)
    assert_close(rate.sum(), filled.rates.sum(), rtol=0.0, atol=1e-6)
    assert_close(distortion, filled.distortion + SPECTRUM[2:].sum(), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("beta", [0.02, 0.2, 1.0, 2.5])
def test_the_slope_of_distortion_over_rate_is_minus_beta(beta):
    before, after = (reverse_water_filling(SPECTRUM, beta * f) for f in (1 - 1e-5, 1 + 1e-5))
    slope = (after.distortion - before.distortion) / (after.rates - before.rates).sum()
    assert_close(slope.item(), -beta, rtol=1e-6, atol=0.0)


def test_everything_collapses_at_twice_the_largest_eigenvalue_and_not_before():
    before, at = (reverse_water_filling(SPECTRUM, beta) for beta in (4 - 1e-9, 4.0))
    assert before.rates.sum() > 0 and before.variances.min() < 1
    assert (at.rates == 0).all() and (at.variances == 1).all()
    assert at.distortion == SPECTRUM.sum()


def test_each_axis_pays_its_share_whatever_the_order_and_the_batch():
    shuffled = SPECTRUM[[3, 0, 4, 2, 1]]
    both = reverse_water_filling(torch.stack([shuffled, 2 * shuffled]), 0.4)
    assert_close(both.rates[0], reverse_water_filling(SPECTRUM, 0.4).rates[[3, 0, 4, 2, 1]])
    # Twice the variances at twice the price: the same code, twice the error.
    double = reverse_water_filling(2 * shuffled, 0.8)
    assert_close(double.variances, both.variances[0])
    assert_close(double.distortion, 2 * both.distortion[0])
    assert both.distortion.shape == (2,)


def test_water_filling_holds_in_float32_over_a_wide_range():
    spectrum = torch.logspace(-8, 6, 30, dtype=torch.float64)
    exact, single = (reverse_water_filling(s, 1e-3) for s in (spectrum, spectrum.float()))
    assert_close(single.variances.double(), exact.variances, rtol=1e-6, atol=0.0)
    assert_close(single.rates.double(), exact.rates, rtol=1e-6, atol=1e-6)
    assert_close(single.distortion.double(), exact.distortion, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    "eigenvalues, beta, message",
    [
        (SPECTRUM, 0.0, "beta=0.0"),
        (SPECTRUM, -1.0, "beta=-1.0"),
        (SPECTRUM, math.inf, "beta=inf"),
        (SPECTRUM, math.nan, "beta=nan"),
        (torch.tensor([1.0, -1e-9]), 0.1, "eigenvalues lie in .*clamp_min"),
        (torch.tensor([1.0, math.nan]), 0.1, "eigenvalues lie in"),
        (torch.tensor([math.inf, 1.0]), 0.1, "eigenvalues lie in"),
        (torch.zeros(0), 0.1, "at least one"),
        (torch.tensor(1.0), 0.1, "at least one"),
    ],
)
def test_water_filling_refuses_what_is_no_spectrum_and_no_price(
    unchecked, eigenvalues, beta, message
):
    with pytest.raises(ValueError, match=message):
        reverse_water_filling(eigenvalues, beta)
