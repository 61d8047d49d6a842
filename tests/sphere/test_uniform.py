"""The uniform law on the sphere against scipy's laws of its cosines, and known areas."""

import math

import pytest
import torch
from scipy import special, stats
from torch.distributions import kl_divergence

from tests.sphere.contract import DOUBLE, SphericalLawContract, enough, generator
from tests.worlds import UniformCodes
from vae_course.sphere import SphericalUniform, log_area

DIMS = [2, 3, 8, 64, 1024]


def draws(d, n, dtype=DOUBLE):
    return SphericalUniform(d, dtype=dtype).sample((n,), generator(1))


class TestSphericalUniform(SphericalLawContract):
    family = SphericalUniform
    cases = [(d, 0.0) for d in DIMS]

    def law(self, d, number, loc=None, dtype=DOUBLE):
        return SphericalUniform(d, dtype=dtype)

    def peak(self, d, number):
        return 0.0

    def cdf(self, d, number, u):
        """(1 + t) / 2 is a Beta variable."""
        return stats.beta((d - 1) / 2, (d - 1) / 2).cdf(special.expit(2 * u))

    @pytest.mark.parametrize("d", DIMS)
    def test_any_cosine_is_a_stretched_beta(self, d):
        x = draws(d, enough(d))
        for t in (x[:, -1], x.sum(-1) / math.sqrt(d)):
            assert stats.kstest(self.cdf(d, 0.0, torch.atanh(t).numpy()), "uniform").pvalue > 1e-4

    @pytest.mark.parametrize("d", DIMS)
    def test_squared_stereographic_radius_is_an_f(self, d):
        t = draws(d, enough(d))[:, 0]
        law = stats.f(d - 1, d - 1)
        assert stats.kstest(((1 - t) / (1 + t)).numpy(), law.cdf).pvalue > 1e-4

    @pytest.mark.parametrize("dtype, tol", [(torch.float32, 1e-6), (DOUBLE, 1e-14)])
    def test_samples_are_unit_vectors_in_thousands_of_dimensions(self, dtype, tol):
        norms = torch.linalg.vector_norm(draws(4096, 200, dtype), dim=-1)
        assert norms.dtype == dtype and (norms - 1).abs().max() < tol

    def test_the_density_is_one_over_the_known_areas(self):
        known = {1: 2, 2: 2 * math.pi, 3: 4 * math.pi, 4: 2 * math.pi**2, 5: 8 * math.pi**2 / 3}
        for d, area in known.items():
            assert math.exp(log_area(d)) == pytest.approx(area, rel=1e-14)
        for d in (2, 3, 4, 5):
            x = draws(d, 3)
            got = SphericalUniform(d, dtype=DOUBLE).log_prob(x).exp().tolist()
            assert got == pytest.approx([1 / known[d]] * 3, rel=1e-14)
            torch.testing.assert_close(UniformCodes(d).density_exact(x).exp().tolist(), got)

    def test_from_itself_it_diverges_by_nothing(self):
        law = SphericalUniform(4).expand((2, 3))
        assert (law.kl_to_uniform() == 0).all()
        assert (kl_divergence(law, SphericalUniform(4)) == 0).all()

    def test_bad_dimensions_are_named(self, unchecked):
        with pytest.raises(ValueError, match="dim must be at least 2, got 1"):
            SphericalUniform(1)
        with pytest.raises(TypeError, match="dim must be an int, got 2.0"):
            SphericalUniform(2.0)
