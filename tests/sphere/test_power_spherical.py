"""Power Spherical: closed forms against mpmath, its Beta law, exact pathwise gradients."""

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

from vae_course.sphere import PowerSpherical, SphericalUniform
from vae_course.sphere.latitude import LatitudeFamily, Transport
from vae_course.sphere.power_spherical import PowerSphericalLatitude

FLAGSHIP = [(21, 10.5), (64, 12.0), (256, 100.0), (1024, 300.0)]


def axis(d: int, dtype: torch.dtype = torch.float64, sign: float = 1.0) -> Tensor:
    return sign * torch.eye(d, dtype=dtype)[0]


def law(d: int, kappa: float, dtype: torch.dtype = torch.float64) -> PowerSpherical:
    return PowerSpherical(axis(d, dtype), torch.tensor(kappa, dtype=dtype))


gauss_legendre = cache(np.polynomial.legendre.leggauss)


def latitude_of(family: type[LatitudeFamily], kappa: Tensor, z: Tensor, d: int) -> Tensor:
    log_partition, mean, *_ = family.cumulants(kappa, d)
    return Transport.call(family, kappa, z, d, log_partition, mean, False)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def beta(d: int, kappa: float) -> "scipy.stats.rv_continuous":
    """The law of (1 + t) / 2, by scipy."""
    return scipy.stats.beta((d - 1) / 2 + kappa, (d - 1) / 2)


def rate_by_integration(d: int, kappa: float) -> float:
    """KL by its definition, the integral of f log f over the latitude, with 25 digits."""
    with mpmath.workdps(25):
        k = mpmath.mpf(kappa)

        def uniform(theta: mpmath.mpf) -> mpmath.mpf:
            return mpmath.sin(theta) ** (d - 2)

        def power(theta: mpmath.mpf) -> mpmath.mpf:
            return mpmath.cos(theta / 2) ** (2 * k)

        peak = mpmath.acos(k / (d - 1 + k))
        cuts = [0, peak / 2, peak, (peak + mpmath.pi) / 2, mpmath.pi]
        area = mpmath.quad(uniform, cuts)
        mass = mpmath.quad(lambda s: power(s) * uniform(s), cuts)

        def f_log_f(theta: mpmath.mpf) -> mpmath.mpf:
            ratio = power(theta) * area / mass
            return ratio * mpmath.log(ratio) * uniform(theta) / area

        return float(mpmath.quad(f_log_f, cuts))


# ---- values


@pytest.mark.parametrize(("d", "kappa"), [(2, 0.7), (3, 5.0), (8, 0.01), (21, 10.5), (64, 90.0)])
def test_the_rate_is_the_integral_of_f_log_f(d, kappa):
    rate = kl_divergence(law(d, kappa), SphericalUniform(d, dtype=torch.float64))
    assert rate.item() == pytest.approx(rate_by_integration(d, kappa), rel=2e-9, abs=0)


@pytest.mark.parametrize("d", [2, 3, 4, 8, 21, 64, 256, 1024])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 2e-9), (torch.float32, 2e-7)])
def test_rate_and_gradient_keep_their_digits_however_small(d, dtype, bound):
    # kappa around the switch (d - 1) / 4 too; the usual closed form is lost at (1024, 1).
    kappas = [1e-6, 0.1, 1, 0.999 * (d - 1) / 4, 1.001 * (d - 1) / 4, 100, 1e4]
    kappa = torch.tensor(kappas, dtype=dtype, requires_grad=True)
    p = PowerSpherical(axis(d, dtype), kappa)
    rate = p.kl_to_uniform()
    (gradient,) = torch.autograd.grad(rate.sum(), kappa)
    for k, *got in zip(kappa.tolist(), rate.tolist(), gradient.tolist(), strict=True):
        with mpmath.workdps(40):
            b = mpmath.mpf(d - 1) / 2
            a, k_ = b + mpmath.mpf(k), mpmath.mpf(k)
            norm = mpmath.loggamma(a) + mpmath.loggamma(2 * b)
            norm -= mpmath.loggamma(b) + mpmath.loggamma(a + b)
            kl = float(k_ * (mpmath.psi(0, a) - mpmath.psi(0, a + b)) - norm)
            slope = float(k_ * (mpmath.psi(1, a) - mpmath.psi(1, a + b)))
        assert got == pytest.approx([kl, slope], rel=bound, abs=0)


