import itertools
import math

import mpmath
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence
from torch.testing import assert_close

from vae_course import gaussian
from vae_course.gaussian import bhattacharyya, bhattacharyya_distance, kl, kl_to_standard_normal

DTYPES = [(torch.float64, 1e-14), (torch.float32, 2e-6)]


def balls(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(*shape, generator=generator, dtype=torch.float64)
    sigma = 0.05 + 2 * torch.rand(*shape, generator=generator, dtype=torch.float64)
    return mu.to(dtype), sigma.to(dtype)


def normal(mu: Tensor, sigma: Tensor) -> Independent:
    return Independent(Normal(mu, sigma), 1)


def constant(value: float, shape: tuple[int, ...] = (1,)) -> Tensor:
    return torch.full(shape, value, dtype=torch.float64)


# ---- one ball against another


def test_kl_is_that_of_torch_distributions_with_broadcasting():
    mu1, s1 = balls(5, 1, 3)
    mu2, s2 = balls(1, 4, 3, seed=1)
    expected = kl_divergence(normal(mu1, s1), normal(mu2, s2))
    assert_close(kl(mu1, s1, mu2, s2), expected, rtol=1e-12, atol=0.0)
    prior = normal(torch.zeros_like(mu1), torch.ones_like(s1))
    expected = kl_divergence(normal(mu1, s1), prior)
    assert_close(kl_to_standard_normal(mu1, s1), expected, rtol=1e-12, atol=0.0)


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


def test_kl_runs_under_vmap_without_its_check():
    mu, sigma = balls(3, 4, 2)
    mapped = torch.func.vmap(lambda m, s: kl_to_standard_normal(m, s, check=False))(mu, sigma)
    assert_close(mapped, kl_to_standard_normal(mu, sigma))


# ---- one ball by itself


def test_shell_is_the_chi_distribution():
    for d in (1, 2, 3, 8, 31, 32, 33, 100, 1000):
        chi = scipy.stats.chi(d)
        assert gaussian.shell(d).mean == pytest.approx(chi.mean(), rel=1e-12)
        assert gaussian.shell(d).sd == pytest.approx(chi.std(), rel=1e-8)  # scipy's own digits
        for lower, upper in ((0.9, 1.1), (0.0, 0.5), (0.0, math.inf), (1.2, 1.5), (0.3, 0.3)):
            expected = chi.cdf(upper * d**0.5) - chi.cdf(lower * d**0.5)
            assert gaussian.shell_mass(d, lower, upper) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [20, 31, 32, 10**3, 10**6, 10**8])
def test_shell_keeps_its_digits_in_a_million_dimensions(d):
    with mpmath.workdps(50):
        half = mpmath.mpf(d) / 2
        mean = mpmath.sqrt(2) * mpmath.gammaprod([half + 0.5], [half])
        sd = mpmath.sqrt(d - mean**2)
    assert gaussian.shell(d).mean == pytest.approx(float(mean), rel=1e-12)
    assert gaussian.shell(d).sd == pytest.approx(float(sd), rel=1e-12)


@pytest.mark.parametrize("d, within, inside", [
    (2, 0.147, 0.221), (8, 0.305, 0.0190), (32, 0.575, 4.89e-6), (128, 0.891, 1.36e-19),
])  # fmt: skip
def test_a_ball_is_a_bubble_in_high_dimension(d, within, inside):
    assert gaussian.shell_mass(d, 0.9, 1.1) == pytest.approx(within, abs=5e-4)
    assert gaussian.shell_mass(d, 0.0, 0.5) == pytest.approx(inside, rel=5e-3, abs=0)


def test_the_far_side_of_the_shell_keeps_its_digits():
    expected = scipy.stats.chi(32).sf(3 * 32**0.5)  # 3e-40
    assert gaussian.shell_mass(32, 3.0, math.inf) == pytest.approx(expected, rel=1e-10, abs=0)


# ---- many balls together


def mixture_by_quadrature(mu: Tensor, sigma: Tensor) -> tuple[float, float]:
    """I and gap of balls on a line; mu, sigma: (n, 1)."""
    t = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    q = Normal(mu, sigma).log_prob(t)  # (n, t)
    mixture = q.logsumexp(0) - math.log(len(mu))
    mutual = torch.trapezoid(q.exp() * (q - mixture), t).mean()
    gap = torch.trapezoid(mixture.exp() * (mixture - Normal(0.0, 1.0).log_prob(t)), t)
    return mutual.item(), gap.item()


