"""Von Mises-Fisher: Bessel oracles, moments, Kolmogorov-Smirnov, exact pathwise gradients."""

import math
from functools import cache

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course.sphere import SphericalUniform, VonMisesFisher
from vae_course.sphere.latitude import LatitudeFamily, Transport
from vae_course.sphere.von_mises_fisher import VonMisesFisherLatitude

FLAGSHIP = [(21, 10.5), (64, 12.0), (256, 100.0), (1024, 300.0)]


def axis(d: int, dtype: torch.dtype = torch.float64, sign: float = 1.0) -> Tensor:
    return sign * torch.eye(d, dtype=dtype)[0]


def law(d: int, kappa: float, dtype: torch.dtype = torch.float64) -> VonMisesFisher:
    return VonMisesFisher(axis(d, dtype), torch.tensor(kappa, dtype=dtype))


gauss_legendre = cache(np.polynomial.legendre.leggauss)


def latitude_of(family: type[LatitudeFamily], kappa: Tensor, z: Tensor, d: int) -> Tensor:
    log_partition, mean, *_ = family.cumulants(kappa, d)
    return Transport.call(family, kappa, z, d, log_partition, mean, False)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def oracle(d: int, kappa: float) -> tuple[float, float, float]:
    """KL from the uniform law, Bessel ratio and its derivative, with 40 digits."""
    with mpmath.workdps(40):
        k, nu = mpmath.mpf(kappa), mpmath.mpf(d) / 2 - 1
        bessel = mpmath.besseli(nu, k)
        ratio = mpmath.besseli(nu + 1, k) / bessel
        log_m = mpmath.log(bessel) + mpmath.loggamma(nu + 1) - nu * mpmath.log(k / 2)
        slope = 1 - ratio**2 - (d - 1) * ratio / k
        return float(k * ratio - log_m), float(ratio), float(slope)


def sample_tail(d: int, kappa: float, size: int, seed: int) -> np.ndarray:
    return law(d, kappa).sample((size,), generator(seed))[:, 0].numpy()


# ---- values


@pytest.mark.parametrize("d", [2, 3, 4, 8, 21, 64, 256, 1024])
@pytest.mark.parametrize(
    ("dtype", "value", "slope"), [(torch.float64, 1e-11, 1e-9), (torch.float32, 1e-7, 2e-7)]
)
def test_rate_cosine_and_gradient_are_those_of_bessel_functions_with_forty_digits(
    d, dtype, value, slope
):
    # Both sides of the switch kappa^2 = 2d, and kappa so small that the rate is nearly 0.
    kappa = torch.tensor(
        [1e-6, 1e-3, 0.1, 1, 0.999 * math.sqrt(2 * d), 1.001 * math.sqrt(2 * d), 30, 300, 1e4],
        dtype=dtype,
        requires_grad=True,
    )
    p = VonMisesFisher(axis(d, dtype), kappa)
    rate = kl_divergence(p, SphericalUniform(d, dtype=dtype))
    (gradient,) = torch.autograd.grad(rate.sum(), kappa)
    for k, *got in zip(kappa.tolist(), rate, p.mean_cosine, gradient, strict=True):
        kl, ratio, derivative = oracle(d, k)
        assert got[0].item() == pytest.approx(kl, rel=value, abs=0)
        assert got[1].item() == pytest.approx(ratio, rel=value, abs=0)
        assert got[2].item() == pytest.approx(k * derivative, rel=slope, abs=0)


@pytest.mark.parametrize("d", [2, 3, 8, 64])
@pytest.mark.parametrize("kappa", [0.5, 12.0, 300.0])
def test_density_and_entropy_are_scipys(d, kappa):
    points = law(d, kappa).sample((20,), generator(1))
    reference = scipy.stats.vonmises_fisher(axis(d).numpy(), kappa)
    assert_close(law(d, kappa).log_prob(points).numpy(), reference.logpdf(points.numpy()))
    assert law(d, kappa).entropy().item() == pytest.approx(float(reference.entropy()), abs=1e-9)


