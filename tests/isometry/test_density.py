"""Densities: closed forms of the linear VAE, known shapes, metrics, collapsed units."""

import functools
import math

import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import TOYS, IsometricToy, LinearGaussian, normal
from vae_course.data import toy_isometric as toy
from vae_course.isometry import (
    log_density,
    metric_scaled,
    metric_ssim,
    pullback_metric,
    tangent_log_det,
)

BETA = 0.02
SPECTRUM = torch.tensor([2.0, 0.9, 0.31], dtype=torch.float64)


def linear(beta: float = BETA) -> tuple[LinearGaussian, Tensor, Tensor, Tensor]:
    """The best linear VAE of some images, the images, and their codes."""
    world = LinearGaussian(SPECTRUM, beta)
    return world, world.images(), *world.encode(world.images())


@pytest.mark.parametrize("beta", [0.02, 0.5])
def test_the_objective_of_a_linear_vae_is_the_gaussian_density_of_its_data_blurred(beta):
    # pPCA is exact: -L / beta is the log likelihood under N(0, lambda) along each axis, decoder
    # noise included.
    world, x, mu, sigma = linear(beta)
    ours = log_density(mu, sigma, beta, method="objective", loss=world.loss_exact(x))
    assert_close(ours, world.density_exact(x), rtol=0.0, atol=1e-10)


def test_the_volume_of_a_linear_vae_is_right_but_for_the_shrinkage_of_mu():
    world, x, mu, sigma = linear()
    factors = (x - world.mean) @ world.basis
    shrinkage = (factors.square() / SPECTRUM * (BETA / 4 / SPECTRUM)).sum(1)
    exact = world.density_exact(x)
    assert_close(log_density(mu, sigma, BETA), exact + shrinkage, rtol=0.0, atol=1e-10)


