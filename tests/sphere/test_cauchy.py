"""The spherical Cauchy law: every property, for every law of the table, against an oracle.

The oracles integrate over u with t = tanh u, where the uniform law of the cosine t is
sech(u)^(d-1): the trapezoid rule converges geometrically there.
"""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence
from torch.testing import assert_close

from vae_course.sphere import (
    SphericalCauchy,
    SphericalUniform,
    VonMisesFisher,
    cauchy_kl,
    cauchy_mean_cosine,
    matched,
    moebius,
    normalise,
)

LAWS = [(2, 0.5), (2, 4.0), (3, 0.2), (3, 3.0), (5, 1.5), (8, 2.0), (33, 1.0), (256, 1.5)]
DIMS = [2, 3, 4, 5, 6, 7, 9, 16, 23, 24, 25, 26, 64, 255, 1024, 4096]
RADII = [1e-6, 1e-3, 0.1, 0.29, 0.31, 0.5, 0.99, 1.0, 1.01, 2.0, 5.0, 18.0, 50.0, 200.0]
# Of d and a von Mises-Fisher kappa: where a sampler with a wrong envelope goes wrong.
FLAGSHIP = [(21, 10.5), (64, 12.0), (256, 100.0), (1024, 300.0)]


def axis(d, i=0, dtype=torch.float64):
    return torch.eye(d, dtype=dtype)[i]


def law(d, r, *, loc=None, dtype=torch.float64):
    if loc is None:
        loc = torch.randn(d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)
        loc = loc / loc.norm()
    return SphericalCauchy(loc.to(dtype), torch.tensor(r, dtype=dtype))


def draws(p, n=4000, seed=0):
    return p.rsample((n,), torch.Generator().manual_seed(seed))


def logcosh(u):
    u = np.abs(u)
    return u + np.log1p(np.exp(-2 * u)) - math.log(2)


def under_uniform(f, d):
    """E f(u) for the uniform law in R^d, the cosine to a fixed direction being tanh u."""
    reach = 40 / (d - 1) + 9 / math.sqrt(d - 1)
    u = np.linspace(-reach, reach, 4001)
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


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-13), (torch.float32, 6e-7)])
@pytest.mark.parametrize("d", DIMS)
def test_kl_and_its_gradient_hold_to_the_last_digits(d, dtype, tol):
    r = torch.tensor(RADII, dtype=dtype, requires_grad=True)
    kl = cauchy_kl(r, d)
    (grad,) = torch.autograd.grad(kl.sum(), r)
    for i, radius in enumerate(r.tolist()):  # the radius as the dtype has it
        assert kl[i].item() == pytest.approx(kl_oracle(radius, d), rel=tol, abs=0)
        slope = (d - 1) * cosine_oracle(radius, d)
        assert grad[i].item() == pytest.approx(slope, rel=tol, abs=0)


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


@pytest.mark.parametrize("d, r", LAWS)
def test_moments_of_the_samples(d, r):
    p = law(d, r)
    y = draws(p).detach()
    t = y @ p.loc
    m, second = cosine_oracle(r, d), squared_cosine_oracle(r, d)
    assert p.mean_cosine.item() == pytest.approx(m, rel=1e-11)
    assert_close(p.mean, m * p.loc)
    z_mean = (t.mean() - m) / (t.std() / math.sqrt(len(t)))
    square = t.square()
    z_second = (square.mean() - second) / (square.std() / math.sqrt(len(t)))
    sideways = y @ normalise(axis(d) - p.loc[0] * p.loc)
    z_side = sideways.mean() / math.sqrt((1 - second) / (d - 1) / len(t))
    z_spread = (sideways.square().mean() - (1 - second) / (d - 1)) / (
        sideways.square().std() / math.sqrt(len(t))
    )
    assert max(abs(z.item()) for z in (z_mean, z_second, z_side, z_spread)) < 4.5


@pytest.mark.parametrize("d, kappa", FLAGSHIP)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_of_the_cosine_are_exact_where_other_samplers_fail(d, kappa, dtype):
    n = 6_000 if d < 1000 else 2_000
    alike = VonMisesFisher(axis(d), torch.tensor(kappa).double()).mean_cosine
    p = matched("cauchy", axis(d, 0, dtype), mean_cosine=alike)
    t = draws(p, n, seed=6)[:, 0].double()
    m, second = (oracle(p.r.item(), d) for oracle in (cosine_oracle, squared_cosine_oracle))
    assert m == pytest.approx(alike.item(), rel=1e-6)
    variance, squared = second - m**2, (t - m).square()
    assert abs((t.mean().item() - m) / math.sqrt(variance / n)) < 5
    assert abs((squared.mean().item() - variance) / (squared.std().item() / math.sqrt(n))) < 5