@pytest.mark.parametrize("d", [2, 3, 21, 1024])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 300.0])
def test_density_has_total_mass_one(d, kappa):
    # Latitude by latitude, over the angle; Gauss-Legendre with enough nodes for any of these.
    x, weight = (torch.tensor(v) for v in gauss_legendre(300))
    theta = math.pi / 2 * (x + 1)
    points = torch.zeros(300, d, dtype=torch.float64)
    points[:, 0], points[:, 1] = theta.cos(), theta.sin()
    area = math.log(2) + (d - 1) / 2 * math.log(math.pi) - math.lgamma((d - 1) / 2)
    log_mass = law(d, kappa).log_prob(points) + area + (d - 2) * theta.sin().log()
    assert (math.pi / 2 * weight @ log_mass.exp()).item() == pytest.approx(1, rel=1e-11)


def test_on_the_ordinary_sphere_rate_and_cosine_are_elementary():
    kappa = torch.tensor([0.5, 3.0, 40.0], dtype=torch.float64)
    p = VonMisesFisher(axis(3), kappa)
    langevin = 1 / kappa.tanh() - 1 / kappa
    assert_close(p.mean_cosine, langevin, rtol=1e-12, atol=0.0)
    assert_close(p.kl_to_uniform(), kappa * langevin - (kappa.sinh() / kappa).log())


def test_without_concentration_the_law_is_uniform():
    p = law(8, 0.0)
    assert p.kl_to_uniform() == 0 and p.mean_cosine == 0 and p.mean.norm() == 0
    assert_close(p.entropy(), SphericalUniform(8, dtype=torch.float64).entropy())
    # E t^4 tells the sphere's latitude from a Gaussian's: 3 / (d (d + 2)).
    t = law(8, 0.0).sample((20_000,), generator(2))[:, 0]
    assert_close(t.pow(4).mean().item(), 3 / 80, rtol=0.05, atol=0)


@pytest.mark.parametrize("d", [2, 3, 64])
def test_when_concentrated_the_angle_is_that_of_a_gaussian_in_the_tangent_space(d):
    kappa = 1e10
    p = law(d, kappa)
    assert p.mean_cosine.item() == pytest.approx(1 - (d - 1) / (2 * kappa), abs=1e-14)
    tangent = p.sample((2000,), generator(3))[:, 1:] * math.sqrt(kappa)
    assert scipy.stats.kstest(tangent.square().sum(-1), "chi2", (d - 1,)).pvalue > 1e-3


# ---- samples


@pytest.mark.parametrize(("d", "kappa"), FLAGSHIP)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_of_the_cosine_are_exact_where_a_wrong_envelope_shows(d, kappa, dtype):
    n = 6_000 if d < 1000 else 2_000
    t = law(d, kappa, dtype).sample((n,), generator(4))[:, 0].double()
    _, ratio, variance = oracle(d, kappa)
    assert abs((t.mean().item() - ratio) / math.sqrt(variance / n)) < 5
    squared = (t - ratio).square()
    assert abs((squared.mean().item() - variance) / (squared.std().item() / math.sqrt(n))) < 5


@pytest.mark.parametrize(("d", "kappa"), [(2, 5.0), (3, 0.3), (3, 50.0), (8, 4.0), *FLAGSHIP])
def test_cosines_follow_the_integrated_density(d, kappa):
    theta = np.linspace(0, np.pi, 200_001)[1:-1]
    log_density = kappa * (np.cos(theta) - 1) + (d - 2) * np.log(np.sin(theta))
    mass = np.cumsum(np.exp(log_density - log_density.max()))
    angles = np.arccos(np.clip(sample_tail(d, kappa, 2000, seed=5), -1, 1))
    cdf = np.interp(angles, theta, mass / mass[-1])
    assert scipy.stats.kstest(cdf, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("d", [2, 3, 4, 8, 64, 1024])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 5.0, 10.0, 100.0, 1e4])
