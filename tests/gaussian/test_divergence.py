"""One ball against another: against torch.distributions, quadrature and mpmath."""

import functools
import itertools
import math

import mpmath
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from tests.gaussian.balls import balls
from tests.worlds import ConstantDecoder, LinearGaussian
from vae_course.gaussian import bhattacharyya, bhattacharyya_distance, kl, kl_to_standard_normal

DTYPES = [(torch.float64, 1e-14), (torch.float32, 2e-6)]


def normal(mu: Tensor, sigma: Tensor) -> Independent:
    return Independent(Normal(mu, sigma), 1)


def test_kl_is_that_of_torch_distributions_with_broadcasting():
    mu1, s1 = balls(5, 1, 3)
    mu2, s2 = balls(1, 4, 3, seed=1)
    expected = kl_divergence(normal(mu1, s1), normal(mu2, s2))
    assert_close(kl(mu1, s1, mu2, s2), expected, rtol=1e-12, atol=0.0)
    prior = normal(torch.zeros_like(mu1), torch.ones_like(s1))
    expected = kl_divergence(normal(mu1, s1), prior)
    assert_close(kl_to_standard_normal(mu1, s1), expected, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    "world",
    [LinearGaussian(torch.tensor([2.0, 0.9, 0.1]).double(), beta=0.3), ConstantDecoder()],
    ids=["linear", "constant"],
)
def test_the_mean_rate_of_a_code_is_that_of_its_world(world):
    images = LinearGaussian(torch.tensor([2.0, 0.9, 0.1]).double(), beta=0.3).images()
    rate = kl_to_standard_normal(*world.encode(images)).mean().item()
    assert rate == pytest.approx(world.rate_exact, rel=1e-12, abs=0)


def exact_kl(mu1: float, s1: float, mu2: float = 0.0, s2: float = 1.0) -> float:
    with mpmath.workdps(60):
        rho, shift = mpmath.mpf(s1) / s2, (mpmath.mpf(mu1) - mu2) / s2
        return float((rho**2 - 1 - 2 * mpmath.log(rho) + shift**2) / 2)


# Steps away from 1 in both directions: down to the last bit, across the seam at 0.2, up to 1e18.
RATIOS = [1 + s * 10.0**-k for k in range(8) for s in (-0.9, 0.3, 1.0)] + [
    0.799, 0.801, 1.199, 1.201, 1e-3, 1e-18, 1e3, 1e18
]  # fmt: skip


