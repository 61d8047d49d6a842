"""KL between laws of one latitude family against mpmath, from equal to far apart."""

import mpmath
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.distributions import kl_divergence
from torch.testing import assert_close

from tests.sphere.contract import DOUBLE, axis, normal
from vae_course.sphere import (
    FAMILIES,
    PowerSpherical,
    SphericalUniform,
    VonMisesFisher,
    normalise,
)
from vae_course.sphere.bregman import Bregman

STARTS = [0.0, 1e-8, 0.5, 30.0, 1e4]
RATIOS = [1 + 1e-7, 1.001, 1.1, 1.5, 1.8, 0.3]  # across the switch between the two formulas
ENDS = [1e-12, 1e-6, 0.7, 40.0, 1e5]


def of_von_mises_fisher(kappa: float, d: int) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Log of the mean of e^(kappa (t - 1)) over the sphere, and its derivative."""
    nu, k = mpmath.mpf(d) / 2 - 1, mpmath.mpf(kappa)
    if k == 0:
        return k, mpmath.mpf(-1)
    bessel = mpmath.besseli(nu, k)
    value = mpmath.loggamma(nu + 1) + nu * mpmath.log(2 / k) + mpmath.log(bessel) - k
    return value, mpmath.besseli(nu + 1, k) / bessel - 1


def of_power_spherical(kappa: float, d: int) -> tuple[mpmath.mpf, mpmath.mpf]:
    """The same of e^(kappa log((1 + t) / 2))."""
    b = mpmath.mpf(d - 1) / 2
    a = b + mpmath.mpf(kappa)
    value = (
        mpmath.loggamma(a) + mpmath.loggamma(2 * b) - mpmath.loggamma(b) - mpmath.loggamma(a + b)
    )
    return value, mpmath.psi(0, a) - mpmath.psi(0, a + b)


ORACLES = {VonMisesFisher: (of_von_mises_fisher, 2e-10), PowerSpherical: (of_power_spherical, 1e-9)}


@pytest.mark.parametrize("d", [2, 3, 8, 64, 1024])
@pytest.mark.parametrize("family", ORACLES)
def test_the_divergence_keeps_its_digits_from_equal_to_far_apart(family, d):
    oracle, digits = ORACLES[family]
    pairs = [(a, b) for a in STARTS for b in [*(a * r for r in RATIOS), *ENDS] if a != b]
    first, second = torch.tensor(pairs, dtype=DOUBLE).unbind(1)
    found = Bregman.call(family._family, first, second, d)
    with mpmath.workdps(50):
        for (a, b), value in zip(pairs, found.tolist(), strict=True):
            (at, slope), (to, _) = oracle(a, d), oracle(b, d)
            truth = to - at - (mpmath.mpf(b) - mpmath.mpf(a)) * slope
            assert value == pytest.approx(float(truth), rel=digits, abs=0), (a, b)


@pytest.mark.parametrize("kappas", [(2.0, 2.3), (0.0, 5.0), (40.0, 1.0), (1e-6, 1e-6)])
@pytest.mark.parametrize("d", [2, 3, 8])
def test_kl_between_two_von_mises_fishers_is_the_mean_of_the_log_ratio(d, kappas):
    """The log ratio is linear in the sample: its mean is its value at the centre of mass of p, on
    the axis of loc1, and so between its values at the two poles.
    """
    loc1, loc2 = normalise(normal(2, d, seed=d))
    p, q = (VonMisesFisher(loc, k) for loc, k in zip((loc1, loc2), kappas, strict=True))
    along = [p.log_prob(y) - q.log_prob(y) for y in (loc1, -loc1)]
    share = (p.mean @ loc1 + 1) / 2
    exact = share * along[0] + (1 - share) * along[1]
    assert_close(kl_divergence(p, q), exact, rtol=1e-7, atol=1e-13)


@pytest.mark.parametrize("d", [2, 3, 30])
@pytest.mark.parametrize("family", FAMILIES)
def test_kl_from_the_uniform_law_is_the_integral(family, d):
    law, uniform = FAMILIES[family](axis(d), 2.5), SphericalUniform(d, dtype=DOUBLE)
    u = torch.linspace(-40, 40, 8001, dtype=DOUBLE)
    points = torch.zeros(8001, d, dtype=DOUBLE)
    points[:, 0], points[:, 1] = u.tanh(), 1 / u.cosh()
    weight = u.cosh().pow(1 - d)
    mean = (weight * law.log_prob(points)).sum() / weight.sum()
    found = kl_divergence(uniform, law)
    assert_close(found, uniform.log_prob(axis(d)) - mean, rtol=1e-9, atol=1e-12)
    assert kl_divergence(uniform.expand((4,)), law).shape == (4,)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_divergences_pass_gradcheck_to_the_second_order(family):
    first = torch.tensor([0.5, 3.0, 3.0, 40.0], dtype=DOUBLE, requires_grad=True)
    second = torch.tensor([0.9, 3.1, 30.0, 1.0], dtype=DOUBLE, requires_grad=True)
    for d in (3, 8):
        f = lambda a, b, d=d: Bregman.call(family._family, a, b, d)  # noqa: E731
        assert gradcheck(f, (first, second), check_forward_ad=True)
        assert gradgradcheck(f, (first, second))


def test_two_von_mises_fishers_diverge_by_nothing_only_if_equal_and_turn_together():
    loc1, loc2 = normalise(normal(2, 6, 5, seed=0))
    p, q = VonMisesFisher(loc1, 3.0), VonMisesFisher(loc2, normal(6, seed=1).abs())
    assert (kl_divergence(p, p) == 0).all() and (kl_divergence(p, q) > 0).all()
    turn = torch.linalg.qr(normal(5, 5, seed=2))[0]
    turned = [VonMisesFisher(law.loc @ turn.T, law.concentration) for law in (p, q)]
    assert_close(kl_divergence(*turned), kl_divergence(p, q))
    near = VonMisesFisher(normalise(loc1 + 1e-9 * loc2), 3.0)
    angle2 = (normalise(loc1 + 1e-9 * loc2) - loc1).square().sum(-1)
    exact = 3.0 * p.mean_cosine * angle2 / 2  # of the order of 1e-18: nothing cancels
    assert_close(kl_divergence(p, near), exact, rtol=1e-9, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_divergences_from_the_uniform_law_are_finite_from_flat_to_concentrated(family):
    for dtype in (torch.float32, DOUBLE):
        number = torch.tensor([0.0, 1e-20, 1e-3, 1.0, 30.0, 1e4], dtype=dtype)
        if family == "cauchy":
            number = number.clamp_max(80)
        number.requires_grad_()
        for d in (2, 3, 64, 1024):
            q = FAMILIES[family](axis(d, dtype=dtype), number)
            value = kl_divergence(SphericalUniform(d, dtype=dtype), q)
            (slope,) = torch.autograd.grad(value.sum(), number)
            assert value.isfinite().all() and slope.isfinite().all()
            assert value[0] == 0 and (value.diff() >= 0).all() and value.dtype == dtype


def test_other_spheres_are_named():
    for p in (VonMisesFisher(axis(3), 1.0), SphericalUniform(3)):
        with pytest.raises(ValueError, match="R.3 has no KL to one on the sphere of R.4"):
            kl_divergence(p, VonMisesFisher(axis(4), 1.0))
    with pytest.raises(ValueError, match="R.3 has no KL"):
        kl_divergence(SphericalUniform(3), PowerSpherical(axis(4), 1.0))


def test_two_power_sphericals_have_no_closed_form():
    with pytest.raises(NotImplementedError):
        kl_divergence(PowerSpherical(axis(3), 1.0), PowerSpherical(axis(3, 1), 1.0))