def test_quantiles_invert_the_distribution_function_out_to_rare_events(d, kappa):
    rare = 1e-14 if d > 3 else 1e-8  # so near the pole theta itself would not tell
    p = torch.tensor([rare, 1e-3, 0.3, 0.5, 0.7, 0.999, 1 - 1e-8], dtype=torch.float64)
    z = torch.special.ndtri(p)
    u = latitude_of(VonMisesFisherLatitude, torch.tensor(kappa, dtype=torch.float64), z, d)
    # Brute force in the angle, from each pole: 2 arctan(e^-u) is the angle to loc.
    x, weight = gauss_legendre(30)
    width = math.sqrt(d / (d + kappa)) / math.sqrt(d)

    def mass(low: float, high: float) -> float:
        edges = np.linspace(low, high, max(4, min(2000, int((high - low) / width))) + 1)
        half = np.diff(edges)[:, None] / 2
        theta = edges[:-1, None] + half * (x + 1)
        log_density = kappa * (np.cos(theta) - 1) + (d - 2) * np.log(np.sin(theta))
        return float((half * weight * np.exp(log_density - top)).sum())

    grid = np.linspace(1e-4, np.pi - 1e-4, 20_001)
    top = float((kappa * (np.cos(grid) - 1) + (d - 2) * np.log(np.sin(grid))).max())
    whole = mass(0, np.pi)
    for level, at in zip(p.tolist(), u.tolist(), strict=True):
        theta = 2 * math.atan(math.exp(-at))
        share = mass(theta, np.pi) / whole if level < 0.5 else mass(0, theta) / whole
        assert share == pytest.approx(min(level, 1 - level), rel=1e-7, abs=0)


@pytest.mark.parametrize("kappa", [0.0, 1e-7, 0.999e-4, 1.001e-4, 0.1, 3.0, 299.0, 301.0, 1e10])
def test_on_the_globe_latitude_and_its_slope_are_the_closed_form_in_eighty_digits(kappa):
    levels = [-9.0, -5.0, -2.0, -1e-9, 0.0, 1.0, 9.0]
    k = torch.full((7,), kappa, dtype=torch.float64, requires_grad=True)
    u = latitude_of(VonMisesFisherLatitude, k, torch.tensor(levels, dtype=torch.float64), 3)
    (slope,) = torch.autograd.grad(u.sum(), k)
    with mpmath.workdps(80):

        def exact(concentration: mpmath.mpf, z: float) -> mpmath.mpf:
            upper, lower = mpmath.ncdf(-z), mpmath.ncdf(z)
            c = max(concentration, mpmath.mpf("1e-30"))
            s = mpmath.log(lower + upper * mpmath.exp(-2 * c)) / c  # t - 1
            return -mpmath.log(-s / (2 + s)) / 2

        for z, *got in zip(levels, u.tolist(), slope.tolist(), strict=True):
            h = (mpmath.mpf(kappa) + mpmath.mpf("1e-8")) * mpmath.mpf("1e-10")
            at = mpmath.mpf(kappa) + h
            derivative = (exact(at + h, z) - exact(at - h, z)) / (2 * h)
            assert got[0] == pytest.approx(float(exact(mpmath.mpf(kappa), z)), rel=1e-11, abs=1e-11)
            assert got[1] == pytest.approx(float(derivative), rel=1e-8, abs=0)


@pytest.mark.parametrize("d", [2, 3, 128])
def test_samples_around_a_pole_are_uniform_in_the_other_directions(d):
    for sign in (1.0, -1.0):
        p = VonMisesFisher(axis(d, torch.float32, sign), 5.0)
        y = p.sample((2000,), generator(6))
        assert (y.norm(dim=-1) - 1).abs().max() < 1e-6
        side = y[:, 1] / y[:, 1:].norm(dim=-1)
        # One coordinate of a uniform direction of R^(d-1): its square is a Beta variable.
        assert abs(side.mean().item()) < 5 / math.sqrt(2000 * (d - 1))
        assert abs(side.square().mean().item() * (d - 1) - 1) < 5 * math.sqrt(2 / 2000)


def test_a_rotated_law_has_rotated_samples_densities_and_mean():
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=generator(7)))[0]
    loc = torch.nn.functional.normalize(torch.arange(1.0, 6.0, dtype=torch.float64), dim=0)
    here, there = VonMisesFisher(loc, 7.0), VonMisesFisher(rotation @ loc, 7.0)
    y = here.sample((6_000,), generator(8))
    assert_close(there.log_prob(y @ rotation.T), here.log_prob(y))
    assert_close(there.mean, rotation @ here.mean)
    error = there.sample((6_000,), generator(9)).mean(0) - rotation @ y.mean(0)
    assert error.norm() < 5 * math.sqrt(2 / 6_000)


# ---- gradients


