"""Many balls together, against quadrature, closed forms and brute force."""

import functools
import itertools
import math

import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.testing import assert_close

from tests.gaussian.balls import balls
from tests.worlds import ConstantDecoder
from vae_course import gaussian
from vae_course.gaussian import bhattacharyya, kl_to_standard_normal


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def mixture_by_quadrature(mu: Tensor, sigma: Tensor) -> tuple[float, float]:
    """I and gap of balls on a line; mu, sigma: (n, 1)."""
    t = torch.linspace(-30, 30, 20_001, dtype=torch.float64)  # 16 steps in the least sigma
    q = Normal(mu, sigma).log_prob(t)  # (n, t)
    mixture = q.logsumexp(0) - math.log(len(mu))
    mutual = torch.trapezoid(q.exp() * (q - mixture), t).mean()
    gap = torch.trapezoid(mixture.exp() * (mixture - Normal(0.0, 1.0).log_prob(t)), t)
    return mutual.item(), gap.item()


@pytest.mark.parametrize("far", [0.0, 0.3, 1.5])
def test_information_of_two_balls_is_the_integral(far):
    mu, sigma = torch.tensor([[-far], [far]]), torch.tensor([[0.7], [0.9]])
    info = gaussian.information(mu, sigma, draws=1_000)
    mutual, gap = mixture_by_quadrature(mu.double(), sigma.double())
    assert abs(info.mutual.item() - mutual) < 4 * info.mutual_error.item()  # 1 in 16,000
    assert abs(info.gap.item() - gap) < 4 * info.gap_error.item()
    assert info.mutual_error < 0.01 and info.gap_error < 0.04


def test_information_of_many_balls_is_the_integral():
    mu, sigma = balls(50, 1, seed=3)
    info = gaussian.information(mu, sigma, draws=100)
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
        for seed in range(4):
            info = gaussian.information(mu, sigma * scale, seed=seed)
            assert (info.mutual <= info.log_n + 1e-14).all()
            assert (info.gap >= info.kl - info.log_n - 1e-12).all()
            assert (info.overlap > -1e-14).all() and (info.n_effective < 20 + 1e-12).all()


def test_collapsed_balls_tell_nothing():
    mu, sigma = ConstantDecoder(d=3).encode(torch.zeros(40, 6))
    info = gaussian.information(mu, sigma, draws=2)
    assert_close(info.mutual, scalar(0.0), rtol=0, atol=1e-14)
    assert_close(info.gap, scalar(0.0), rtol=0, atol=1e-14)
    assert info.overlap.item() == pytest.approx(1) and info.n_effective.item() == pytest.approx(1)


def test_separated_balls_are_told_apart_and_twins_are_not():
    # float32 codes of radius 1e-3 around 3: an expanded square would lose every digit.
    mu = 3 * torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    sigma = torch.full_like(mu, 1e-3)
    info = gaussian.information(mu, sigma)
    assert_close(info.mutual, scalar(math.log(50)), rtol=1e-14, atol=0.0)
    assert info.n_effective.item() == pytest.approx(50) and abs(info.overlap.item()) < 1e-14
    twins = gaussian.information(mu.repeat(2, 1), sigma.repeat(2, 1))
    assert_close(twins.mutual, scalar(math.log(50)), rtol=1e-14, atol=0.0)
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
    sigma = 0.4 * torch.linspace(0.5, 1.5, 80, dtype=torch.float64)[:, None].expand(80, 3)
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
    mu, sigma = balls(2, 3, 12, 2, dtype=torch.float32)  # one pair at a time: a call for each
    coverage = functools.partial(gaussian.coverage, draws=50)
    for measure in (gaussian.information, coverage, gaussian.nearest_overlap):

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


MEASURES = gaussian.information, gaussian.coverage, gaussian.nearest_overlap


def test_a_default_device_elsewhere_changes_no_number():
    code = balls(40, 3)
    before = [measure(*code) for measure in MEASURES] + [gaussian.shell_mass(3, 0.5, 1.0)]
    torch.set_default_device("meta")
    try:
        after = [measure(*code) for measure in MEASURES] + [gaussian.shell_mass(3, 0.5, 1.0)]
    finally:
        torch.set_default_device(None)
    assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("measure", MEASURES)
