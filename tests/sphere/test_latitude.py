"""The latitude of a given rank, out to rare events: beta laws, brute force, closed forms."""

import math
from functools import cache

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from tests.sphere.contract import DOUBLE
from vae_course.sphere.latitude import LatitudeFamily
from vae_course.sphere.power_spherical import PowerSphericalLatitude
from vae_course.sphere.transport import Transport
from vae_course.sphere.von_mises_fisher import VonMisesFisherLatitude

gauss_legendre = cache(np.polynomial.legendre.leggauss)


def latitude_of(family: type[LatitudeFamily], kappa: Tensor, z: Tensor, d: int) -> Tensor:
    log_partition, mean, *_ = family.cumulants(kappa, d)
    return Transport.call(family, kappa, z, d, log_partition, mean, False)


@pytest.mark.parametrize("d", [2, 3, 8, 64, 1024])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 100.0, 1e4])
def test_quantiles_of_the_power_law_are_those_of_the_beta_law(d, kappa):
    p = torch.tensor([1e-8, 1e-3, 0.3, 0.5, 0.7, 0.999, 1 - 1e-8], dtype=DOUBLE)
    z = torch.special.ndtri(p)
    u = latitude_of(PowerSphericalLatitude, torch.tensor(kappa, dtype=DOUBLE), z, d)
    share = torch.sigmoid(2 * u).numpy()  # (1 + tanh u) / 2
    rest = torch.sigmoid(-2 * u).numpy()
    beta = scipy.stats.beta((d - 1) / 2 + kappa, (d - 1) / 2)
    mirrored = scipy.stats.beta((d - 1) / 2, (d - 1) / 2 + kappa)
    np.testing.assert_allclose(beta.cdf(share)[:4], p[:4], rtol=1e-7)
    np.testing.assert_allclose(mirrored.cdf(rest)[3:], 1 - p[3:], rtol=1e-7)


@pytest.mark.parametrize("d", [2, 3, 4, 8, 64, 1024])
@pytest.mark.parametrize("kappa", [0.0, 1.0, 5.0, 10.0, 100.0, 1e4])
def test_quantiles_of_von_mises_fisher_invert_the_integral_of_its_density(d, kappa):
    rare = 1e-14 if d > 3 else 1e-8  # so near the pole theta itself would not tell
    p = torch.tensor([rare, 1e-3, 0.3, 0.5, 0.7, 0.999, 1 - 1e-8], dtype=DOUBLE)
    z = torch.special.ndtri(p)
    u = latitude_of(VonMisesFisherLatitude, torch.tensor(kappa, dtype=DOUBLE), z, d)
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
    k = torch.full((7,), kappa, dtype=DOUBLE, requires_grad=True)
    u = latitude_of(VonMisesFisherLatitude, k, torch.tensor(levels, dtype=DOUBLE), 3)
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
