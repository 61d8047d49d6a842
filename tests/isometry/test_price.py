"""What a nat costs: read from a posterior, and asked of decoders with and without a sigmoid."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import ConstantDecoder, LinearGaussian, Tori, normal
from vae_course.distortion import bernoulli
from vae_course.isometry import effective_price, metric_scaled, price_isometricity

SPECTRUM = torch.tensor([2.0, 0.9, 0.1], dtype=torch.float64)  # the last one is given up


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.5])
def test_the_price_of_the_best_linear_vae_is_its_beta(beta):
    world = LinearGaussian(SPECTRUM, beta)
    ball = world.encode(world.images())
    found = effective_price(world.decode, *ball)
    assert_close(found.value, beta, rtol=1e-12, atol=0.0)
    assert found.n == 40 and found.error < 1e-12
    if beta < 1:  # two latents or more are narrow enough
        assert_close((found.slope, found.correlation), (1.0, 1.0), rtol=1e-12, atol=0.0)
    dear = metric_scaled(lambda x: 5 + 0 * x[:, 0])
    assert_close(effective_price(world.decode, *ball, dear).value, 5 * beta)
    single = effective_price(world.decode, *(t.float() for t in ball))
    assert_close(single.value, beta, rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lengths_that_are_all_alike_have_a_price_and_no_slope(dtype):
    world = LinearGaussian(torch.full((6,), 2.0, dtype=torch.float64), 0.3)
    found = effective_price(world.decode, *(t.to(dtype) for t in world.encode(world.images())))
    assert_close(found.value, 0.3, rtol=1e-5, atol=0.0)
    assert math.isnan(found.slope) and math.isnan(found.correlation)


def bent(n: int, beta: float) -> tuple[Tensor, Tensor]:
    """Codes (n, 4, 2, 3) of a curved world, and the sigma that is optimal to second order."""
    mu = normal(n, 4, 2, 3, seed=7)
    return mu, (1 + 2 / beta * Tori().diagonal_exact(mu)).rsqrt().view_as(mu)


@pytest.mark.parametrize("coordinates", [1, 5, 24, 1000])
def test_codes_that_are_images_show_their_price_at_any_of_their_latents(coordinates):
    mu, sigma = bent(9, 0.02)
    for given in ((mu, sigma), (mu.flatten(1), sigma.flatten(1))):
        found = effective_price(Tori().decode, *given, coordinates=coordinates, chunk=4)
        assert_close(found.value, 0.02)
        assert_close((found.slope, found.correlation), (1.0, 1.0))


def test_only_narrow_latents_are_asked_and_only_codes_that_have_them():
    mu, sigma = bent(9, 0.02)
    sigma[:, 1:] = 0.71  # of variance above a half: this would be another price
    sigma[2] = 0.9
    for coordinates in (4, 1000):
        found = effective_price(Tori().decode, mu, sigma, coordinates=coordinates)
        assert_close(found.value, 0.02)
        assert found.n == 8
    # One narrow latent a code, each at another place: it is the one that is asked.
    mu, narrow = bent(9, 0.02)
    sigma = torch.full_like(mu, 0.9).flatten(1)
    sigma[2:].diagonal().copy_(narrow.flatten(1)[2:].diagonal())
    sigma[3, 5] = narrow.flatten(1)[3, 5]  # and another code has two
    for coordinates in (1, 2):
        found = effective_price(Tori().decode, mu.flatten(1), sigma, coordinates=coordinates)
        assert_close(found.value, 0.02)
        assert found.n == 7


def test_the_latents_are_those_of_the_seed_and_of_nothing_else():
    mu, sigma = bent(9, 0.02)
    sigma = sigma * (1 + normal(9, 4, 2, 3, seed=8).abs() / 5)
    random = torch.get_rng_state()
    first, again, other = (
        effective_price(Tori().decode, mu, sigma, coordinates=3, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), random)
    assert first == again and first.value != other.value


@pytest.mark.parametrize("power, slope", [(2.0, 2.0), (0.5, 0.5)])
def test_a_variance_or_a_root_given_for_sigma_shows_in_the_slope(power, slope):
    mu, sigma = bent(9, 1e-7)  # of balls so narrow the slope is the power
    found = effective_price(Tori().decode, mu, sigma**power)
    assert_close(found.slope, slope, rtol=0.02, atol=0.0)
    assert found.correlation > 0.99
    for beta in (0.1, 1.0):  # of wide balls it is on the same side still
        mu, sigma = bent(200, beta)
        wide = effective_price(Tori().decode, mu, sigma**power).slope
        assert min(slope, 1.15) <= wide <= max(slope, 0.8)


def test_a_sigma_of_other_latents_has_no_slope():
    mu, sigma = bent(60, 0.02)
    shuffled = sigma.flatten(1)[:, torch.randperm(24, generator=torch.Generator().manual_seed(0))]
    found = effective_price(Tori().decode, mu, shuffled.view_as(sigma).roll(1, 0))
    # Of 1,440 ratios, correlated within a code: by chance within 4 / sqrt(60 codes).
    assert abs(found.correlation) < 0.52 and abs(found.slope) < 0.52


@pytest.mark.parametrize("codes", [2, 5, 30])
def test_the_interval_holds_the_price_where_sigma_is_noisy(codes):
    """Of 100 intervals of 95 % fewer than 88 hold it with a probability of .003."""
    beta, held = 0.02, 0
    for seed in range(100):
        mu, sigma = bent(codes, beta)
        mu = mu + normal(*mu.shape, seed=1000 + seed)
        sigma = (1 + 2 / beta * Tori().diagonal_exact(mu)).rsqrt().view_as(mu)
        # Each code has an error of its own, and so has each of its latents.
        noise = 0.1 * normal(codes, 1, 1, 1, seed=seed) + 0.2 * normal(*mu.shape, seed=2000 + seed)
        narrow = (1 / sigma.square() - 1) * noise.exp()
        found = effective_price(Tori().decode, mu, (1 + narrow).rsqrt(), coordinates=8)
        held += found.low <= beta <= found.high
        assert found.low <= found.value <= found.high and found.error > 0
    assert held >= 88


def test_noise_of_sigma_leaves_the_slope_alone():
    mu, sigma = bent(300, 0.02)
    narrow = (1 / sigma.square() - 1) * (0.5 * normal(300, 4, 2, 3, seed=3)).exp()
    found = effective_price(Tori().decode, mu, (1 + narrow).rsqrt())
    # The lengths' logs have a standard deviation of .5 or so: the error is .5 / (.5 sqrt(7,200)).
    assert found.correlation < 0.9
    assert_close(found.slope, 1.0, rtol=0.0, atol=0.05)


def test_a_posterior_that_has_not_arrived_shows_another_price():
    """A sigma that is k times too wide: the price is k² times as high, up to 1 - σ²."""
    world = LinearGaussian(SPECTRUM[:1], 0.05)
    mu, sigma = world.encode(world.images())
    wide = effective_price(world.decode, mu, 2 * sigma).value
    share = (1 - sigma[0, 0].square()) / (1 - 4 * sigma[0, 0].square())
    assert_close(wide, 4 * 0.05 * share.item())


def test_a_collapsed_posterior_has_no_price():
    world = ConstantDecoder()
    with pytest.raises(ValueError, match="in 0 of 5 codes: the posterior has collapsed"):
        effective_price(world.decode, *world.encode(normal(5, world.pixels)))


def test_one_code_has_no_interval_and_is_refused():
    mu, sigma = bent(1, 0.02)
    with pytest.raises(ValueError, match="sigma.* in 1 of 1 codes: .*give more codes"):
        effective_price(Tori().decode, mu, sigma)


def test_latents_that_the_decoder_ignores_have_no_price():
    mu = normal(5, 3)
    with pytest.raises(ValueError, match="decoder does not change with most of the latents"):
        effective_price(lambda z: z[:, :1], mu, torch.full_like(mu, 0.1))
    with pytest.raises(ValueError, match="metric gives negative squared lengths"):
        effective_price(lambda z: z, mu, torch.full_like(mu, 0.1), -torch.eye(3).double())
    with pytest.raises(ValueError, match="coordinates must be at least 1"):
        effective_price(lambda z: z, mu, torch.full_like(mu, 0.1), coordinates=0)


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
