"""Power Spherical: closed forms against mpmath, and its Beta law."""

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from scipy import special
from torch.distributions import kl_divergence

from tests.sphere.contract import DOUBLE, FLAGSHIP, AxialLawContract, axis, generator
from vae_course.sphere import PowerSpherical, SphericalUniform


class TestPowerSpherical(AxialLawContract):
    family, name, spare = PowerSpherical, "concentration", 1
    cases = [(2, 5.0), (3, 0.3), (3, 50.0), (8, 4.0), (64, 12.0)]
    flagship = [FLAGSHIP[0], *FLAGSHIP[2:]]
    densities = [(d, kappa) for d in (2, 3, 21, 1024) for kappa in (0.0, 1.0, 300.0)]
    dims = [2, 3, 4, 8, 21, 64, 256, 1024]
    digits = {DOUBLE: (2e-9, 2e-9), torch.float32: (2e-7, 2e-7)}
    extremes = [0.0, 1e-30, 1e-3, 1.69, 1e6, 1e9]
    extreme_dims = [2, 3, 64, 1024]

    def peak(self, d, number):
        return 0.5 * math.log1p(2 * number / (d - 1))

    def cdf(self, d, number, u):
        """(1 + t) / 2 is a Beta variable."""
        return scipy.stats.beta((d - 1) / 2 + number, (d - 1) / 2).cdf(special.expit(2 * u))

    def numbers(self, d):
        # kappa around the switch (d - 1) / 4 too; the usual closed form is lost at (1024, 1).
        return [1e-6, 0.1, 1, 0.999 * (d - 1) / 4, 1.001 * (d - 1) / 4, 100, 1e4]

    def oracle(self, d, number):
        with mpmath.workdps(40):
            k, b = mpmath.mpf(number), mpmath.mpf(d - 1) / 2
            a = b + k
            norm = mpmath.loggamma(a) + mpmath.loggamma(2 * b)
            norm -= mpmath.loggamma(b) + mpmath.loggamma(a + b)
            kl = k * (mpmath.psi(0, a) - mpmath.psi(0, a + b)) - norm
            slope = k * (mpmath.psi(1, a) - mpmath.psi(1, a + b))
            return float(kl), float(k / (2 * b + k)), float(slope)

    @pytest.mark.parametrize(
        ("d", "kappa"), [(2, 0.7), (3, 5.0), (8, 0.01), (21, 10.5), (64, 90.0)]
    )
    def test_the_rate_is_the_integral_of_f_log_f(self, d, kappa):
        """The definition, literally, over the angle and with 25 digits."""
        with mpmath.workdps(25):
            k = mpmath.mpf(kappa)
            uniform = lambda s: mpmath.sin(s) ** (d - 2)  # noqa: E731
            power = lambda s: mpmath.cos(s / 2) ** (2 * k)  # noqa: E731
            peak = mpmath.acos(k / (d - 1 + k))
            cuts = [0, peak / 2, peak, (peak + mpmath.pi) / 2, mpmath.pi]
            area = mpmath.quad(uniform, cuts)
            mass = mpmath.quad(lambda s: power(s) * uniform(s), cuts)

            def f_log_f(theta):
                ratio = power(theta) * area / mass
                return ratio * mpmath.log(ratio) * uniform(theta) / area

            truth = float(mpmath.quad(f_log_f, cuts))
        rate = kl_divergence(self.law(d, kappa), SphericalUniform(d, dtype=DOUBLE))
        assert rate.item() == pytest.approx(truth, rel=2e-9, abs=0)

    @pytest.mark.parametrize(("d", "kappa"), FLAGSHIP)
    def test_moments_are_those_of_the_beta_law(self, d, kappa):
        beta, p = scipy.stats.beta((d - 1) / 2 + kappa, (d - 1) / 2), PowerSpherical(axis(d), kappa)
        assert p.mean_cosine.item() == pytest.approx(2 * beta.mean() - 1, abs=1e-12)
        mean, along, _ = self.moments(d, kappa)
        assert [mean, along] == pytest.approx([2 * beta.mean() - 1, 4 * beta.var()], rel=1e-10)

    @pytest.mark.parametrize("d", [2, 3, 64])
    def test_when_concentrated_the_angle_is_a_gaussians_of_variance_two_over_kappa(self, d):
        kappa = 1e10
        y = self.law(d, kappa, axis(d)).sample((2000,), generator(1))
        squared = (y[:, 1:] * math.sqrt(kappa / 2)).square().sum(-1)
        assert scipy.stats.kstest(np.asarray(squared), "chi2", (d - 1,)).pvalue > 1e-3
