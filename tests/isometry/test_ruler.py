"""Sigma as a ruler: closed forms of the linear VAE, Poincaré constants, balls of any size."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import ConstantDecoder, IsometricToy, LinearGaussian, normal, two_humps
from vae_course.distortion import bernoulli, squared_error
from vae_course.isometry import (
    active_units,
    importance,
    isometric_coordinates,
    isometricity,
    metric_scaled,
    price_isometricity,
)

BETA = 0.3
SPECTRUM = torch.tensor([2.0, 0.9, 0.31], dtype=torch.float64)


def linear(spectrum: Tensor = SPECTRUM) -> tuple[LinearGaussian, Tensor, Tensor, Tensor]:
    """The best linear VAE of some images, the images, and their codes; collapsed where it must."""
    world = LinearGaussian(spectrum, BETA)
    return world, world.images(), *world.encode(world.images())


# ---- isometricity


@pytest.mark.parametrize("spectrum", [SPECTRUM, torch.tensor([2.0, 0.9, 0.1], dtype=torch.float64)])
def test_a_linear_vae_has_isometricity_one_minus_variance_collapsed_units_too(spectrum):
    world, x, *ball = linear(spectrum)
    expected = 1 - ball[1].square()
    assert_close(isometricity(world.decode, *ball, BETA), expected, rtol=0.0, atol=1e-12)
    # No noise either: the draws cancel where D is quadratic and the columns are orthogonal.
    price = price_isometricity(world.decode, x, *ball, BETA)
    assert_close(price, expected, rtol=0.0, atol=1e-12)


def test_a_decoder_that_ignores_its_codes_has_isometricity_zero():
    world = ConstantDecoder()
    x = normal(5, world.pixels)
    for value in (
        isometricity(world.decode, *world.encode(x), BETA),
        price_isometricity(world.decode, x, *world.encode(x), BETA, draws=2),
    ):
        assert torch.equal(value, torch.zeros(5, 2).double())


def test_a_price_of_error_is_a_price_of_information_divided():
    world, _, *ball = linear()
    dear = isometricity(world.decode, *ball, BETA, metric_scaled(lambda x: 5 + 0 * x[:, 0]))
    assert_close(dear, isometricity(world.decode, *ball, BETA / 5))


def curve(z: Tensor) -> Tensor:
    return torch.stack([torch.sin(2 * z[:, 0]), z[:, 0] ** 2 / 2, torch.tanh(3 * z[:, 0])], 1)


def kinked(z: Tensor) -> Tensor:
    return torch.cat([z.relu(), (0.4 - z).relu(), 2 * (z - 1).relu()], 1)


def average_error(decoder, x: Tensor, mu: float, sigma: float) -> float:
    """E_q D by quadrature, fine enough for kinks."""
    eps = torch.linspace(-9, 9, 4_001, dtype=torch.float64)
    weight = torch.exp(-eps.square() / 2) / math.sqrt(2 * math.pi)
    error = squared_error(x.expand(len(eps), -1), decoder((mu + sigma * eps)[:, None]))
    return torch.trapezoid(weight * error, eps).item()


@pytest.mark.parametrize("decoder", [curve, kinked])
@pytest.mark.parametrize("mu", [-0.7, 0.0, 0.35, 1.1])
def test_where_sigma_is_optimal_prices_form_is_one_minus_variance_whatever_the_ball(decoder, mu):
    beta = 0.5
    x = decoder(torch.tensor([[mu + 0.1]], dtype=torch.float64))

    def objective(log_sigma: float) -> float:
        sigma = math.exp(log_sigma)
        return average_error(decoder, x, mu, sigma) + beta * (sigma**2 / 2 - log_sigma)

    best = scipy.optimize.minimize_scalar(objective, bounds=(-4, 1), method="bounded")
    n = 500  # copies of the image, so that the noise of the draws averages out
    ball = torch.full((n, 1), mu).double(), torch.full((n, 1), math.exp(best.x)).double()
    price = price_isometricity(decoder, x.expand(n, -1), *ball, beta)
    error = price.std().item() / math.sqrt(n)
    assert 0.1 < ball[1][0] < 0.9  # a large ball, and a unit in use
    assert_close(price.mean().item(), 1 - ball[1][0].item() ** 2, rtol=0.0, atol=4 * error + 1e-3)


def test_prices_form_corrects_the_jacobians_in_large_balls():
    n = 500
    ball = torch.zeros(n, 1).double(), torch.full((n, 1), 0.5).double()
    x = torch.zeros(n, 3, dtype=torch.float64)
    # D = sin² 2z + z⁴/4 + tanh² 3z at μ = 0: second derivative 26 there, less around.
    assert_close(isometricity(curve, *ball, 1.0), torch.full((n, 1), 2 * 0.25 * 13.0).double())
    assert price_isometricity(curve, x, *ball, 1.0).mean() < 0.4 * 6.5


def test_prices_form_is_the_mean_second_derivative():
    a, b = normal(4, 2, seed=3), normal(4, 2, seed=4)
    mu, sigma, beta = normal(3, 2, seed=5), normal(3, 2, seed=6).abs() / 2 + 0.2, 0.7
    x = (torch.arange(12).reshape(3, 4) % 2).double()

    def decoder(z: Tensor) -> Tensor:
        return z @ a.T + torch.sin(z @ b.T)

    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    eps = torch.cartesian_prod(*[torch.from_numpy(nodes)] * 2)
    probability = torch.from_numpy(np.outer(weights, weights).ravel()) / (2 * math.pi)
    expected = torch.zeros(3, 2).double()
    for i in range(3):

        def value(z: Tensor, image: Tensor = x[i : i + 1]) -> Tensor:
            return bernoulli(image, decoder(z[None]))[0]

        second = torch.func.vmap(torch.func.hessian(value))(mu[i] + sigma[i] * eps)
        mean = (probability[:, None] * second.diagonal(dim1=1, dim2=2)).sum(0)
        expected[i] = sigma[i].square() * mean / beta
    repeats = 400
    many = [t.repeat_interleave(repeats, 0) for t in (x, mu, sigma)]
    draws = price_isometricity(decoder, *many, beta, distortion=bernoulli, draws=16)
    draws = draws.reshape(3, repeats, 2)
    error = draws.std(1) / math.sqrt(repeats)
    assert ((draws.mean(1) - expected).abs() < 4 * error).all()
    assert (error < 0.05 * expected.abs().max()).all()


def test_the_draws_are_those_of_the_seed_and_of_nothing_else():
    world, x, mu, sigma = linear()
    arguments = lambda z: torch.sin(world.decode(z)), x, mu, sigma, BETA
    random = torch.get_rng_state()
    first = price_isometricity(*arguments, draws=4, seed=3)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(first, price_isometricity(*arguments, draws=4, seed=3))
    assert_close(first, price_isometricity(*arguments, draws=4, seed=3, chunk=7))
    assert not torch.equal(first, price_isometricity(*arguments, draws=4, seed=4))


def test_two_draws_are_enough_in_float32_where_the_distortion_is_quadratic_along_each_axis():
    # Of 20,000 pairs some have one eps a thousand times the other: the jackknife leaves it out.
    mu, sigma = torch.zeros(20_000, 2), torch.full((20_000, 2), 0.5)
    form = price_isometricity(lambda z: z, mu, mu, sigma, 0.5, draws=2)
    assert_close(form, torch.ones_like(form), rtol=0, atol=1e-3)


def test_inputs_are_left_alone_and_results_carry_no_gradient():
    world, *given = linear()
    tensors = [t.clone().requires_grad_() for t in given]
    x, mu, sigma = tensors
    results = [
        isometricity(world.decode, mu, sigma, BETA),
        price_isometricity(world.decode, x, mu, sigma, BETA, draws=2),
        isometric_coordinates(mu, sigma, BETA),
        *importance(sigma, BETA),
    ]
    with torch.no_grad():  # also where no gradients are recorded
        assert_close(price_isometricity(world.decode, x, mu, sigma, BETA, draws=2), results[1])
    assert not any(r.requires_grad for r in results)
    for now, before in zip(tensors, given, strict=True):
        assert now.grad is None and torch.equal(now, before)


# ---- isometric coordinates and importance

# Each with its Poincaré excess, where it is known in closed form or was integrated in float64.
SHAPES = {
    "gaussian": (scipy.stats.norm(scale=1.7), 1.0),
    "uniform": (scipy.stats.uniform(-1, 2), 6 / (math.pi * math.sqrt(3))),
    "triangular": (scipy.stats.triang(0.5, -1, 2), 1.0168),
    "logistic": (scipy.stats.logistic(), 1.016),
    "laplace": (scipy.stats.laplace(), 1.079),
}


def embedded(shape, n: int = 200_001) -> tuple[Tensor, Tensor, Tensor]:
    """One factor of that shape as the world's latent: z on a grid of quantiles, sigma, factor."""
    world = IsometricToy((shape,))
    factor = world.factors(n)
    return *world.code(factor, BETA), factor


