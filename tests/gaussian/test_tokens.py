"""Is a token Gaussian: closed forms of known covariances, the null of perfect tokens, coverage."""

import math
from functools import partial

import pytest
import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close

from tests.worlds import normal, orthonormal
from vae_course.gaussian import TokenGap, information, token_gap

C = 4


def white(images: int, places: int, seed: int = 0, shared: float = 0.0) -> Tensor:
    """Tokens (images, C, places) of the prior; ``shared`` of their variance by a whole image."""
    alone, common = normal(images, C, places, seed=seed), normal(images, C, 1, seed=seed + 10_000)
    return math.sqrt(1 - shared) * alone + math.sqrt(shared) * common


def divergence(mean: Tensor, covariance: Tensor) -> float:
    """From the prior, nats a dimension, by PyTorch's distributions."""
    eye = torch.eye(len(mean), dtype=mean.dtype)
    laws = MultivariateNormal(mean, covariance), MultivariateNormal(0 * mean, eye)
    return kl_divergence(*laws).item() / len(mean)


MEAN = torch.tensor([0.3, -0.2, 0.0, 0.5], dtype=torch.float64)
ROOT = orthonormal(C, C, seed=3) * torch.tensor([0.6, 0.9, 1.1, 1.4], dtype=torch.float64)


def known(x: Tensor) -> Tensor:
    """White tokens given a mean and a covariance."""
    return torch.einsum("cd,id...->ic...", ROOT, x) + MEAN[:, None]


def test_of_given_moments_it_is_the_divergence():
    """Whitened over all places of all images, so that nothing is left to chance."""
    x = white(10, 12)
    tokens = x.transpose(1, 2).flatten(0, 1)
    q = torch.linalg.qr(tokens - tokens.mean(0))[0] * math.sqrt(120)
    x = q.unflatten(0, (10, 12)).transpose(1, 2)
    exact = divergence(MEAN, ROOT @ ROOT.T)
    found = token_gap(known(x), torch.full_like(x, 1e-9))
    assert_close(found.value, exact, rtol=1e-10, atol=0.0)
    assert found.n == 10
    # Noise is part of the token: what mu lacks, sigma fills up.
    sigma = torch.tensor([0.1, 0.5, 0.7, 0.9], dtype=torch.float64)[:, None].expand_as(x)
    prior = token_gap((1 - sigma.square()).sqrt() * x, sigma)
    assert abs(prior.value) < 1e-12
    mixed = token_gap(known(x), sigma)
    assert_close(mixed.value, divergence(MEAN, ROOT @ ROOT.T + sigma[0, :, 0].square().diag()))


def test_the_moments_are_those_of_draws_without_their_noise():
    mu, sigma = known(white(50, 9)), 0.2 + normal(50, C, 9, seed=2).sigmoid()
    draws = mu + sigma * normal(200, *mu.shape, seed=3)  # 90,000 tokens
    drawn = token_gap(draws.flatten(0, 1), torch.full_like(draws.flatten(0, 1), 1e-9))
    found = token_gap(mu, sigma)
    assert abs(drawn.value - found.value) < 5e-3  # about 4 / sqrt(90,000 tokens) x the scale
    assert_close(found, token_gap(mu.unflatten(2, (3, 3)), sigma.unflatten(2, (3, 3))))


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_the_null_is_what_perfect_tokens_show(shared):
    """Also where the places of an image depend on each other, which a count of tokens can't see."""
    found = [token_gap(x, torch.full_like(x, 1e-9)) for x in map(partial_white(shared), range(200))]
    values = torch.tensor([f.value for f in found])
    nulls = torch.tensor([f.null for f in found])
    error = values.std() / math.sqrt(200)
    # Of second order in the moments' errors: a tenth is left to those of higher order.
    assert (values.mean() - nulls.mean()).abs() < 4 * error + 0.1 * nulls.mean()
    by_count = C * (C + 3) / (4 * 50 * 16 * C)
    assert_close(nulls.mean().item() / by_count, 1.0 if shared == 0 else 3.3, rtol=0.1, atol=0.0)
    errors = torch.tensor([f.error for f in found])
    assert ((values - nulls).abs() <= 4 * errors).all()