@pytest.mark.parametrize("d", [2, 3, 21, 1024])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 300.0])
def test_density_has_total_mass_one_and_its_mean_log_is_minus_the_entropy(d, kappa):
    x, weight = (torch.tensor(v) for v in gauss_legendre(300))
    theta = math.pi / 2 * (x + 1)
    points = torch.zeros(300, d, dtype=torch.float64)
    points[:, 0], points[:, 1] = theta.cos(), theta.sin()
    area = math.log(2) + (d - 1) / 2 * math.log(math.pi) - math.lgamma((d - 1) / 2)
    log_density = law(d, kappa).log_prob(points)
    mass = math.pi / 2 * weight * (log_density + area + (d - 2) * theta.sin().log()).exp()
    assert mass.sum().item() == pytest.approx(1, rel=1e-10)
    assert -(mass @ log_density).item() == pytest.approx(law(d, kappa).entropy().item(), abs=1e-8)


def test_moments_are_those_of_the_beta_law():
    for d, kappa in FLAGSHIP:
        p = law(d, kappa)
        assert p.mean_cosine.item() == pytest.approx(2 * beta(d, kappa).mean() - 1, abs=1e-12)
        assert_close(p.mean, p.mean_cosine * axis(d))


def test_without_concentration_the_law_is_uniform():
    p = law(8, 0.0)
    assert p.kl_to_uniform() == 0 and p.mean.norm() == 0
    assert_close(p.entropy(), SphericalUniform(8, dtype=torch.float64).entropy())


@pytest.mark.parametrize("d", [2, 3, 64])
def test_when_concentrated_the_angle_is_a_gaussians_of_variance_two_over_kappa(d):
    kappa = 1e10
    tangent = law(d, kappa).sample((2000,), generator(1))[:, 1:] * math.sqrt(kappa / 2)
    assert scipy.stats.kstest(tangent.square().sum(-1), "chi2", (d - 1,)).pvalue > 1e-3


# ---- samples


@pytest.mark.parametrize(("d", "kappa"), FLAGSHIP)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_of_the_cosine_are_exact(d, kappa, dtype):
    n = 6_000 if d < 1000 else 2_000
    t = law(d, kappa, dtype).sample((n,), generator(2))[:, 0].double()
    mean, variance = 2 * beta(d, kappa).mean() - 1, 4 * beta(d, kappa).var()
    assert abs((t.mean().item() - mean) / math.sqrt(variance / n)) < 5
    squared = (t - mean).square()
    assert abs((squared.mean().item() - variance) / (squared.std().item() / math.sqrt(n))) < 5


@pytest.mark.parametrize(("d", "kappa"), [(2, 5.0), (3, 0.3), (3, 50.0), (8, 4.0), *FLAGSHIP])
def test_half_of_one_plus_the_cosine_is_a_beta_variable(d, kappa):
    t = law(d, kappa).sample((2000,), generator(3))[:, 0].numpy()
    assert scipy.stats.kstest((1 + t) / 2, beta(d, kappa).cdf).pvalue > 1e-3


@pytest.mark.parametrize("d", [2, 3, 8, 64, 1024])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 100.0, 1e4])
def test_quantiles_are_those_of_the_beta_law_out_to_rare_events(d, kappa):
    p = torch.tensor([1e-8, 1e-3, 0.3, 0.5, 0.7, 0.999, 1 - 1e-8], dtype=torch.float64)
    z = torch.special.ndtri(p)
    u = latitude_of(PowerSphericalLatitude, torch.tensor(kappa, dtype=torch.float64), z, d)
    share = torch.sigmoid(2 * u).numpy()  # (1 + tanh u) / 2
    rest = torch.sigmoid(-2 * u).numpy()
    mirrored = scipy.stats.beta((d - 1) / 2, (d - 1) / 2 + kappa)
    np.testing.assert_allclose(beta(d, kappa).cdf(share)[:4], p[:4], rtol=1e-7)
    np.testing.assert_allclose(mirrored.cdf(rest)[3:], 1 - p[3:], rtol=1e-7)