@pytest.mark.parametrize("dtype, bound", DTYPES)
def test_kl_keeps_its_digits_however_small_or_large_it_is(dtype, bound):
    for ratio, mu in itertools.product(RATIOS, (0.0, 1e-4)):
        m, s = torch.tensor([mu], dtype=dtype), torch.tensor([ratio], dtype=dtype)
        expected = exact_kl(m.item(), s.item())
        assert kl_to_standard_normal(m, s).item() == pytest.approx(expected, rel=bound, abs=0)
        s2 = torch.tensor([0.3], dtype=dtype)
        s1 = s * s2
        expected = exact_kl(m.item(), s1.item(), -m.item(), s2.item())
        assert kl(m, s1, -m, s2).item() == pytest.approx(expected, rel=bound, abs=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_kl_is_never_negative_and_vanishes_only_between_equal_balls(dtype):
    _, s = balls(1000, 1, dtype=dtype)
    zero = torch.zeros_like(s)
    neighbour = torch.nextafter(s, torch.full_like(s, torch.inf))
    assert (kl(zero, s, zero, s) == 0).all()
    assert (kl(zero, neighbour, zero, s) > 0).all()
    assert (kl(zero, s, zero, neighbour) > 0).all()


def test_kl_and_overlap_do_not_depend_on_the_unit_or_origin_of_the_latents():
    mu1, s1 = balls(6, 4)
    mu2, s2 = balls(6, 4, seed=1)
    unit, origin = 2.0 ** torch.arange(-4.0, 4.0, 2.0), 3.0
    for measure in (kl, bhattacharyya_distance):
        moved = measure(mu1 * unit + origin, s1 * unit, mu2 * unit + origin, s2 * unit)
        assert_close(moved, measure(mu1, s1, mu2, s2), rtol=1e-10, atol=1e-12)


def test_overlap_is_the_integral_of_the_root_product():
    mu1, s1 = balls(6, 1)
    mu2, s2 = balls(6, 1, seed=1)
    t = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    root = (0.5 * (Normal(mu1, s1).log_prob(t) + Normal(mu2, s2).log_prob(t))).exp()
    assert_close(bhattacharyya(mu1, s1, mu2, s2), torch.trapezoid(root, t), rtol=1e-10, atol=1e-12)


def test_touching_balls_hardly_overlap_in_high_dimension():
    d, sigma = 64, torch.ones(64)
    mu2 = torch.zeros(d)
    mu2[0] = 2 * d**0.5
    overlap = bhattacharyya(torch.zeros(d), sigma, mu2, sigma)
    assert overlap.item() == pytest.approx(math.exp(-d / 2), rel=1e-4, abs=0)


@pytest.mark.parametrize("dtype, bound", DTYPES)
def test_overlap_keeps_its_digits_in_500_dimensions(dtype, bound):
    for scale in (1e-6, 1e-3, 0.4, 1.0):  # -log BC from 1e-10 to 100
        mu1, s1 = balls(500, dtype=dtype)
        mu2, s2 = mu1 + scale * s1, s1 * (1 + scale)
        with mpmath.workdps(50):
            m1, v1, m2, v2 = ([mpmath.mpf(x) for x in t.tolist()] for t in (mu1, s1, mu2, s2))
            distance = sum(
                mpmath.log((a * a + b * b) / (2 * a * b)) / 2 + (p - q) ** 2 / (a * a + b * b) / 4
                for p, a, q, b in zip(m1, v1, m2, v2, strict=True)
            )
            overlap = float(mpmath.exp(-distance))
        got = bhattacharyya_distance(mu1, s1, mu2, s2).item()
        assert got == pytest.approx(float(distance), rel=bound, abs=0)
        got = bhattacharyya(mu1, s1, mu2, s2).item()
        assert got == pytest.approx(overlap, rel=bound * (1 + float(distance)), abs=0)


def test_overlap_is_symmetric_one_for_equal_balls_and_all_pairs_by_broadcasting():
    mu, sigma = balls(7, 3, dtype=torch.float32)
    overlap = bhattacharyya(mu[:, None], sigma[:, None], mu[None], sigma[None])
    assert overlap.shape == (7, 7)
    assert torch.equal(overlap, overlap.T)
    assert (overlap.diagonal() == 1).all()
    assert overlap[2, 5] == bhattacharyya(mu[2], sigma[2], mu[5], sigma[5])


def test_kl_is_at_least_twice_the_bhattacharyya_distance():
    # Jensen: E_p log(p/q) = -2 E_p log sqrt(q/p) >= -2 log E_p sqrt(q/p).
    mu1, s1 = balls(1000, 2)
    mu2, s2 = balls(1000, 2, seed=1)
    assert (kl(mu1, s1, mu2, s2) >= 2 * bhattacharyya_distance(mu1, s1, mu2, s2)).all()


@pytest.mark.parametrize("measure", [kl, bhattacharyya, bhattacharyya_distance])
def test_gradients_are_the_derivatives(measure):
    mu1, s1 = balls(8, 2)
    mu2, s2 = mu1 + 0.1, s1 * torch.linspace(0.7, 1.3, 8, dtype=torch.float64)[:, None]
    assert torch.autograd.gradcheck(measure, [t.requires_grad_() for t in (mu1, s1, mu2, s2)])


def test_the_kl_pulls_centres_in_and_inflates_radii():
    mu, sigma = balls(100, 3)
    sigma[0] = 1.0  # at rest
    mu.requires_grad_(), sigma.requires_grad_()
    kl_to_standard_normal(mu, sigma).sum().backward()
    assert mu.grad is not None and sigma.grad is not None
    assert_close(mu.grad, mu.detach(), rtol=1e-12, atol=0.0)
    s = sigma.detach()
    assert_close(-s * sigma.grad, 1 - s * s, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_are_finite_from_points_to_far_wider_than_the_prior(dtype):
    s = torch.tensor(RATIOS, dtype=dtype)[:, None].requires_grad_()
    mu = torch.zeros_like(s).requires_grad_()
    one = torch.ones_like(s)
    for value in (
        kl_to_standard_normal(mu, s),
        kl(mu, s, one, one),
        bhattacharyya(mu, s, one, one),
        bhattacharyya_distance(mu, s, one, one),
    ):
        assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), (mu, s)))


SIZES = [1e-18, 1e-9, 1.0, 1e9, 1e18]