@pytest.mark.parametrize("d, r", LAWS)
def test_squared_stereographic_radius_of_the_samples_is_a_scaled_f(d, r):
    p = law(d, r)
    t = draws(p, seed=1) @ p.loc
    radius2 = (1 - t) / (1 + t)
    assert stats.kstest(math.exp(2 * r) * radius2.numpy(), stats.f(d - 1, d - 1).cdf).pvalue > 1e-4


@pytest.mark.parametrize("d, r", LAWS[:-1])
def test_cosines_of_the_samples_follow_the_density(d, r):
    """The cumulated ``log_prob`` on a grid of angles, not the sampler's own formula."""
    p = law(d, r, loc=axis(d))
    theta = torch.linspace(0, math.pi, 10_001, dtype=torch.float64)[1:-1]
    ring = torch.zeros(len(theta), d, dtype=torch.float64)
    ring[:, 0], ring[:, 1] = theta.cos(), theta.sin()
    mass = (p.log_prob(ring) + (d - 2) * theta.sin().log()).exp().cumsum(0)
    angle = torch.acos((draws(p, seed=2) @ p.loc).clamp(-1, 1)).numpy()
    cdf = lambda x: np.interp(x, theta.numpy(), (mass / mass[-1]).numpy())  # noqa: E731
    assert stats.kstest(angle, cdf).pvalue > 1e-4


@pytest.mark.parametrize("d, r", [*LAWS, (3, 0.0), (3, 0.999), (3, 1.001), (3, 30.0), (5, 200.0)])
def test_the_density_normalises(d, r):
    reach = 40 / (d - 1) + 9 / math.sqrt(d - 1)
    u = torch.linspace(-reach, reach, 5_001, dtype=torch.float64) + r  # around the mass
    log_sine = -torch.as_tensor(logcosh(u.numpy()))
    points = torch.zeros(len(u), d, dtype=torch.float64)
    points[:, 0], points[:, 1] = u.tanh(), log_sine.exp()
    log_prob = law(d, r, loc=axis(d)).log_prob(points)
    log_ring = math.log(2) + 0.5 * (d - 1) * math.log(math.pi) - math.lgamma((d - 1) / 2)
    total = (log_prob + (d - 1) * log_sine + log_ring).exp().sum() * (u[1] - u[0])
    assert total.item() == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("d, r", LAWS)
def test_entropy_and_kl_are_means_of_log_prob(d, r):
    p, uniform = law(d, r), SphericalUniform(d, dtype=torch.float64)
    y = draws(p, seed=3)
    surprise = -p.log_prob(y)
    error = surprise.std().item() / math.sqrt(len(y))
    assert abs((surprise.mean() - p.entropy()).item()) < 4.5 * error
    kl = kl_divergence(p, uniform)
    assert_close(kl, uniform.entropy() - p.entropy())
    assert kl.item() == pytest.approx(kl_oracle(r, d), rel=1e-11)
    assert_close(kl_divergence(uniform, p), kl)  # symmetric


@pytest.mark.parametrize("d, r", LAWS)
def test_pathwise_gradients_are_those_of_the_mean(d, r):
    loc = law(d, r).loc.requires_grad_()
    radius = torch.full((4000,), r, dtype=torch.float64, requires_grad=True)
    locs = loc.detach().expand(4000, d).clone().requires_grad_()
    probe = normalise(axis(d) + loc.detach())
    x = SphericalUniform(d, dtype=torch.float64).sample((4000,), torch.Generator().manual_seed(4))
    cosine = moebius(x, normalise(locs), radius) @ probe
    by_r, by_loc = torch.autograd.grad(cosine.sum(), [radius, locs])
    along = (probe @ loc).item()
    slope = 1 - squared_cosine_oracle(r, d)  # dm/dr is the mean squared sine
    z = (by_r.mean() - along * slope) / (by_r.std() / math.sqrt(4000))
    assert abs(z.item()) < 4.5
    leaf = torch.tensor(r, dtype=torch.float64, requires_grad=True)
    (library,) = torch.autograd.grad(cauchy_mean_cosine(leaf, d), leaf)
    assert library.item() == pytest.approx(slope, rel=1e-9)
    # Turning loc turns the mean: the derivative along a tangent v is m times the probe along v.
    v = probe - along * loc.detach()
    turned = by_loc @ v
    z = (turned.mean() - cosine_oracle(r, d) * (probe @ v)) / (turned.std() / math.sqrt(4000))
    assert abs(z.item()) < 4.5