def test_a_rotated_law_has_rotated_densities_and_mean_and_its_samples_turn_with_loc():
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=generator(4)))[0]
    loc = torch.nn.functional.normalize(torch.arange(1.0, 6.0, dtype=torch.float64), dim=0)
    here, there = PowerSpherical(loc, 7.0), PowerSpherical(rotation @ loc, 7.0)
    y = here.sample((6_000,), generator(5))
    assert_close(there.log_prob(y @ rotation.T), here.log_prob(y))
    assert_close(there.mean, rotation @ here.mean)
    error = there.sample((6_000,), generator(6)).mean(0) - rotation @ y.mean(0)
    assert error.norm() < 5 * math.sqrt(2 / 6_000)


# ---- gradients


def test_with_the_draws_held_fixed_a_sample_is_differentiable_in_both_parameters():
    def draw(loc: Tensor, kappa: Tensor) -> Tensor:
        unit = loc / loc.norm(dim=-1, keepdim=True)
        return PowerSpherical(unit, kappa).rsample((3,), generator(7))

    for d in (2, 3, 9):
        loc = torch.randn(2, d, dtype=torch.float64, generator=generator(8)).requires_grad_()
        kappa = torch.tensor([0.7, 40.0], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(draw, (loc, kappa))


@pytest.mark.parametrize(("d", "kappa"), [(4, 2.0), *FLAGSHIP])
def test_the_pathwise_gradient_is_unbiased_the_mean_is_the_mean_cosines_derivative(d, kappa):
    n = 5_000 if d < 1000 else 2_000
    k = torch.full((n,), kappa, dtype=torch.float64, requires_grad=True)
    y = PowerSpherical(axis(d).expand(n, d), k).rsample(generator=generator(9))
    (each,) = torch.autograd.grad(y[:, 0].sum(), k)
    derivative = (d - 1) / (d - 1 + kappa) ** 2
    assert abs((each.mean().item() - derivative) / (each.std().item() / math.sqrt(n))) < 5


def test_rate_and_density_pass_gradcheck_to_the_second_order():
    kappa = torch.tensor([0.3, 2.0, 60.0], dtype=torch.float64, requires_grad=True)
    y = law(6, 3.0).sample(generator=generator(10))

    def density(k: Tensor) -> Tensor:
        return PowerSpherical(axis(6), k).log_prob(y)

    def rate(k: Tensor) -> Tensor:
        return PowerSpherical(axis(6), k).kl_to_uniform()

    for function in (density, rate):
        assert torch.autograd.gradcheck(function, kappa)
        assert torch.autograd.gradgradcheck(function, kappa)


@pytest.mark.parametrize("d", [2, 3, 64, 1024])
def test_extreme_concentrations_leave_values_gradients_and_samples_finite(d):
    kappa = torch.tensor([0.0, 1e-30, 1e-3, 1.69, 1e6, 1e9]).requires_grad_()
    for sign in (1.0, -1.0):
        loc = axis(d, torch.float32, sign).clone().requires_grad_()
        p = PowerSpherical(loc, kappa)
        y = p.rsample((50,), generator(11))
        assert ((y.norm(dim=-1) - 1).abs() < 1e-6).all()
        density = p.log_prob(loc).sum() + p.log_prob(-loc.detach()).sum()
        values = y.sum() + p.kl_to_uniform().sum() + p.mean.sum() + density
        gradients = torch.autograd.grad(values, (loc, kappa))
        assert values.isfinite() and all(g.isfinite().all() for g in gradients)


# ---- the interface


def test_batches_broadcast_expand_and_keep_their_dtype():
    p = PowerSpherical(torch.eye(3)[:, None], torch.tensor([1.0, 10.0]))
    assert p.batch_shape == (3, 2) and p.event_shape == (3,) and p.has_rsample
    larger = p.expand((4, 3, 2))
    assert isinstance(larger, PowerSpherical) and larger.sample((5,)).shape == (5, 4, 3, 2, 3)
    assert larger.log_prob(larger.sample()).shape == (4, 3, 2)
    assert p.entropy().dtype == p.rsample().dtype == torch.float32
    assert not p.sample().requires_grad


def test_bad_arguments_are_named(unchecked):
    with pytest.raises(ValueError, match="loc has norms"):
        PowerSpherical(torch.ones(3), 1.0)
    with pytest.raises(ValueError, match="concentration lies in"):
        PowerSpherical(torch.eye(3), torch.tensor([1.0, -1.0, 2.0]))
    with pytest.raises(ValueError, match="ambient"):
        kl_divergence(law(3, 1.0), SphericalUniform(4))