def partial_white(shared: float) -> partial[Tensor]:
    return partial(lambda shared, seed: white(50, 16, seed, shared), shared)


@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("images", [5, 30])
def test_the_interval_holds_the_divergence(images, shared):
    """Of 100 intervals of 95 % fewer than 88 hold it with a probability of .003."""
    exact, t = divergence(MEAN, ROOT @ ROOT.T), stdtrit(images - 1, 0.975)

    def held(seed: int) -> bool:
        x = known(white(images, 16, seed, shared))
        found = token_gap(x, torch.full_like(x, 1e-9))
        return abs(found.value - found.null - exact) <= t * found.error

    assert sum(map(held, range(100))) >= 88


def test_null_and_error_are_those_of_the_jackknife_over_images():
    """Of many places, so that leaving one image out is a small step, and sigma of each image."""
    x = known(white(6, 400))
    sigma = (0.2 + 0.05 * normal(6, C, 1, seed=5).abs()) * (1 + 0.1 * white(6, 400, seed=6).tanh())
    found = token_gap(x, sigma)
    others = [[j for j in range(6) if j != i] for i in range(6)]
    without = torch.tensor([token_gap(x[rows], sigma[rows]).value for rows in others])
    assert_close(found.null, 5 * (without.mean().item() - found.value), rtol=0.03, atol=0.0)
    assert_close(found.error, math.sqrt(25 / 6) * without.std().item(), rtol=0.03, atol=0.0)


def test_independent_noise_is_told_from_dependent_channels():
    x = white(60, 16)
    copied = x[:, [0, 0, 2, 3]]  # two channels say the same
    noise = torch.full_like(x, 0.3)
    good, bad = (token_gap(math.sqrt(0.91) * z, noise) for z in (x, copied))
    assert good.value - good.null < 4 * good.error
    # Of two channels of correlation .91 the information is -1/2 log(1 - .91^2) nats.
    assert_close(bad.value - bad.null, -math.log(1 - 0.91**2) / 2 / C, rtol=0.1, atol=0.0)


def test_it_tells_codes_apart_that_saturate_information():
    x = white(40, 64).unflatten(2, (8, 8))
    sigma = torch.full_like(x, 0.2)
    good, wide = (token_gap(scale * x, sigma).value for scale in (0.96**0.5, 3.0))
    full = [information(s * x, sigma, code_ndim=3).mutual.item() for s in (0.96**0.5, 3.0)]
    assert_close(full, [math.log(40)] * 2)
    assert good < 0.01 < 1 < wide


def test_moments_of_many_channels_are_taken_part_by_part(monkeypatch):
    import vae_course.gaussian.tokens as tokens

    x = known(white(7, 5))
    whole = token_gap(x, torch.ones_like(x))
    monkeypatch.setattr(tokens, "HELD", 2 * C * C)
    assert_close(token_gap(x, torch.ones_like(x)), whole)


def test_vectors_are_tokens_of_one_place_and_float32_is_enough():
    x, sigma = known(white(40, 1)), torch.full((40, C, 1), 0.2, dtype=torch.float64)
    found = token_gap(x, sigma)
    assert isinstance(found, TokenGap)
    assert_close(token_gap(x[:, :, 0], sigma[:, :, 0]), found)
    assert_close(token_gap(x.float(), sigma.float()), found, rtol=1e-5, atol=1e-7)


X = torch.ones(3, 2, 4)


@pytest.mark.parametrize(
    "mu, sigma, message",
    [
        (X[:1], X[:1], r"mu has shape \(1, 2, 4\): it must be \(batch, C, \*places\), two images"),
        (X[:, 0, 0], X[:, 0, 0], r"mu has shape \(3,\)"),
        (X, X[:, :1], r"sigma \(3, 1, 4\): both must be"),
        (X, 0 * X, "sigma must be positive"),
        (math.nan * X, X, "mu must be finite"),
        (X.double(), X, "sigma is torch.float32 and mu torch.float64"),
    ],
)
def test_what_are_no_codes_is_refused(unchecked, mu, sigma, message):
    with pytest.raises(ValueError, match=message):
        token_gap(mu, sigma)
