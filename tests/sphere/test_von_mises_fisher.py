"""Von Mises-Fisher: Bessel functions in forty digits, scipy's density, its limits."""

import math
from functools import cache

import numpy as np
import pytest
import scipy.stats
import torch
from torch.testing import assert_close

from tests.sphere.contract import DOUBLE, FLAGSHIP, AxialLawContract, axis, generator
from tests.worlds import VonMisesFisherCodes
from vae_course.sphere import VonMisesFisher

world = cache(VonMisesFisherCodes)


class TestVonMisesFisher(AxialLawContract):
    family, name, spare = VonMisesFisher, "concentration", 1
    cases = [(2, 5.0), (3, 0.0), (3, 0.3), (3, 50.0), (4, 2.0), (8, 0.0), (8, 4.0),
             (21, 10.5)]  # fmt: skip
    flagship = FLAGSHIP[1:]
    densities = [(d, kappa) for d in (2, 3, 21, 1024) for kappa in (0.0, 1.0, 300.0)]
    dims = [2, 3, 4, 8, 21, 64, 256, 1024]
    digits = {DOUBLE: (1e-11, 1e-9), torch.float32: (1e-7, 2e-7)}
    extremes = [0.0, 1e-30, 1e-3, 1.69, 1e6, 1e12, 1e30]
    extreme_dims = [2, 3, 64, 1024]

    def peak(self, d, number):
        return 0.5 * math.asinh(2 * number / (d - 1))

    def cdf(self, d, number, u):
        """The density over the angle, its own formula, summed."""
        theta = np.linspace(0, np.pi, 200_001)[1:-1]
        log_density = number * (np.cos(theta) - 1) + (d - 2) * np.log(np.sin(theta))
        mass = np.cumsum(np.exp(log_density - log_density.max()))
        return 1 - np.interp(2 * np.arctan(np.exp(-u)), theta, mass / mass[-1])

    def numbers(self, d):
        # Both sides of the switch kappa^2 = 2d, and kappa so small that the rate is nearly 0.
        switch = math.sqrt(2 * d)
        return [1e-6, 1e-3, 0.1, 1, 0.999 * switch, 1.001 * switch, 30, 300, 1e4]

    def oracle(self, d, number):
        exact = world(d, number)
        slope = number * exact.cosine_variance_exact
        return exact.rate_exact, exact.mean_cosine_exact, slope

    @pytest.mark.parametrize("d", [2, 3, 8, 64])
    @pytest.mark.parametrize("kappa", [0.5, 12.0, 300.0])
    def test_density_and_entropy_are_scipys(self, d, kappa):
        p, exact = self.law(d, kappa, axis(d)), world(d, kappa)
        points = p.sample((20,), generator(1))
        assert_close(p.log_prob(points), exact.density_exact(points))
        assert p.entropy().item() == pytest.approx(exact.entropy_exact, abs=1e-9)

    def test_on_the_ordinary_sphere_rate_and_cosine_are_elementary(self):
        kappa = torch.tensor([0.5, 3.0, 40.0], dtype=DOUBLE)
        p = VonMisesFisher(axis(3), kappa)
        langevin = 1 / kappa.tanh() - 1 / kappa
        assert_close(p.mean_cosine, langevin, rtol=1e-12, atol=0.0)
        assert_close(p.kl_to_uniform(), kappa * langevin - (kappa.sinh() / kappa).log())
        assert VonMisesFisher(axis(3), 3.0).kl_to_uniform() == p.kl_to_uniform()[1]

    @pytest.mark.parametrize("d", [2, 3, 64])
    def test_when_concentrated_the_angle_is_that_of_a_gaussian_in_the_tangent_space(self, d):
        kappa = 1e10
        p = self.law(d, kappa, axis(d))
        assert p.mean_cosine.item() == pytest.approx(1 - (d - 1) / (2 * kappa), abs=1e-14)
        squared = (p.sample((2000,), generator(3))[:, 1:] * math.sqrt(kappa)).square().sum(-1)
        assert scipy.stats.kstest(np.asarray(squared), "chi2", (d - 1,)).pvalue > 1e-3

    @pytest.mark.parametrize(("d", "kappa"), FLAGSHIP)
    def test_moments_of_its_density_are_those_of_bessel_functions(self, d, kappa):
        mean, along, _ = self.moments(d, kappa)
        exact = world(d, kappa)
        oracle = [exact.mean_cosine_exact, exact.cosine_variance_exact]
        assert [mean, along] == pytest.approx(oracle, rel=1e-10)

    @pytest.mark.parametrize("d", [2, 3, 128])
    def test_draws_around_a_pole_are_uniform_in_the_other_directions(self, d):
        for sign in (1, -1):
            p = self.law(d, 5.0, sign * axis(d), dtype=torch.float32)
            y = p.sample((2000,), generator(6))
            assert (y.norm(dim=-1) - 1).abs().max() < 1e-6
            side = y[:, 1] / y[:, 1:].norm(dim=-1)
            # One coordinate of a uniform direction of R^(d-1): its square is a Beta variable.
            assert abs(side.mean().item()) < 5 / math.sqrt(2000 * (d - 1))
            assert abs(side.square().mean().item() * (d - 1) - 1) < 5 * math.sqrt(2 / 2000)
