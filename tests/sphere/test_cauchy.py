"""The spherical Cauchy law: its Möbius map, its F law, and divergences that are distances."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence
from torch.testing import assert_close

from tests.sphere.contract import DOUBLE, FLAGSHIP, AxialLawContract, axis, generator, normal
from tests.sphere.test_cauchy_rate import DIMS, cosine_oracle, kl_oracle
from tests.worlds import VonMisesFisherCodes
from vae_course.sphere import SphericalCauchy, SphericalUniform, cauchy_kl, matched, normalise

RADII = [1e-6, 1e-3, 0.1, 0.29, 0.31, 0.5, 0.99, 1.0, 1.01, 2.0, 5.0, 18.0, 50.0, 200.0]
PAIRS = [(0.0, 1.0), (0.5, 0.5), (0.3, 1.2), (2.0, 1.0), (3.0, 3.0)]


class TestSphericalCauchy(AxialLawContract):
    family, name = SphericalCauchy, "r"
    cases = [(2, 0.5), (2, 4.0), (3, 0.2), (3, 3.0), (5, 1.5), (8, 2.0), (21, 0.7), (33, 1.0),
             (256, 1.5)]  # fmt: skip
    # As concentrated as the others: the radii of their mean cosines, below.
    flagship = [(21, 0.46662), (64, 0.186415), (256, 0.360586), (1024, 0.278664)]
    densities = [(2, 1.0), (3, 0.0), (3, 0.999), (3, 1.001), (3, 30.0), (5, 200.0)]
    dims = DIMS
    digits = {DOUBLE: (1e-13, 1e-13), torch.float32: (6e-7, 6e-7)}
    # 1 is where formulas change; at 89 the float32 exponential overflows.
    extremes = [0.0, 2e-22, 0.05, 0.69, 0.9999, 1.0001, 1.3, 15.0, 89.0, 200.0]
    extreme_dims = [2, 3, 5, 7, 24, 25, 1024, 4096]

    def peak(self, d, number):
        return number

    def cdf(self, d, number, u):
        """The squared stereographic radius (1 - t) / (1 + t) is a scaled F variable."""
        return stats.f(d - 1, d - 1).sf(np.exp(2 * (number - u)))

    def numbers(self, d):
        return RADII

    def oracle(self, d, number):
        cosine = cosine_oracle(number, d)
        return kl_oracle(number, d), cosine, (d - 1) * cosine

    def values(self, p, y):
        mirrored, uniform = SphericalCauchy(-p.loc, p.r.flip(0)), SphericalUniform(p.dim)
        divergences = [kl_divergence(p, p), kl_divergence(p, mirrored), kl_divergence(uniform, p)]
        return [*super().values(p, y), *divergences, p.rho]

    @pytest.mark.parametrize("i", range(4))
    def test_its_flagship_cases_are_those_of_the_other_laws(self, i):
        (d, kappa), (_, r) = FLAGSHIP[i], self.flagship[i]
        alike = matched(
            "cauchy", axis(d), mean_cosine=VonMisesFisherCodes(d, kappa).mean_cosine_exact
        )
        assert alike.r.item() == pytest.approx(r, rel=1e-5)

    def test_zero_radius_moves_no_draw(self):
        x = SphericalUniform(6, dtype=DOUBLE).sample((10,), generator(0))
        assert_close(self.law(6, 0.0).sample((10,), generator(0)), x)

    def test_the_divergence_from_uniform_is_symmetric(self, d, number):
        p, uniform = self.law(d, number), SphericalUniform(d, dtype=DOUBLE)
        assert_close(kl_divergence(uniform, p), kl_divergence(p, uniform))
        assert kl_divergence(p, uniform).item() == pytest.approx(kl_oracle(number, d), rel=1e-11)

    @pytest.mark.parametrize("r1, r2", PAIRS)
    @pytest.mark.parametrize("gamma", [0.0, 0.4, 2.0, math.pi])
    def test_pairwise_kl_is_the_integral_on_the_circle_and_the_globe(self, r1, r2, gamma):
        phi = torch.arange(2000, dtype=DOUBLE) * (2 * math.pi / 2000)
        circle = torch.stack([phi.cos(), phi.sin()], -1)
        nodes, weight = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(400))
        ring = torch.arange(200, dtype=DOUBLE) * (2 * math.pi / 200)
        sine = (1 - nodes.square()).sqrt()[:, None]
        globe = torch.stack(
            [nodes[:, None].expand(-1, 200), sine * ring.cos(), sine * ring.sin()], -1
        )
        for d, points, area in (
            (2, circle, torch.full((2000,), math.pi / 1000, dtype=DOUBLE)),
            (3, globe, (weight * math.pi / 100)[:, None]),
        ):
            turned = math.cos(gamma) * axis(d) + math.sin(gamma) * axis(d, 1)
            p, q = self.law(d, r1, axis(d)), self.law(d, r2, turned)
            log_p, log_q = p.log_prob(points), q.log_prob(points)
            truth = (area * log_p.exp() * (log_p - log_q)).sum()
            assert_close(kl_divergence(p, q), truth, rtol=1e-8, atol=1e-12)
            assert_close(kl_divergence(p, q), kl_divergence(q, p), rtol=1e-12, atol=1e-300)

    @pytest.mark.parametrize("d", [2, 3, 25])
    def test_pairwise_kl_passes_gradcheck(self, d):
        raw = normal(2, 4, d, seed=1)
        r = torch.tensor([[0.0, 0.5, 2.0, 6.0], [1.0, 0.4, 2.0, 1.0]], dtype=DOUBLE) + 1e-4

        def divergence(raw, r):
            p, q = (SphericalCauchy(normalise(a), b.abs()) for a, b in zip(raw, r, strict=True))
            return kl_divergence(p, q)

        leaves = raw.requires_grad_(), r.requires_grad_()
        assert torch.autograd.gradcheck(divergence, leaves, fast_mode=True)

    @pytest.mark.parametrize("r", [0.0, 0.3, 0.9999, 1.0001, 4.0])
    def test_log_prob_passes_gradcheck(self, r):
        y = self.law(3, 1.0).sample((6,), generator(0))
        y = torch.cat([y, axis(3)[None], -axis(3)[None]])
        loc = (axis(3) + 0.0).requires_grad_()
        radius = torch.tensor(r + 1e-5, dtype=DOUBLE, requires_grad=True)

        def log_prob(loc, radius):
            return SphericalCauchy(normalise(loc), radius).log_prob(y)

        assert torch.autograd.gradcheck(log_prob, (loc, radius))

    def test_rho_and_r_are_one_parameter(self):
        rho = torch.tensor([0.0, 1e-9, 0.5, 0.99, 1 - 1e-9], dtype=DOUBLE)
        p = SphericalCauchy.from_rho(axis(3), rho)
        assert_close(p.rho, rho, rtol=1e-12, atol=0)
        textbook = ((1 - rho**2) / (1 + rho**2 - 2 * rho * 0.3)) ** 2 / (4 * math.pi)
        point = torch.tensor([0.3, math.sqrt(1 - 0.09), 0.0], dtype=DOUBLE)
        assert_close(p.log_prob(point).exp(), textbook, rtol=1e-7, atol=0)
        kl = cauchy_kl(SphericalCauchy.from_rho(axis(3), torch.tensor(0.9, dtype=DOUBLE)).r, 3)
        assert kl.item() == pytest.approx(3.9215939469902862, rel=1e-14)

    def test_rho_and_the_divergence_of_two_have_the_batchs_shape(self):
        p = SphericalCauchy(torch.stack([axis(4), -axis(4)]), torch.ones(3, 1, dtype=DOUBLE))
        wide = p.expand((5, 3, 2))
        assert wide.rho.shape == kl_divergence(wide, p).shape == (5, 3, 2)

    def test_radii_that_are_none_are_named(self, unchecked):
        for rho in (1.0, -0.1, math.nan):
            with pytest.raises(ValueError, match="rho lies in"):
                SphericalCauchy.from_rho(axis(3), torch.tensor(rho).double())
        with pytest.raises(ValueError, match="R.3 has no KL to one on the sphere of R.4"):
            kl_divergence(self.law(3, 1.0), self.law(4, 1.0))
