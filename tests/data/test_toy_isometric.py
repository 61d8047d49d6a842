"""The toy: its factors' moments and density against scipy, its map an isometry."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.testing import assert_close

from vae_course.data import load, toy_isometric as toy


@pytest.mark.parametrize("kind", toy.KINDS)
def test_toy_covariance_has_eigenvalues_one_sixth_two_thirds_eight_thirds(kind):
    d = load("toy_isometric", kind=kind)
    eigenvalues = torch.linalg.eigvalsh(d.train.double().T.cov())
    # A sample variance has relative SD sqrt((kurtosis - 1) / n); no factor's kurtosis exceeds 4,
    # so 5 SD are 5 * sqrt(3 / 50,000) = 3.9 %. The means' errors are of second order.
    expected = torch.tensor([1 / 6, 2 / 3, 8 / 3]).double()
    assert_close(eigenvalues[-3:], expected, rtol=0.039, atol=0)
    assert eigenvalues[:-3].abs().max() < 1e-12  # float32 rounding of x, squared: rank 3


@pytest.mark.parametrize("kind", toy.KINDS)
def test_toy_map_is_an_isometry_and_gives_the_data(kind):
    d = load("toy_isometric", kind=kind, n_train=300, n_test=200, seed=4)
    a = d.meta["map"]
    assert_close(a.T @ a, torch.eye(3), atol=1e-6, rtol=0)
    for part in ("train", "test"):
        s, x = d.meta[f"{part}_factors"], getattr(d, part)
        assert_close(s @ a.T, x, atol=1e-5, rtol=0)
        assert_close(torch.pdist(s), torch.pdist(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind, factor", [(k, j) for k in toy.KINDS for j in range(3)])
def test_each_factor_has_mass_one_mean_zero_its_variance_and_follows_its_density(kind, factor):
    # A slice through the mode-free point 0 gives p_j(s) * const: the two others are constant.
    t = np.linspace(-14, 14, 280_001)
    s = torch.zeros(len(t), 3, dtype=torch.float64)
    s[:, factor] = torch.from_numpy(t)
    p = toy.log_density(s, kind).exp().numpy()
    p = p / integrate.trapezoid(p, t)
    moments = [integrate.trapezoid(p * t**power, t) for power in (1, 2)]
    # The trapezium's error at the uniform's edges is half a step (5e-5) times the density there.
    assert moments == pytest.approx([0, [1 / 6, 2 / 3, 8 / 3][factor]], abs=5e-4)
    draws = toy.draw(20_000, kind, np.random.RandomState(1))[:, factor]
    cdf = integrate.cumulative_trapezoid(p, t, initial=0)
    assert stats.kstest(draws, lambda x: np.interp(x, t, cdf)).pvalue > 1e-3


def scipy_log_density(s: np.ndarray, kind: str) -> np.ndarray:
    humps = 0.5 * stats.norm(-((5 / 12) ** 0.5), 0.5).pdf(s[:, 1]) + 0.5 * stats.norm(
        (5 / 12) ** 0.5, 0.5
    ).pdf(s[:, 1])
    if kind == "A":
        first, last = stats.triang(0.5, -1, 2).pdf(s[:, 0]), stats.uniform(-(8**0.5), 2 * 8**0.5)
        return np.log(first * humps * last.pdf(s[:, 2]))
    first = stats.norm(0, 6**-0.5).pdf(s[:, 0])
    if kind == "G":
        return stats.multivariate_normal(cov=np.diag([1 / 6, 2 / 3, 8 / 3])).logpdf(s)
    skewed = 0.7 * stats.norm(-0.8, 0.8).pdf(s[:, 2]) + 0.3 * stats.norm(1.8667, 1.5549).pdf(
        s[:, 2]
    )
    return np.log(first * humps * skewed)


# Kind B's last factor is compared with the four printed digits of the notes.
@pytest.mark.parametrize("kind, atol", [("A", 1e-12), ("B", 2e-3), ("G", 1e-12)])
def test_toy_log_density_is_scipys(kind, atol):
    d = load("toy_isometric", kind=kind, n_train=2_000, n_test=10, seed=2)
    s = d.meta["train_factors"].double()
    ours = toy.log_density(s, kind)
    assert_close(ours.numpy(), scipy_log_density(s.numpy(), kind), atol=atol, rtol=1e-9)
    # The stored density was computed before the factors were rounded to float32.
    assert_close(d.meta["train_log_density"].double(), ours, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", toy.KINDS)
def test_toy_density_has_mass_one_in_three_dimensions(kind):
    axes = [torch.linspace(-e, e, n, dtype=torch.float64) for e, n in ((3, 31), (5, 41), (14, 241))]
    grid = torch.cartesian_prod(*axes)
    cell = np.prod([(axis[1] - axis[0]).item() for axis in axes])
    mass = toy.log_density(grid, kind).exp().sum().item() * cell
    # Sums are exact to 1e-6 for Gaussians twice as wide as a step, and for a triangle cornered on
    # the grid; a uniform's edge costs up to half a cell.
    assert mass == pytest.approx(1, abs=0.5 * 0.117 / 8**0.5 if kind == "A" else 1e-6)


@pytest.mark.parametrize("kind", toy.KINDS)
def test_float32_log_density_is_good_to_1e_5(kind):
    s = torch.rand(5_000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    s = torch.cat([s, 100 * s])
    exact = toy.log_density(s.double(), kind)
    assert_close(toy.log_density(s, kind).double(), exact, rtol=1e-5, atol=1e-5)


def test_outside_its_support_the_log_density_is_minus_infinity():
    s = torch.tensor([[1.5, 0, 0], [0, 0, 2.9], [0, 0, 0]])
    assert toy.log_density(s, "A").isneginf().tolist() == [True, True, False]


def test_a_non_finite_factor_is_refused():
    with pytest.raises(ValueError, match="s must be finite"):
        toy.log_density(torch.tensor([0, float("nan"), 0]))


def test_a_map_needs_three_dimensions():
    with pytest.raises(ValueError, match="dim is 2"):
        toy.orthonormal_map(2, np.random.RandomState(0))