@pytest.mark.parametrize("s1", SIZES)
@pytest.mark.parametrize("s2", SIZES)
def test_gradients_of_the_overlap_are_right_to_the_ends_of_the_range(s1, s2):
    """With equal centres the distance is log cosh(log s1 / s2) / 2, and its slope tanh / 2 s1."""
    mu, radii = torch.zeros(1), [torch.tensor([s], requires_grad=True) for s in (s1, 1.3 * s2)]
    distance = bhattacharyya_distance(mu, radii[0], mu, radii[1])
    first, second = torch.autograd.grad(distance, radii)
    with mpmath.workdps(40):
        a, b = (mpmath.mpf(radius.item()) for radius in radii)
        slope = mpmath.tanh(mpmath.log(a / b)) / 2
        assert first.item() == pytest.approx(float(slope / a), rel=2e-6, abs=0)
        assert second.item() == pytest.approx(float(-slope / b), rel=2e-6, abs=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("measure", [kl, bhattacharyya, bhattacharyya_distance])
def test_closed_forms_go_through_transforms(measure):
    """Checks of values, which transforms hide, step aside by themselves."""
    given = (*balls(3, 4, 2), *balls(3, 4, 2, seed=1))
    whole = measure(*given)
    assert_close(torch.func.vmap(measure)(*given), whole)
    back, ahead = (
        transform(measure, argnums=(0, 1, 2, 3))(*given)
        for transform in (torch.func.jacrev, torch.func.jacfwd)
    )
    assert_close(ahead, back, rtol=1e-10, atol=1e-13)

    class Module(torch.nn.Module):
        def forward(self, *given: Tensor) -> Tensor:
            return measure(*given)

    assert_close(torch.export.export(Module(), given).module()(*given), whole)


def test_kl_runs_under_vmap():
    mu, sigma = balls(3, 4, 2)
    for check in (True, False):
        mapped = torch.func.vmap(functools.partial(kl_to_standard_normal, check=check))(mu, sigma)
        assert_close(mapped, kl_to_standard_normal(mu, sigma))


@pytest.mark.parametrize("bad, message", [
    (0.0, "positive"), (-1.0, "positive"), (math.nan, "nan"), (math.inf, "inf"),
])  # fmt: skip
def test_a_sigma_that_is_no_radius_is_refused_by_name(unchecked, bad, message):
    mu, sigma = balls(4, 2)
    wrong = sigma.clone()
    wrong[1, 1] = bad
    with pytest.raises(ValueError, match=f"sigma must.*{message}"):
        kl_to_standard_normal(mu, wrong)
    for measure in (kl, bhattacharyya, bhattacharyya_distance):
        with pytest.raises(ValueError, match=f"sigma1 must.*{message}"):
            measure(mu, wrong, mu, sigma)
        with pytest.raises(ValueError, match=f"sigma2 must.*{message}"):
            measure(mu, sigma, mu, wrong)
    with pytest.raises(ValueError, match="mu must be finite, got nan"):
        kl_to_standard_normal(mu * math.nan, sigma)


def test_shapes_that_do_not_fit_are_refused(unchecked):
    mu, sigma = balls(4, 2)
    with pytest.raises(ValueError, match=r"sigma has shape \(\)"):
        kl_to_standard_normal(mu, sigma[0, 0])
    for wrong in (sigma[:3], sigma[:, :1]):
        with pytest.raises(ValueError, match=r"\(4, 2\)"):
            kl_to_standard_normal(mu, wrong)
        with pytest.raises(ValueError, match="shapes must be"):
            bhattacharyya(mu, sigma, mu, wrong)
    with pytest.raises(TypeError, match="mu must hold floating-point numbers"):
        kl_to_standard_normal(torch.ones(2, dtype=torch.int64), torch.ones(2))
    for bad in (mu.numpy(), mu.tolist(), None, 1.0):
        with pytest.raises(TypeError, match="sigma2 must be a tensor"):
            kl(mu, sigma, mu, bad)
    for bad in (sigma.to("meta"), sigma.float()):
        with pytest.raises(ValueError, match=r"sigma2 is .* and mu1 .*: give sigma2.to\(mu1\)"):
            bhattacharyya(mu, sigma, mu, bad)
    with pytest.raises(ValueError, match="mu has shape .* empty"):
        kl_to_standard_normal(mu[:, :0], sigma[:, :0])