def test_what_are_no_codes_is_refused_by_name(unchecked, measure):
    mu, sigma = balls(4, 2)
    for bad in (mu.numpy(), mu.tolist(), None):
        with pytest.raises(TypeError, match="mu must be a tensor"):
            measure(bad, sigma)
    with pytest.raises(TypeError, match="sigma must hold floating-point numbers"):
        measure(mu, sigma.cfloat())
    with pytest.raises(ValueError, match="sigma is on meta and mu on cpu"):
        measure(mu, sigma.to("meta"))
    with pytest.raises(TypeError, match="chunk must be an int, got 2.5"):
        measure(mu, sigma, chunk=2.5)


@pytest.mark.parametrize("bad, message", [
    (0.0, "positive"), (-1.0, "positive"), (math.nan, "nan"), (math.inf, "inf"),
])  # fmt: skip
def test_a_sigma_that_is_no_radius_is_refused_by_name(unchecked, bad, message):
    mu, sigma = balls(4, 2)
    sigma[1, 1] = bad
    for measure in MEASURES:
        with pytest.raises(ValueError, match=f"sigma must.*{message}"):
            measure(mu, sigma)


def test_shapes_that_do_not_fit_are_refused(unchecked):
    mu, sigma = balls(4, 2)
    for wrong in (sigma[:3], sigma[:, :1], sigma[0, 0]):
        for measure in (gaussian.information, gaussian.coverage):
            with pytest.raises(ValueError, match=r"\(4, 2\)"):
                measure(mu, wrong)
    with pytest.raises(ValueError, match="N at least 2"):
        gaussian.information(mu[:1], sigma[:1])


@pytest.mark.parametrize(
    "measure, option, message",
    [
        (gaussian.information, dict(draws=0), "draws must"),
        (gaussian.information, dict(chunk=0), "chunk must"),
        (gaussian.nearest_overlap, dict(codes=0), "codes must"),
        (gaussian.coverage, dict(quantile=1.0), "quantile must"),
        (gaussian.coverage, dict(draws=0), "draws must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(measure, option, message):
    with pytest.raises(ValueError, match=message):
        measure(*balls(4, 2), **option)


# ---- codes that are images


def test_codes_that_are_images_are_counted_as_their_flat_selves():
    mu, sigma = balls(2, 30, 2, 1, 3)
    flat = mu.flatten(2), sigma.flatten(2)
    for shaped, vectors in zip(
        gaussian.information(mu, sigma, code_ndim=3), gaussian.information(*flat), strict=True
    ):
        assert_close(torch.as_tensor(shaped), torch.as_tensor(vectors), rtol=0.0, atol=0.0)
    for count in (gaussian.coverage, gaussian.nearest_overlap):
        assert torch.equal(count(mu, sigma, code_ndim=3), count(*flat))
    # The same numbers as an ensemble of 2 x 30 x 2 members, of one vector each.
    assert gaussian.coverage(mu, sigma).shape == (2, 30, 2)


@pytest.mark.parametrize(
    "call", [gaussian.information, gaussian.coverage, gaussian.nearest_overlap]
)
def test_axes_that_are_not_there_are_refused(call):
    mu, sigma = balls(30, 2, 3)
    with pytest.raises(ValueError, match=r"N, 3 axes of a code\) .* got \(30, 2, 3\)"):
        call(mu, sigma, code_ndim=3)
    with pytest.raises(ValueError, match="code_ndim must be at least 1"):
        call(mu, sigma, code_ndim=0)


def test_a_hundred_dimensions_saturate_whatever_the_code():
    """Why ``token_gap``: I is log N for good codes and for bad ones."""
    mu = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    for scale in (0.5, 1.0, 3.0):
        info = gaussian.information(scale * mu, torch.full_like(mu, 0.3))
        assert_close(info.mutual.item(), math.log(50), rtol=1e-6, atol=0.0)