@pytest.mark.parametrize("far", [0.0, 0.3, 1.5])
def test_information_of_two_balls_is_the_integral(far):
    mu, sigma = torch.tensor([[-far], [far]]), torch.tensor([[0.7], [0.9]])
    info = gaussian.information(mu, sigma, draws=3_000)
    mutual, gap = mixture_by_quadrature(mu.double(), sigma.double())
    assert abs(info.mutual.item() - mutual) < 4 * info.mutual_error.item()  # 1 in 16,000
    assert abs(info.gap.item() - gap) < 4 * info.gap_error.item()
    assert info.mutual_error < 0.01 and info.gap_error < 0.04


def test_information_of_many_balls_is_the_integral():
    mu, sigma = balls(50, 1, seed=3)
    info = gaussian.information(mu, sigma, draws=200)
    mutual, gap = mixture_by_quadrature(mu, sigma)
    assert abs(info.mutual.item() - mutual) < 4 * info.mutual_error.item()
    assert abs(info.gap.item() - gap) < 4 * info.gap_error.item()


@pytest.mark.parametrize("draws", [1, 5])
def test_monte_carlo_kl_agrees_with_the_closed_form(draws):
    mu, sigma = balls(4, 300, 8, seed=2)
    info = gaussian.information(mu, sigma, draws=draws)
    expected = kl_to_standard_normal(mu, sigma).mean(-1)
    assert ((info.kl - expected).abs() < 4 * info.kl_error).all()
    assert_close(info.kl, info.mutual + info.gap, rtol=1e-12, atol=1e-12)


def test_information_is_at_most_log_n_for_every_draw():
    # Separated up to one ulp of log N, and just touching: where a mean could cross the bound.
    mu, sigma = balls(30, 20, 2)
    for scale in (1.0, 0.3, 0.03, 1e-3):
        for seed in range(10):
            info = gaussian.information(mu, sigma * scale, seed=seed)
            assert (info.mutual <= info.log_n + 1e-14).all()
            assert (info.gap >= info.kl - info.log_n - 1e-12).all()
            assert (info.overlap > -1e-14).all() and (info.n_effective < 20 + 1e-12).all()


def test_collapsed_balls_tell_nothing():
    info = gaussian.information(torch.zeros(40, 3), torch.ones(40, 3), draws=2)
    assert_close(info.mutual, constant(0.0, ()), rtol=0, atol=1e-14)
    assert_close(info.gap, constant(0.0, ()), rtol=0, atol=1e-14)
    assert info.overlap.item() == pytest.approx(1) and info.n_effective.item() == pytest.approx(1)


def test_separated_balls_are_told_apart_and_twins_are_not():
    # float32 codes of radius 1e-3 around 3: an expanded square would lose every digit.
    mu = 3 * torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    sigma = torch.full_like(mu, 1e-3)
    info = gaussian.information(mu, sigma)
    assert_close(info.mutual, constant(math.log(50), ()), rtol=1e-14, atol=0.0)
    assert info.n_effective.item() == pytest.approx(50) and abs(info.overlap.item()) < 1e-14
    twins = gaussian.information(mu.repeat(2, 1), sigma.repeat(2, 1))
    assert_close(twins.mutual, constant(math.log(50), ()), rtol=1e-14, atol=0.0)
    assert twins.log_n == math.log(100)


def test_balls_far_narrower_than_float32_are_still_counted_right():
    mu, sigma = balls(30, 4, dtype=torch.float32)
    tiny = gaussian.information(1000 + 1e-5 * mu.double(), 1e-5 * sigma.double())
    plain = gaussian.information(mu, sigma)
    # 1000 / 1e-5 roundings of 1e-16 times the |eps| of a sample.
    assert_close(tiny.mutual, plain.mutual, rtol=0, atol=1e-6)


def test_information_does_not_depend_on_the_unit_of_the_latents_but_the_gap_does():
    mu, sigma = balls(60, 3)
    unit = torch.tensor([0.1, 2.0, 30.0], dtype=torch.float64)
    plain = gaussian.information(mu, sigma)
    moved = gaussian.information(mu * unit + 5, sigma * unit)
    assert_close(moved.mutual, plain.mutual, rtol=1e-10, atol=0.0)
    assert moved.gap > plain.gap + 1


def test_information_does_not_depend_on_order_or_on_a_rotation_of_round_balls():
    mu, _ = balls(80, 3)
    sigma = constant(0.4, (80, 1)) * torch.linspace(0.5, 1.5, 80, dtype=torch.float64)[:, None]
    sigma = sigma.expand(80, 3)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    rotation, _ = torch.linalg.qr(balls(3, 3)[0])
    plain = gaussian.information(mu, sigma, draws=100)
    for other in (
        gaussian.information(mu[order], sigma[order], draws=100, seed=1),
        gaussian.information(mu @ rotation, sigma, draws=100, seed=2),
    ):
        for name in ("kl", "mutual", "gap"):
            error = math.hypot(getattr(plain, name + "_error"), getattr(other, name + "_error"))
            assert abs(getattr(plain, name) - getattr(other, name)) < 4 * error