@pytest.mark.parametrize("d, r", LAWS)
def test_rotations_turn_the_law(d, r):
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    p = law(d, r)
    q = SphericalCauchy(p.loc @ turn.T, p.r)
    y = draws(p, 50, seed=5)
    assert_close(q.log_prob(y @ turn.T), p.log_prob(y), rtol=1e-9, atol=1e-9)


PAIRS = [(0.0, 1.0), (0.5, 0.5), (0.3, 1.2), (2.0, 1.0), (3.0, 3.0)]


@pytest.mark.parametrize("r1, r2", PAIRS)
@pytest.mark.parametrize("gamma", [0.0, 0.4, 2.0, math.pi])
def test_pairwise_kl_is_the_integral_on_the_circle_and_the_globe(r1, r2, gamma):
    phi = torch.arange(2000, dtype=torch.float64) * (2 * math.pi / 2000)
    circle = torch.stack([phi.cos(), phi.sin()], -1)
    nodes, weight = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(400))
    ring = torch.arange(200, dtype=torch.float64) * (2 * math.pi / 200)
    sine = (1 - nodes.square()).sqrt()[:, None]
    globe = torch.stack(
        [nodes[:, None].expand(-1, 200), sine * ring.cos(), sine * ring.sin()], -1
    )  # fmt: skip
    for d, points, area in (
        (2, circle, torch.full((2000,), math.pi / 1000, dtype=torch.float64)),
        (3, globe, (weight * math.pi / 100)[:, None]),
    ):
        turned = math.cos(gamma) * axis(d) + math.sin(gamma) * axis(d, 1)
        p, q = law(d, r1, loc=axis(d)), law(d, r2, loc=turned)
        log_p, log_q = p.log_prob(points), q.log_prob(points)
        truth = (area * log_p.exp() * (log_p - log_q)).sum()
        assert_close(kl_divergence(p, q), truth, rtol=1e-8, atol=1e-12)
        assert_close(kl_divergence(p, q), kl_divergence(q, p), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("d", [2, 3, 25])
def test_pairwise_kl_passes_gradcheck(d):
    raw = torch.randn(2, 4, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    r = torch.tensor([[0.0, 0.5, 2.0, 6.0], [1.0, 0.4, 2.0, 1.0]], dtype=torch.float64)

    def divergence(raw, r):
        p, q = (SphericalCauchy(normalise(a), b.abs()) for a, b in zip(raw, r, strict=True))
        return kl_divergence(p, q)

    assert torch.autograd.gradcheck(divergence, (raw.requires_grad_(), (r + 1e-4).requires_grad_()))


@pytest.mark.parametrize("r", [0.0, 0.3, 0.9999, 1.0001, 4.0])
def test_log_prob_passes_gradcheck(r):
    y = draws(law(3, 1.0), 6)
    y = torch.cat([y, axis(3)[None], -axis(3)[None]])
    loc = (axis(3) + 0.0).requires_grad_()
    radius = torch.tensor(r + 1e-5, dtype=torch.float64, requires_grad=True)

    def log_prob(loc, radius):
        return SphericalCauchy(normalise(loc), radius).log_prob(y)

    assert torch.autograd.gradcheck(log_prob, (loc, radius))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 3, 5, 7, 24, 25, 1024, 4096])
def test_nothing_is_nan_or_infinite_anywhere(d, dtype):
    logits = torch.tensor([-1e4, -50.0, -3.0, 0.0, 0.54, 1.0, 15.0, 89.0, 200.0], dtype=dtype)
    for loc in (axis(d), -axis(d), axis(d, d - 1), law(d, 1.0).loc):
        leaves = [logits.clone().requires_grad_(), loc.to(dtype).clone().requires_grad_()]
        p = SphericalCauchy(leaves[1], torch.nn.functional.softplus(leaves[0]))
        y = draws(p, 20)
        assert_close(y.norm(dim=-1), torch.ones(20, 9, dtype=dtype), rtol=0, atol=1e-6)
        uniform = SphericalUniform(d, dtype=dtype)
        mirrored = SphericalCauchy(-p.loc, p.r.flip(0))
        values = [p.log_prob(y), p.log_prob(p.loc), p.log_prob(-p.loc), p.entropy(), p.mean, p.rho]
        values += [kl_divergence(p, q) for q in (uniform, p, mirrored)]
        values += [kl_divergence(uniform, p), y]
        for value in values:
            assert value.isfinite().all()
            grads = torch.autograd.grad(value.sum(), leaves, retain_graph=True, allow_unused=True)
            assert all(grad is None or grad.isfinite().all() for grad in grads)