@pytest.mark.parametrize("name", SHAPES)
def test_importance_over_variance_is_the_poincare_excess(name):
    shape, excess = SHAPES[name]
    _, sigma, _ = embedded(shape)
    assert_close(importance(sigma, BETA).upper.item() / shape.var(), excess, rtol=0.0, atol=1e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_variance_lies_between_the_bounds_which_meet_for_a_gaussian_only(name):
    shape, _ = SHAPES[name]
    _, sigma, _ = embedded(shape)
    upper, lower = (bound.item() / shape.var() for bound in importance(sigma, BETA))
    assert lower <= 1 + 1e-9 and 1 - 1e-4 <= upper
    assert (upper - lower < 1e-6) == (name == "gaussian")


def test_the_lower_bound_of_a_uniform_latent_is_three_over_pi():
    _, sigma, _ = embedded(SHAPES["uniform"][0])
    assert_close(importance(sigma, BETA).lower.item() * 3, 3 / math.pi, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("spread, excess", [(0.5, 1.041), (0.4, 1.200), (0.3, 2.23)])
def test_the_excess_grows_without_bound_as_a_latent_splits_in_two(spread, excess):
    shape = two_humps(spread)
    y = np.linspace(-5, 5, 400_001)  # by quadrature over y, not over z
    p = shape.pdf(y)
    phi = scipy.stats.norm.pdf(scipy.stats.norm.ppf(np.clip(shape.cdf(y), 1e-300, 1 - 1e-16)))
    middle = (np.abs(y) < 3.5) & (p > 0)
    integrand = np.where(middle, phi**2 / np.maximum(p, 1e-300), 0)
    assert_close(np.trapezoid(integrand, y) * 3 / 2, excess, rtol=0.0, atol=0.006)
    _, sigma, _ = embedded(shape)
    assert_close(importance(sigma, BETA).upper.item() * 3 / 2, excess, rtol=0.0, atol=0.006)


def test_a_linear_vae_reports_its_eigenvalues_and_a_collapsed_unit_half_of_beta():
    *_, sigma = linear(torch.tensor([2.0, 0.9, 0.1], dtype=torch.float64))
    expected = torch.tensor([2.0, 0.9, BETA / 2], dtype=torch.float64)
    for bound in importance(sigma, BETA):
        assert_close(bound, expected, rtol=1e-12, atol=0.0)


def test_a_linear_vae_scales_its_latents_to_the_reconstructions_length_and_a_little_more():
    _, _, mu, sigma = linear()
    scaled = SPECTRUM.sqrt() * mu  # Var(mu) = 1 - beta / (2 lambda), so Var(y) = lambda - beta/2
    y = isometric_coordinates(mu, sigma, BETA)
    assert_close(y, scaled - scaled.mean(0), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_the_isometric_coordinate_recovers_the_factor(name):
    shape, _ = SHAPES[name]
    z, sigma, y = embedded(shape, n=20_001)
    shuffled = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))
    recovered = isometric_coordinates(z[shuffled], sigma[shuffled], BETA)
    # Within four standard deviations; the outermost quantiles of heavy tails lie far apart.
    middle = z[shuffled].abs() < 3
    error = (recovered - y[shuffled])[middle].abs().max()
    assert error < 1e-3 * shape.std()


def test_coordinates_treat_units_and_members_apart():
    mu, sigma = normal(2, 30, 3), normal(2, 30, 3, seed=1).abs() + 0.1
    together = isometric_coordinates(mu, sigma, BETA)
    for k in range(2):
        for j in range(3):
            alone = isometric_coordinates(mu[k, :, j : j + 1], sigma[k, :, j : j + 1], BETA)
            assert_close(together[k, :, j : j + 1], alone)
    assert_close(importance(sigma, BETA).upper[1], importance(sigma[1], BETA).upper)
    assert_close(together.mean(1), torch.zeros(2, 3).double(), rtol=0.0, atol=1e-12)
    ordered = together.gather(1, mu.argsort(1))
    assert (ordered.diff(dim=1) > 0).all()


def test_units_in_use_spend_nats():
    mu = normal(500, 3) * torch.tensor([0.9, 0.02, 0.0]).double()
    sigma = torch.tensor([0.4, 0.9995, 1.0]).double().expand(500, 3)
    assert active_units(mu, sigma).tolist() == [True, False, False]
    assert active_units(mu, sigma, threshold=1e-5).tolist() == [True, True, False]


# ---- codes that are images


def test_how_many_axes_a_code_has_tells_codes_from_members():
    mu = normal(2, 30, 4, 3, 5)
    sigma = normal(2, 30, 4, 3, 5, seed=1).sigmoid()
    flat = mu.flatten(2), sigma.flatten(2)
    y = isometric_coordinates(mu, sigma, BETA, code_ndim=3)
    assert torch.equal(y, isometric_coordinates(*flat, BETA).view_as(mu))
    found = importance(sigma, BETA, code_ndim=3)
    for ours, bound in zip(found, importance(flat[1], BETA), strict=True):
        assert_close(ours, bound.unflatten(1, (4, 3, 5)))
    used = active_units(mu, sigma, 1.0, code_ndim=3)
    assert torch.equal(used, active_units(*flat, 1.0).unflatten(1, (4, 3, 5)))
    assert 0.1 < used.double().mean() < 0.9
    # The same numbers as an ensemble of 2 x 30 x 4 members of vectors: another question.
    assert importance(sigma, BETA).upper.shape == (2, 30, 4, 5)


@pytest.mark.parametrize(
    "code_ndim, error, message",
    [
        (3, ValueError, r"sigma has shape \(4, 3, 2\): with code_ndim=3 it must be .* 4 axes"),
        (0, ValueError, "code_ndim must be at least 1"),
        (1.0, TypeError, "code_ndim must be an int"),
    ],
)
def test_axes_that_are_not_there_are_refused(unchecked, code_ndim, error, message):
    sigma = torch.ones(4, 3, 2)
    with pytest.raises(error, match=message):
        importance(sigma, 0.1, code_ndim=code_ndim)
    for call in (active_units, isometric_coordinates):
        with pytest.raises(error, match=message.replace("sigma", "mu")):
            call(sigma, sigma, 0.1, code_ndim=code_ndim)


# ---- precision and errors


def test_the_ruler_holds_in_float32():
    world, x, *exact = linear()
    single = [t.float() for t in exact]
    for function in (
        lambda m, s: isometric_coordinates(m, s, BETA),
        lambda m, s: importance(s, BETA).upper,
    ):
        assert_close(function(*single).double(), function(*exact), rtol=1e-6, atol=1e-6)
    expected = isometricity(world.decode, *exact, BETA)
    found = isometricity(world.decode, *single, BETA)
    assert_close(found.double(), expected, rtol=1e-5, atol=0.0)
    price = price_isometricity(world.decode, x.float(), *single, BETA)
    assert_close(price.double(), expected, rtol=1e-4, atol=1e-5)


ONES = torch.ones(4, 2)


@pytest.mark.parametrize(
    "mu, sigma, beta, message",
    [
        (ONES, ONES, 0.0, "beta=0.0: must be positive"),
        (ONES, ONES, math.inf, "beta must be finite"),
        (ONES, 0 * ONES, 0.1, "sigma must be positive"),
        (ONES, -ONES, 0.1, "sigma must be positive"),
        (ONES, math.nan * ONES, 0.1, "sigma must be positive"),
        (math.nan * ONES, ONES, 0.1, "mu must be finite"),
        (ONES, ONES[:3], 0.1, r"sigma \(3, 2\): both must be"),
        (ONES[:0], ONES[:0], 0.1, "it is empty"),
    ],
)
def test_what_are_no_balls_and_no_price_is_refused(unchecked, mu, sigma, beta, message):
    def decoder(z: Tensor) -> Tensor:
        return z

    for call in (
        lambda: isometricity(decoder, mu, sigma, beta),
        lambda: price_isometricity(decoder, ONES, mu, sigma, beta),
        lambda: isometric_coordinates(mu, sigma, beta),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_importance_wants_many_codes(unchecked):
    with pytest.raises(ValueError, match=r"sigma has shape \(3,\): it must be \(\.\.\., N, d\)"):
        importance(torch.ones(3), 0.1)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"draws": 1}, "draws must be at least 2"),
        ({"chunk": 0}, "chunk must be at least 1"),
        ({"x": ONES[:3]}, "x holds 3 images, mu 4 codes"),
        ({"distortion": lambda x, y: (x - y) ** 2}, r"distortion gave shape \(4, 2\)"),
        ({"distortion": lambda x, y: (x - y).abs().sqrt().sum(1)}, "gradient is not finite"),
        ({"decoder": torch.no_grad()(lambda z: 2 * z)}, "no gradient .* to z: .*no_grad"),
        ({"decoder": lambda z: ONES.clone().requires_grad_()}, "no gradient .* to z"),
    ],
)
def test_price_says_what_is_wrong(unchecked, change, message):
    zeros = torch.zeros(4, 2)
    arguments = dict(decoder=lambda z: 0 * z + 1, x=ONES, mu=zeros, sigma=ONES, beta=0.1) | change
    with pytest.raises(ValueError, match=message):
        price_isometricity(**arguments)
