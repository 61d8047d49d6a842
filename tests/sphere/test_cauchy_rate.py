"""What a spherical Cauchy code costs: closed forms, limits, bounds, and the integral itself.

The oracles integrate over u with t = tanh u, where the uniform law of the cosine t is
sech(u)^(d-1): the trapezoid rule converges geometrically there.
"""

import math

import mpmath
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.sphere.contract import DOUBLE, reach
from vae_course.sphere import cauchy_kl, cauchy_mean_cosine

DIMS = [2, 3, 4, 5, 6, 7, 9, 16, 23, 24, 25, 26, 64, 255, 1024, 4096]


def logcosh(u):
    u = np.abs(u)
    return u + np.log1p(np.exp(-2 * u)) - math.log(2)


def under_uniform(f, d):
    """E f(u) for the uniform law in R^d, the cosine to a fixed direction being tanh u."""
    u = np.linspace(-reach(d), reach(d), 1001)
    weight = np.exp(-(d - 1) * logcosh(u))
    return float(weight @ f(u) / weight.sum())


def kl_oracle(r, d):
    """(d - 1) E log(cosh r + t sinh r), averaged over t and -t so that small r loses no digits."""
    return 0.5 * (d - 1) * under_uniform(lambda u: np.log1p((math.sinh(r) / np.cosh(u)) ** 2), d)


def cosine_oracle(r, d):
    """E tanh(u + r): the Möbius map adds r to u. Averaged over u and -u."""
    return under_uniform(lambda u: math.sinh(2 * r) / (np.cosh(2 * u) + math.cosh(2 * r)), d)


def squared_cosine_oracle(r, d):
    return under_uniform(lambda u: np.tanh(u + r) ** 2, d)


@pytest.mark.parametrize("d, r", [(2, 0.01), (3, 2.944), (6, 1.0), (25, 4.0), (64, 1.1)])
def test_kl_is_the_integral_of_f_log_f(d, r):
    """The definition, literally, in 40 digits."""
    with mpmath.workdps(40):
        constant = mpmath.gamma(mpmath.mpf(d) / 2) / mpmath.gamma(mpmath.mpf(d - 1) / 2)

        def f_log_f(theta):
            base = mpmath.cosh(r) - mpmath.cos(theta) * mpmath.sinh(r)
            return mpmath.sin(theta) ** (d - 2) * base ** (1 - d) * (1 - d) * mpmath.log(base)

        cuts = [0, *(mpmath.atan(mpmath.exp(k - r)) * 2 for k in (-2, -1, 0, 1, 2)), mpmath.pi]
        truth = constant / mpmath.sqrt(mpmath.pi) * mpmath.quad(f_log_f, cuts)
    assert cauchy_kl(torch.tensor(r, dtype=torch.float64), d).item() == pytest.approx(
        float(truth), rel=1e-13, abs=0
    )
    assert kl_oracle(r, d) == pytest.approx(float(truth), rel=1e-12, abs=0)


@pytest.mark.parametrize("d", [2, 3, 4, 5, 7, 24, 25, 1024])
def test_kl_and_mean_cosine_pass_gradcheck_twice(d):
    r = torch.tensor([0.0, 0.4, 0.999, 1.001, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: cauchy_kl(a + 1e-3, d), r)
    assert torch.autograd.gradgradcheck(lambda a: cauchy_kl(a + 1e-3, d), r)
    assert torch.autograd.gradcheck(lambda a: cauchy_mean_cosine(a + 1e-3, d), r)
    slope = torch.autograd.grad(cauchy_mean_cosine(r, d)[0], r)[0][0].item()
    assert slope == pytest.approx((d - 1) / d, rel=1e-13, abs=0)  # at r = 0


def test_kl_has_the_known_closed_forms():
    r = torch.linspace(0.1, 20, 50, dtype=torch.float64)
    log_cosh = torch.log(torch.cosh(r / 2))
    coth, sinh = 1 / torch.tanh(r), torch.sinh(r)
    assert_close(cauchy_kl(r, 2), 2 * log_cosh)
    assert_close(cauchy_kl(r, 3), 2 * (r * coth - 1))
    assert_close(cauchy_kl(r, 4), 3 * (2 * log_cosh + 0.5 * torch.tanh(r / 2) ** 2))
    assert_close(cauchy_kl(r, 5), 2 * r * coth * (3 - coth**2) + 2 / sinh**2 - 10 / 3)


@pytest.mark.parametrize("d", DIMS)
def test_the_slope_of_the_mean_cosine_is_the_mean_squared_sine(d):
    r = torch.tensor([0.2, 0.5, 1.0, 1.5, 4.0], dtype=DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(cauchy_mean_cosine(r, d).sum(), r)
    for radius, got in zip(r.tolist(), slope.tolist(), strict=True):
        assert got == pytest.approx(1 - squared_cosine_oracle(radius, d), rel=1e-9)


@pytest.mark.parametrize("d", DIMS)
def test_limits_of_rate_and_mean_cosine(d):
    zero, small, large = torch.tensor([0.0, 1e-7, 300.0], dtype=torch.float64)
    assert cauchy_kl(zero, d) == 0 and cauchy_mean_cosine(zero, d) == 0
    curvature = (d - 1) ** 2 / d
    assert cauchy_kl(small, d).item() == pytest.approx(0.5 * curvature * 1e-14, rel=1e-9, abs=0)
    assert cauchy_mean_cosine(large, d) == 1
    digamma = torch.special.digamma
    offset = digamma(torch.tensor((d - 1) / 2).double()) - digamma(torch.tensor(d - 1.0).double())
    assert_close(cauchy_kl(large, d), (d - 1) * (large + offset))


@pytest.mark.parametrize("d", [3, 6, 64, 1024])
def test_the_rate_lies_between_its_one_line_bounds(d):
    r = torch.linspace(0.05, 12, 60, dtype=torch.float64)
    width = torch.special.digamma(torch.tensor([d - 1, (d - 1) / 2]).double())
    width = width[0] - width[1] - math.log(2)
    upper = (d - 1) * (torch.log(torch.cosh(r)) - torch.tanh(r) ** 2 / (2 * d))
    lower = (d - 1) * (torch.log(torch.cosh(r)) - width * torch.tanh(r) ** 2)
    assert (lower < cauchy_kl(r, d) + 1e-12 * upper).all()
    assert (cauchy_kl(r, d) < upper * (1 + 1e-12)).all()


def test_what_is_no_radius_and_no_dimension_is_named(unchecked):
    one = torch.ones(2)
    for function in (cauchy_kl, cauchy_mean_cosine):
        for bad in (-one, one * math.nan, one * math.inf):
            with pytest.raises(ValueError, match="r lies in"):
                function(bad, 3)
        for bad in (None, [1.0], one.long(), one.numpy()):
            with pytest.raises(TypeError, match="r must"):
                function(bad, 3)
        with pytest.raises(ValueError, match="dim must be at least 2, got 1"):
            function(one, 1)
        with pytest.raises(TypeError, match="dim must be an int, got 3.0"):
            function(one, 3.0)
        assert function(1.0, 3) == function(one, 3)[0]


def test_rates_map_over_models_and_survive_inference_mode():
    with torch.inference_mode():
        cauchy_kl(torch.ones(2, dtype=torch.float64), 40)  # fills the cache of coefficients
    r = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.func.vmap(torch.func.grad(lambda a: cauchy_kl(a, 40).sum()))(r)
    assert_close(slope, 39 * cauchy_mean_cosine(r, 40))