@pytest.mark.parametrize("draws", [1, 4])
def test_the_stated_errors_are_the_spread_over_seeds(draws):
    mu, sigma = balls(40, 2, seed=4)
    runs = [gaussian.information(mu, sigma, draws=draws, seed=seed) for seed in range(300)]
    for name in ("kl", "mutual", "gap"):
        spread = torch.stack([getattr(run, name) for run in runs]).std()
        squares = torch.stack([getattr(run, name + "_error") for run in runs]).square()
        stated = squares.mean().sqrt()
        # An SD from 300 runs is known to 4 %. One draw a ball can only overstate.
        assert stated > 0.84 * spread
        assert draws == 1 or stated < 1.16 * spread


def test_chunks_batches_and_dtypes_do_not_change_the_statistics():
    mu, sigma = balls(2, 3, 40, 2, dtype=torch.float32)
    for measure in (gaussian.information, gaussian.coverage, gaussian.nearest_overlap):

        def run(m: Tensor, s: Tensor, measure=measure, **options: int) -> Tensor:
            result = measure(m, s, seed=1, **options)
            return torch.stack(result[:6]) if isinstance(result, tuple) else result

        whole = run(mu, sigma)
        assert_close(run(mu, sigma, chunk=1), whole, rtol=1e-12, atol=1e-14)
        assert_close(run(mu.double(), sigma.double(), chunk=333), whole, rtol=1e-12, atol=1e-14)
        member = whole[:, 1, 2] if whole.shape[0] == 6 else whole[1, 2]
        assert_close(run(mu[1, 2], sigma[1, 2]), member, rtol=1e-12, atol=1e-14)
        assert not run(mu.requires_grad_(), sigma).requires_grad
        mu = mu.detach()


def test_the_nearest_neighbour_is_the_largest_overlap_with_another_ball():
    mu, sigma = balls(3, 25, 4)
    pairs = bhattacharyya(
        mu[:, :, None], sigma[:, :, None], mu[:, None], sigma[:, None]
    )  # (3, 25, 25)
    pairs.diagonal(dim1=1, dim2=2).zero_()
    expected = pairs.amax(-1)
    everyone = gaussian.nearest_overlap(mu, sigma, codes=100)
    assert_close(everyone.sort().values, expected.sort().values)
    some = gaussian.nearest_overlap(mu, sigma, codes=5)
    assert some.shape == (3, 5) and torch.equal(some, everyone[:, :5])
    assert gaussian.nearest_overlap(mu.repeat(1, 2, 1), sigma.repeat(1, 2, 1)).amin() == 1


def test_one_standard_ball_covers_the_quantile_of_the_prior():
    for d, quantile in itertools.product((1, 2, 8), (0.5, 0.95)):
        mu, sigma = torch.zeros(1, d), torch.ones(1, d)
        covered = gaussian.coverage(mu, sigma, quantile=quantile, draws=20_000).item()
        assert abs(covered - quantile) < 4 * math.sqrt(quantile * (1 - quantile) / 20_000)


def test_coverage_on_a_line_is_the_mass_of_the_intervals():
    mu, sigma = torch.tensor([[-1.5], [0.3], [0.5]]), torch.tensor([[0.2], [0.3], [0.1]])
    reach = 1.959964 * sigma
    prior = scipy.stats.norm  # the third interval lies inside the second
    low, high = (mu - reach)[:2, 0].numpy(), (mu + reach)[:2, 0].numpy()
    expected = float((prior.cdf(high) - prior.cdf(low)).sum())
    covered = gaussian.coverage(mu, sigma, draws=20_000).item()
    assert abs(covered - expected) < 4 * math.sqrt(expected * (1 - expected) / 20_000)


def test_coverage_is_nothing_for_far_or_pointlike_balls_and_grows_with_the_quantile():
    mu, sigma = balls(30, 3, seed=1)  # seed 0 would be the very draws of the prior
    assert gaussian.coverage(mu + 100, sigma) == 0
    assert gaussian.coverage(mu, torch.full_like(mu, 1e-3)) == 0
    shares = [gaussian.coverage(mu, sigma, quantile=p).item() for p in (0.1, 0.3, 0.6, 0.9)]
    assert shares == sorted(shares) and shares[0] < shares[-1]


# ---- conventions of beta