def test_zero_radius_is_the_uniform_law():
    p, uniform = law(6, 0.0), SphericalUniform(6, dtype=torch.float64)
    x = uniform.sample((10,), torch.Generator().manual_seed(0))
    assert_close(draws(p, 10), x)
    assert_close(p.log_prob(x), uniform.log_prob(x), rtol=1e-14, atol=0)


def test_rho_and_r_are_one_parameter():
    rho = torch.tensor([0.0, 1e-9, 0.5, 0.99, 1 - 1e-9], dtype=torch.float64)
    p = SphericalCauchy.from_rho(axis(3), rho)
    assert_close(p.rho, rho, rtol=1e-12, atol=0)
    kl = cauchy_kl(SphericalCauchy.from_rho(axis(3), torch.tensor(0.9, dtype=torch.float64)).r, 3)
    textbook = ((1 - rho**2) / (1 + rho**2 - 2 * rho * 0.3)) ** 2 / (4 * math.pi)
    point = torch.tensor([0.3, math.sqrt(1 - 0.09), 0.0], dtype=torch.float64)
    assert_close(p.log_prob(point).exp(), textbook, rtol=1e-7, atol=0)
    assert kl.item() == pytest.approx(3.9215939469902862, rel=1e-14)


def test_it_is_a_torch_distribution():
    p = SphericalCauchy(torch.stack([axis(4), -axis(4)]), torch.ones(3, 1, dtype=torch.float64))
    assert p.batch_shape == (3, 2) and p.event_shape == (4,) and p.has_rsample
    wide = p.expand((5, 3, 2))
    assert wide.rsample((7,)).shape == (7, 5, 3, 2, 4) and wide.mode.shape == (5, 3, 2, 4)
    assert wide.log_prob(axis(4)).shape == wide.entropy().shape == wide.rho.shape == (5, 3, 2)
    assert wide.mean.shape == (5, 3, 2, 4) and wide.mean_cosine.shape == (5, 3, 2)
    assert kl_divergence(wide, p).shape == (5, 3, 2)
    assert kl_divergence(p, SphericalUniform(4).expand((5, 3, 2))).shape == (5, 3, 2)
    for name, constraint in SphericalCauchy.arg_constraints.items():
        assert constraint.check(getattr(p, name)).all()
    assert p.support.check(p.sample()).all() and not p.sample().requires_grad
    generators = (torch.Generator().manual_seed(3) for _ in range(2))
    assert torch.equal(*(p.sample((2,), generator) for generator in generators))


def test_rates_map_over_models_and_survive_inference_mode():
    with torch.inference_mode():
        cauchy_kl(torch.ones(2, dtype=torch.float64), 40)  # fills the cache of coefficients
    r = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.func.vmap(torch.func.grad(lambda a: cauchy_kl(a, 40).sum()))(r)
    assert_close(slope, 39 * cauchy_mean_cosine(r, 40))


@pytest.mark.parametrize(
    "loc, r, error, words",
    [
        ([1.0, 1.0], 1.0, ValueError, "loc has norms"),
        ([1.0, 0.0], -1.0, ValueError, "r lies in .*softplus"),
        ([1.0, 0.0], math.inf, ValueError, "r lies in"),
        ([1.0, 0.0], math.nan, ValueError, "r lies in"),
        ([1], 1.0, TypeError, "loc is torch.int64"),
    ],
)
def test_bad_parameters_are_named(loc, r, error, words, unchecked):
    with pytest.raises(error, match=words):
        SphericalCauchy(torch.tensor(loc), torch.tensor(r))


def test_bad_calls_are_named(unchecked):
    with pytest.raises(TypeError, match="r=2"):
        SphericalCauchy(axis(3), 2)
    for rho in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="rho lies in"):
            SphericalCauchy.from_rho(axis(3), torch.tensor(rho).double())
    with pytest.raises(ValueError, match="R.3 has no KL to one on the sphere of R.4"):
        kl_divergence(law(3, 1.0), law(4, 1.0))
    with pytest.raises(ValueError, match="within the support"):
        law(3, 1.0).log_prob(2 * axis(3))
