"""The uniform law on the sphere against scipy's laws of its cosine and stereographic radius."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course.sphere import SphericalUniform, log_area

DIMS = [2, 3, 8, 64, 1024]


def draws(d, n=4000, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return SphericalUniform(d, dtype=dtype).sample((n,), generator)


@pytest.mark.parametrize("d", DIMS)
def test_moments_are_those_of_the_sphere(d):
    x = draws(d)[:, :8]
    n = len(x)
    z_mean = x.mean(0) * math.sqrt(n * d)
    # E[x^4] = 3 / (d (d + 2))
    spread = math.sqrt(3 / (d * (d + 2)) - 1 / d**2)
    z_square = (x.square().mean(0) - 1 / d) * math.sqrt(n) / spread
    assert z_mean.abs().max() < 4.5 and z_square.abs().max() < 4.5


@pytest.mark.parametrize("d", DIMS)
def test_any_cosine_is_a_stretched_beta(d):
    x = draws(d, seed=1)
    a = (d - 1) / 2
    for cosine in (x[:, 0], x[:, -1], x.sum(-1) / math.sqrt(d)):
        assert stats.kstest((cosine.numpy() + 1) / 2, stats.beta(a, a).cdf).pvalue > 1e-4


@pytest.mark.parametrize("d", DIMS)
def test_squared_stereographic_radius_is_an_f(d):
    t = draws(d, seed=2)[:, 0]
    law = stats.f(d - 1, d - 1)
    assert stats.kstest(((1 - t) / (1 + t)).numpy(), law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 4096])
def test_samples_are_unit_vectors_without_gradient(d, dtype):
    x = draws(d, n=2000, dtype=dtype)
    assert x.dtype == dtype and not x.requires_grad
    norm = torch.linalg.vector_norm(x, dim=-1)
    assert_close(
        norm, torch.ones_like(norm), rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-14
    )


def test_areas_are_the_known_ones():
    known = {1: 2, 2: 2 * math.pi, 3: 4 * math.pi, 4: 2 * math.pi**2, 5: 8 * math.pi**2 / 3}
    for d, area in known.items():
        assert math.exp(log_area(d)) == pytest.approx(area, rel=1e-14)


@pytest.mark.parametrize("d", DIMS)
def test_the_log_density_is_minus_the_entropy_minus_the_log_area(d):
    law = SphericalUniform(d, dtype=torch.float64)
    assert_close(law.log_prob(draws(d, 3)), torch.full((3,), -log_area(d), dtype=torch.float64))
    assert_close(law.entropy(), -law.log_prob(draws(d, 1))[0])


def test_the_density_normalises_on_the_globe():
    t, weight = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(20))
    x = torch.stack([t, (1 - t * t).sqrt(), 0 * t], -1)
    density = SphericalUniform(3, dtype=torch.float64).log_prob(x).exp()
    assert 2 * math.pi * (weight * density).sum().item() == pytest.approx(1, rel=1e-14)


def test_the_generator_decides_and_the_global_state_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(draws(3, 5, seed=7), draws(3, 5, seed=7))
    assert not torch.equal(draws(3, 5, seed=7), draws(3, 5, seed=8))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_a_torch_distribution():
    law = SphericalUniform(4).expand((2, 3))
    assert law.batch_shape == (2, 3) and law.event_shape == (4,) and law.has_rsample
    assert law.sample((5,)).shape == (5, 2, 3, 4)
    assert law.log_prob(law.sample()).shape == (2, 3)
    assert law.mean.shape == law.variance.shape == law.mode.shape == (2, 3, 4)
    assert (law.kl_to_uniform() == 0).all() and law.dim == law.noise_dim == 4
    assert law.entropy().shape == law.mean_cosine.shape == (2, 3)
    assert_close(law.variance.sum(-1), torch.ones(2, 3))
    assert law.support.check(law.sample()).all()
    assert kl_divergence(law, SphericalUniform(4)).shape == (2, 3)
    assert (kl_divergence(law, SphericalUniform(4)) == 0).all()


def test_bad_input_is_named(unchecked):
    with pytest.raises(ValueError, match="dim=1"):
        SphericalUniform(1)
    with pytest.raises(TypeError, match="dim=2.0"):
        SphericalUniform(2.0)
    with pytest.raises(ValueError, match="R.3 has no KL"):
        kl_divergence(SphericalUniform(3), SphericalUniform(4))
    with pytest.raises(ValueError, match="within the support"):
        SphericalUniform(3).log_prob(torch.ones(3))