def loss(convention: str, beta: float, x: Tensor, x_hat: Tensor, rate: Tensor) -> Tensor:
    squares = (x - x_hat).square()
    if convention == "decoder_variance":
        return rate - normal(x_hat, torch.full_like(x_hat, beta**0.5)).log_prob(x)
    distortion = {"sum": squares.sum(-1), "mean": squares.mean(-1), "half": squares.sum(-1) / 2}
    return distortion[convention] + beta * rate


CONVENTIONS = ("sum", "mean", "half", "decoder_variance")


@pytest.mark.parametrize("source, target", list(itertools.product(CONVENTIONS, repeat=2)))
def test_converted_betas_weigh_the_same_objective(source, target):
    generator = torch.Generator().manual_seed(0)
    x, x_hat = torch.rand(2, 50, 64, generator=generator, dtype=torch.float64)
    rate = 10 * torch.rand(50, generator=generator, dtype=torch.float64)
    converted = gaussian.convert_beta(0.3, source, target, event_size=64)
    # Over 50 models, proportional up to a constant: correlation 1, hence the same best model.
    before, after = loss(source, 0.3, x, x_hat, rate), loss(target, converted, x, x_hat, rate)
    assert torch.corrcoef(torch.stack([before, after]))[0, 1].item() == pytest.approx(1, abs=1e-12)
    assert before.argsort().tolist() == after.argsort().tolist()
    back = gaussian.convert_beta(converted, target, source, event_size=64)
    assert back == pytest.approx(0.3, rel=1e-15)


def test_the_decoder_variance_is_half_of_beta():
    assert gaussian.convert_beta(0.1, "sum", "decoder_variance") == 0.05
    assert gaussian.convert_beta(1 / 1e5, "mean", "sum", event_size=12288) == pytest.approx(0.12288)


# ---- bad input


@pytest.mark.parametrize("bad, message", [
    (0.0, "positive"), (-1.0, "positive"), (math.nan, "nan"), (math.inf, "inf"),
])  # fmt: skip
def test_a_sigma_that_is_no_radius_is_refused_by_name(unchecked, bad, message):
    mu, sigma = balls(4, 2)
    wrong = sigma.clone()
    wrong[1, 1] = bad
    pairs = (kl, bhattacharyya, bhattacharyya_distance)
    codes = (gaussian.information, gaussian.coverage, gaussian.nearest_overlap)
    for measure in (kl_to_standard_normal, *codes):
        with pytest.raises(ValueError, match=f"sigma must.*{message}"):
            measure(mu, wrong)
    for measure in pairs:
        with pytest.raises(ValueError, match=f"sigma1 must.*{message}"):
            measure(mu, wrong, mu, sigma)
        with pytest.raises(ValueError, match=f"sigma2 must.*{message}"):
            measure(mu, sigma, mu, wrong)
    with pytest.raises(ValueError, match="mu must be finite, got nan"):
        kl_to_standard_normal(mu * math.nan, sigma)


def test_shapes_that_do_not_fit_are_refused(unchecked):
    mu, sigma = balls(4, 2)
    for wrong in (sigma[:3], sigma[:, :1], sigma[0, 0]):
        for measure in (kl_to_standard_normal, gaussian.information, gaussian.coverage):
            with pytest.raises(ValueError, match=r"\(4, 2\)"):
                measure(mu, wrong)
        with pytest.raises(ValueError, match="shapes must be"):
            bhattacharyya(mu, sigma, mu, wrong)
    with pytest.raises(ValueError, match="N at least 2"):
        gaussian.information(mu[:1], sigma[:1])
    with pytest.raises(TypeError, match="mu must be a floating-point tensor"):
        kl_to_standard_normal(torch.ones(2, dtype=torch.int64), torch.ones(2))


def test_options_out_of_range_are_refused():
    mu, sigma = balls(4, 2)
    for call, message in (
        (lambda: gaussian.information(mu, sigma, draws=0), "draws must"),
        (lambda: gaussian.information(mu, sigma, chunk=0), "chunk must"),
        (lambda: gaussian.nearest_overlap(mu, sigma, codes=0), "codes must"),
        (lambda: gaussian.coverage(mu, sigma, quantile=1.0), "quantile must"),
        (lambda: gaussian.coverage(mu, sigma, draws=0), "draws at least 1"),
        (lambda: gaussian.shell(0), "d must"),
        (lambda: gaussian.shell_mass(2, 1.0, 0.5), "lower <= upper"),
        (lambda: gaussian.convert_beta(0.1, "sum", "mean"), "event_size"),
        (lambda: gaussian.convert_beta(0.1, "total", "sum"), "source must be one of"),
        (lambda: gaussian.convert_beta(-0.1, "sum", "half"), "beta must"),
        (lambda: gaussian.convert_beta(math.nan, "sum", "half"), "beta must"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
