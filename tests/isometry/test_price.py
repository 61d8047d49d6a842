"""What a nat costs: read from a posterior, and asked of decoders with and without a sigmoid."""

import pytest
import torch
from torch.testing import assert_close

from tests.worlds import ConstantDecoder, LinearGaussian, normal
from vae_course.distortion import bernoulli
from vae_course.isometry import effective_beta, metric_scaled, price_isometricity

SPECTRUM = torch.tensor([2.0, 0.9, 0.1], dtype=torch.float64)  # the last one is given up


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.5])
def test_the_price_of_the_best_linear_vae_is_its_beta(beta):
    world = LinearGaussian(SPECTRUM, beta)
    ball = world.encode(world.images())
    assert_close(effective_beta(world.decode, *ball).item(), beta, rtol=1e-12, atol=0.0)
    dear = metric_scaled(lambda x: 5 + 0 * x[:, 0])
    assert_close(effective_beta(world.decode, *ball, dear).item(), 5 * beta)
    single = effective_beta(world.decode, *(t.float() for t in ball))
    assert_close(single.item(), beta, rtol=1e-4, atol=0.0)


def test_a_posterior_that_has_not_arrived_shows_another_price():
    """A sigma that is k times too wide: the price is k² times as high, up to 1 - σ²."""
    world = LinearGaussian(SPECTRUM[:2], 0.05)
    mu, sigma = world.encode(world.images())
    wide = effective_beta(world.decode, mu, 2 * sigma).item()
    share = (1 - sigma[0].square()).sum() / (1 - 4 * sigma[0].square()).sum()
    assert_close(wide, 4 * 0.05 * share.item())


def test_a_collapsed_posterior_has_no_price():
    world = ConstantDecoder()
    with pytest.raises(ValueError, match="the posterior has collapsed"):
        effective_beta(world.decode, *world.encode(normal(5, world.pixels)))


# ---- a decoder that ends in a sigmoid

WEIGHT = 2 * normal(12, 2, seed=3)
X = (normal(30, 12, seed=4) > 0).double()
BALL = normal(30, 2, seed=5), 0.2 + normal(30, 2, seed=6).abs() / 2


def logits(z):
    return z @ WEIGHT.to(z).T


def test_bernoulli_of_probabilities_is_refused_and_its_remedy_is_right():
    def means(z):
        return logits(z).sigmoid()

    with pytest.raises(ValueError, match=r"outputs lie in \[.*like probabilities.*p.logit"):
        price_isometricity(means, X, *BALL, 0.5, distortion=bernoulli)
    right = price_isometricity(logits, X, *BALL, 0.5, distortion=bernoulli, draws=4)
    remedy = lambda x, p: bernoulli(x, p.logit(1e-12))  # noqa: E731
    ours = price_isometricity(means, X, *BALL, 0.5, distortion=remedy, draws=4)
    assert_close(ours, right, rtol=1e-4, atol=1e-4)


def test_logits_that_happen_to_be_small_and_positive_are_logits():
    price = price_isometricity(
        lambda z: 0.5 + 1e-3 * logits(z).tanh(), X, *BALL, 0.5, distortion=bernoulli, draws=2
    )
    assert price.isfinite().all()