def test_volume_and_objective_are_identical_where_the_ruler_is_exact():
    # Any mu and sigma on the manifold, with isometricity 1 - sigma²: D(x, x̂(mu)) = 0.
    mu, sigma = normal(100, 5, seed=1), normal(100, 5, seed=2).sigmoid()
    distortion = (BETA / 2 * (1 - sigma.square())).sum(1)
    kl = 0.5 * (mu.square() + sigma.square() - 1 - 2 * sigma.log()).sum(1)
    objective = log_density(mu, sigma, BETA, method="objective", loss=distortion + BETA * kl)
    assert_close(log_density(mu, sigma, BETA), objective, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("name", ["norm", "uniform", "logistic", "laplace", "A", "B", "G"])
def test_the_volume_is_the_density_of_any_shape_through_its_ruler(name):
    world = IsometricToy(TOYS.get(name) or (getattr(scipy.stats, name)(),))
    factors = world.factors(41)
    exact = world.density_exact(factors)
    assert_close(log_density(*world.code(factors, BETA), BETA), exact, rtol=0, atol=1e-9)
    if name in TOYS:
        assert_close(toy.log_density(factors, name), exact, rtol=1e-9, atol=1e-9)


def test_the_density_has_mass_one_along_a_curve():
    # x = (cos, sin, 1) of angle y = g(z): mass is the integral of p over arc length.
    z = torch.linspace(-8, 8, 16_001, dtype=torch.float64)[:, None]
    speed = 1 + 0.8 * torch.tanh(z)
    p = log_density(z, math.sqrt(BETA / 2) / speed, BETA).exp()
    steps = ((speed[1:] + speed[:-1]) / 2 * z.diff(dim=0))[:, 0]
    arc_length = torch.nn.functional.pad(steps.cumsum(0), (1, 0))
    assert_close(torch.trapezoid(p, arc_length).item(), 1.0, rtol=0.0, atol=1e-6)


def test_collapsed_units_do_not_count_and_are_dear_when_counted():
    _, _, mu, sigma = linear()
    dead = torch.zeros(len(mu), 2, dtype=torch.float64)
    wide = torch.cat([mu, dead], 1), torch.cat([sigma, 1 + dead], 1)
    used = torch.tensor([True, True, True, False, False])
    alone = log_density(mu, sigma, BETA)
    assert_close(log_density(*wide, BETA, active=used), alone)
    shift = -math.log(math.pi * BETA) / 2
    assert_close(log_density(*wide, BETA), alone + 2 * shift)
    loss = torch.ones(len(mu), dtype=torch.float64)
    kept = log_density(*wide, BETA, method="objective", loss=loss, active=used)
    assert_close(log_density(mu, sigma, BETA, method="objective", loss=loss), kept)


def test_a_mask_of_images_chooses_their_units():
    mu, sigma = normal(6, 2, 3, seed=1), normal(6, 2, 3, seed=2).sigmoid()
    used = torch.tensor([[True, False, True], [False, True, True]])
    flat = log_density(mu.flatten(1)[:, used.flatten()], sigma.flatten(1)[:, used.flatten()], BETA)
    assert_close(log_density(mu, sigma, BETA, active=used), flat)

    def spatial(z: Tensor) -> Tensor:
        return torch.sin(z.flatten(1) @ normal(6, 81, seed=7))

    metric = metric_scaled(lambda x: 1 + x.square().sum(1))
    log_det = tangent_log_det(spatial, mu, metric, active=used)
    assert_close(log_det, 4 * (1 + spatial(mu).square().sum(1)).log())


def test_a_mask_of_another_shape_than_codes_is_refused(unchecked):
    codes = torch.ones(4, 2, 3)
    with pytest.raises(ValueError, match=r"active has shape \(6,\) .*must be \(2, 3\)"):
        log_density(codes, codes, BETA, active=torch.ones(6, dtype=torch.bool))


@pytest.mark.parametrize("method", ["volume", "objective"])
def test_a_metric_counts_once_for_each_tangent_direction(method):
    # Distortion a ||.||² at the price beta is squared error at the price beta / a.
    _, _, mu, sigma = linear()
    a, n = 7.0, 3
    loss = normal(len(mu), seed=5).square() if method == "objective" else None
    log_det = torch.full((len(mu),), n * math.log(a), dtype=torch.float64)
    dear = log_density(mu, sigma, BETA, method=method, loss=loss, metric_log_det=log_det)
    cheap_loss = None if loss is None else loss / a
    cheap = log_density(mu, sigma, BETA / a, method=method, loss=cheap_loss)
    assert_close(dear, cheap)


WEIGHTS = normal(4, 81, seed=7)


def image(z: Tensor) -> Tensor:
    return torch.sin(z @ WEIGHTS).reshape(-1, 1, 9, 9) / 4 + 0.5


@pytest.mark.parametrize("active", [None, torch.tensor([True, False, True, True])])
def test_the_tangent_determinant_of_a_weight_is_its_power_n_not_m(active):
    z = normal(6, 4, seed=8)
    n = 4 if active is None else 3

    def weight(x: Tensor) -> Tensor:
        return x.square().sum((1, 2, 3))

    log_det = tangent_log_det(image, z, metric_scaled(weight), active=active)
    assert_close(log_det, n * weight(image(z)).log())


def test_the_tangent_determinant_is_that_of_an_orthonormal_basis():
    z = normal(6, 4, seed=8)
    metric = functools.partial(metric_ssim, window=3)
    j = torch.stack(
        [torch.autograd.functional.jacobian(lambda u: image(u[None])[0], row) for row in z]
    )
    basis, _ = torch.linalg.qr(j.flatten(1, 3))  # (6, 81, 4)
    columns = basis.movedim(-1, 0).reshape(4, 6, 1, 9, 9)
    weighted = metric(image(z), columns).flatten(2).movedim(0, -1)
    oracle = torch.linalg.det(basis.mT @ weighted).log()
    assert_close(tangent_log_det(image, z, metric), oracle, rtol=1e-8, atol=1e-8)


def test_densities_hold_in_float32():
    world, x, mu, sigma = linear()
    loss = world.loss_exact(x)
    for method, extra in (("volume", None), ("objective", loss)):
        exact = log_density(mu, sigma, BETA, method=method, loss=extra)
        single = None if extra is None else extra.float()
        ours = log_density(mu.float(), sigma.float(), BETA, method=method, loss=single)
        assert ours.dtype == torch.float32
        assert ((ours.double() - exact).abs() <= 1e-5 * (3 + exact.abs())).all()


def test_inputs_are_left_alone():
    mu, sigma = normal(4, 3).requires_grad_(), normal(4, 3).exp().requires_grad_()
    before = mu.clone(), sigma.clone()
    active = torch.tensor([True, True, False])
    log_density(mu, sigma, BETA, active=active)
    pullback_metric(lambda z: z, mu)
    assert torch.equal(mu, before[0]) and torch.equal(sigma, before[1])
    assert mu.grad is None and active.tolist() == [True, True, False]


ONES = torch.ones(4, 2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"beta": 0.0}, "beta=0.0"),
        ({"sigma": 0 * ONES}, "sigma must be positive"),
        ({"mu": ONES[:3]}, "both must be"),
        ({"method": "elbo"}, "method='elbo': choose 'volume' or 'objective'"),
        ({"method": "objective"}, "method='objective' needs loss"),
        ({"loss": ONES[:, 0]}, "loss is for method='objective'"),
        ({"method": "objective", "loss": ONES}, r"loss must be 4 finite .* shape \(4, 2\)"),
        ({"method": "objective", "loss": math.nan * ONES[:, 0]}, "loss must be finite"),
        ({"metric_log_det": ONES[:3, 0]}, "metric_log_det must be 4 finite"),
        ({"active": torch.tensor([False, False])}, "active names no unit .* the VAE has collapsed"),
        ({"active": torch.tensor([True])}, r"active has shape \(1,\).* must be \(2,\)"),
    ],
)
def test_what_has_no_density_is_refused(unchecked, change, message):
    arguments = dict(mu=ONES, sigma=ONES, beta=0.1) | change
    with pytest.raises(ValueError, match=message):
        log_density(**arguments)


def test_a_mask_is_bool(unchecked):
    with pytest.raises(TypeError, match="active must be a bool tensor .*torch.int64"):
        log_density(ONES, ONES, 0.1, active=torch.tensor([1, 0]))


def test_collapsed_directions_have_no_volume():
    def flat(z: Tensor) -> Tensor:
        return z[:, :1] * torch.ones(3)

    weight = metric_scaled(lambda x: 1 + x[:, 0].square())
    with pytest.raises(ValueError, match="span no volume at 4 codes.*collapsed units"):
        tangent_log_det(flat, ONES, weight)
    log_det = tangent_log_det(flat, ONES, weight, active=torch.tensor([True, False]))
    assert_close(log_det, torch.full((4,), math.log(2)))