def test_with_the_draws_held_fixed_a_sample_is_differentiable_in_both_parameters():
    def draw(loc: Tensor, kappa: Tensor) -> Tensor:
        unit = loc / loc.norm(dim=-1, keepdim=True)
        return VonMisesFisher(unit, kappa).rsample((3,), generator(10))

    for d in (2, 3, 9):
        loc = torch.randn(2, d, dtype=torch.float64, generator=generator(11)).requires_grad_()
        kappa = torch.tensor([0.7, 40.0], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(draw, (loc, kappa))


@pytest.mark.parametrize(("d", "kappa"), [(4, 2.0), *FLAGSHIP])
def test_the_pathwise_gradient_is_unbiased_the_mean_is_the_ratios_derivative(d, kappa):
    n = 5_000 if d < 1000 else 2_000
    # One concentration a sample: the gradient of the sum is then each sample's own derivative.
    k = torch.full((n,), kappa, dtype=torch.float64, requires_grad=True)
    y = VonMisesFisher(axis(d).expand(n, d), k).rsample(generator=generator(12))
    (each,) = torch.autograd.grad(y[:, 0].sum(), k)
    z = (each.mean().item() - oracle(d, kappa)[2]) / (each.std().item() / math.sqrt(n))
    assert abs(z) < 5


def test_rate_and_density_pass_gradcheck_to_the_second_order():
    kappa = torch.tensor([0.3, 2.0, 60.0], dtype=torch.float64, requires_grad=True)
    y = law(6, 3.0).sample(generator=generator(13))

    def density(k: Tensor) -> Tensor:
        return VonMisesFisher(axis(6), k).log_prob(y)

    def rate(k: Tensor) -> Tensor:
        return VonMisesFisher(axis(6), k).kl_to_uniform()

    def cosine(k: Tensor) -> Tensor:
        return VonMisesFisher(axis(6), k).mean_cosine

    for function in (density, rate, cosine):
        assert torch.autograd.gradcheck(function, kappa)
        assert torch.autograd.gradgradcheck(function, kappa)


@pytest.mark.parametrize("d", [2, 3, 64, 1024])
def test_extreme_concentrations_leave_values_gradients_and_samples_finite(d):
    kappa = torch.tensor([0.0, 1e-30, 1e-3, 1.69, 1e6, 1e12, 1e30]).requires_grad_()
    for sign in (1.0, -1.0):
        loc = axis(d, torch.float32, sign).clone().requires_grad_()
        p = VonMisesFisher(loc, kappa)
        y = p.rsample((50,), generator(14))
        assert ((y.norm(dim=-1) - 1).abs() < 1e-6).all()
        values = y.sum() + p.kl_to_uniform().sum() + p.mean.sum() + p.log_prob(loc).sum() * 1e-30
        gradients = torch.autograd.grad(values, (loc, kappa))
        assert values.isfinite() and all(g.isfinite().all() for g in gradients)


# ---- the interface


def test_batches_broadcast_expand_and_keep_their_dtype():
    loc = torch.eye(3)[:, None]
    p = VonMisesFisher(loc, torch.tensor([1.0, 10.0]))
    assert p.batch_shape == (3, 2) and p.event_shape == (3,) and p.has_rsample
    larger = p.expand((4, 3, 2))
    assert isinstance(larger, VonMisesFisher) and larger.sample((5,)).shape == (5, 4, 3, 2, 3)
    assert larger.log_prob(larger.sample()).shape == (4, 3, 2)
    assert p.entropy().dtype == p.rsample().dtype == torch.float32
    assert not p.sample().requires_grad


def test_bad_arguments_are_named(unchecked):
    with pytest.raises(ValueError, match="loc has norms"):
        VonMisesFisher(torch.ones(3), 1.0)
    with pytest.raises(ValueError, match="concentration lies in"):
        VonMisesFisher(torch.eye(3), torch.tensor([1.0, -1.0, 2.0]))
    with pytest.raises(ValueError, match="concentration has shape"):
        VonMisesFisher(torch.eye(3), torch.ones(2))
    with pytest.raises(ValueError, match="support"):
        law(3, 1.0).log_prob(torch.ones(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="ambient"):
        kl_divergence(law(3, 1.0), SphericalUniform(4))
