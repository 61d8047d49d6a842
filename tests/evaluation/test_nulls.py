"""Nulls against closed forms, other estimators and the table that was measured by hand."""

import math

import pytest
import torch
from scipy import integrate, stats
from torch.testing import assert_close

from tests.worlds import LinearGaussian, normal
from vae_course import gaussian, spd
from vae_course.data import load
from vae_course.distortion import rate_at_beta
from vae_course.evaluation import Estimate, nulls, samples


def near(found: Estimate, exact: float, errors: float = 4) -> bool:
    return abs(found.value - exact) <= errors * found.error + 1e-9


def positive(*shape: int, seed: int) -> torch.Tensor:
    return 0.3 + normal(*shape, seed=seed).abs()


# ---- the perfect linear code


def digits_spectrum() -> torch.Tensor:
    x = load("digits").train.flatten(1).double()
    return torch.linalg.eigvalsh(torch.cov(x.T))[-8:]


LONG = pytest.mark.slow(reason="codes of 10,000 balls: 100 million pairs each")
MORE = pytest.mark.slow(reason="the rest of the table: 8 codes of 1,257 balls each")


@pytest.mark.parametrize(
    "n, beta, gap, coverage, draws",
    [
        pytest.param(1257, 0.001, 18.9, 0.0, 8, marks=MORE),
        pytest.param(1257, 0.01, 9.69, 0.001, 8, marks=MORE),
        pytest.param(1257, 0.03, 5.31, 0.036, 8, marks=MORE),
        (1257, 0.1, 1.28, 0.695, 8),
        pytest.param(1257, 0.3, 0.074, 0.984, 8, marks=MORE),
        pytest.param(10_000, 0.1, 0.52, 0.92, 3, marks=LONG),
    ],
)
def test_digits_perfect_code_has_the_gap_and_the_coverage_measured_by_hand(
    n, beta, gap, coverage, draws
):
    # Measured of one code, drawn by other code; one code scatters sqrt(draws) times the error,
    # which is known from few draws itself: 4 for what would be 3. Rounding in the table comes on
    # top.
    found = nulls.linear_code(digits_spectrum(), n, beta, draws=draws)
    one = draws**0.5
    assert abs(found.gap.value - gap) <= 4 * one * found.gap.error + 0.005
    binomial = (coverage * (1 - coverage) / 1000) ** 0.5
    assert abs(found.coverage.value - coverage) <= 4 * max(binomial, 0.001) + 0.005
    # A wrong law of the code is seen: the errors are far below the values.
    assert found.gap.error < 0.05 and found.coverage.error < 0.02


def test_one_code_is_the_worlds_and_measured_by_the_librarys_estimators():
    world = LinearGaussian(torch.tensor([4.0, 1.0, 0.1]).double(), beta=0.5)
    x = world.images(4000, seed=2)
    mu, sigma = world.encode(x)
    found = nulls.linear_code(world.eigenvalues, 4000, 0.5, draws=4)
    info = gaussian.information(mu, sigma)
    # One code scatters twice as much as the mean of 4.
    for one, mean in ((info.gap, found.gap), (info.mutual, found.information)):
        assert one.item() == pytest.approx(mean.value, abs=4 * 2 * mean.error)
    assert info.kl.item() == pytest.approx(found.rate.value, abs=4 * info.kl_error.item())


@pytest.mark.parametrize("beta", [0.01, 0.3, 1.0])
def test_the_rate_is_water_fillings_and_exact(beta):
    spectrum = torch.tensor([0.2, 3.0, 0.7]).double()
    rate = nulls.linear_code(spectrum, 20, beta, draws=2).rate
    assert rate.error == 0
    assert rate.value == pytest.approx(rate_at_beta(spectrum, beta).item(), rel=1e-12)
    assert nulls.linear_code(spectrum, 20, beta, draws=2, d=5).rate == rate
    assert nulls.linear_code(spectrum, 20, beta, draws=2, d=2).rate.value == pytest.approx(
        rate_at_beta(torch.tensor([3.0, 0.7]).double(), beta).item()
    )


def test_with_more_balls_the_gap_goes_to_zero_and_the_information_to_the_rate():
    spectrum = torch.tensor([1.0, 0.5]).double()
    few, many = (nulls.linear_code(spectrum, n, 0.2, draws=10) for n in (50, 2000))
    assert few.gap.value - 4 * few.gap.error > 0.05
    # The bias of a mixture of N balls falls as 1/N: to a fortieth.
    bias = (few.gap.value + 4 * few.gap.error) / 40
    assert abs(many.gap.value) < bias + 4 * many.gap.error < 0.01
    assert abs(many.information.value - many.rate.value) < bias + 4 * many.information.error
    assert few.coverage.value < many.coverage.value


def test_information_stays_below_log_n_and_what_is_missing_is_gap():
    for beta in (1e-4, 0.01, 0.1):
        found = nulls.linear_code(torch.tensor([1.0, 0.5, 0.2]), 60, beta, draws=20)
        assert found.information.value <= math.log(60)
        missing = found.rate.value - found.information.value
        assert abs(found.gap.value - missing) <= 4 * (found.gap.error + found.information.error)
    assert found.gap.value > 0


def test_a_collapsed_code_is_the_prior():
    found = nulls.linear_code(torch.tensor([0.4, 0.1]), 50, beta=1.0)
    assert found.rate.value == 0
    assert abs(found.gap.value) < 1e-12 and abs(found.information.value) < 1e-12
    assert near(found.coverage, 0.95)


def test_idle_latents_change_what_coverage_sees_and_nothing_else_in_expectation():
    spectrum = torch.tensor([1.0])
    two, three = (nulls.linear_code(spectrum, 300, 0.01, d=d, draws=20) for d in (1, 3))
    assert abs(two.gap.value - three.gap.value) <= 4 * (two.gap.error + three.gap.error)
    # Two idle axes of a radius of 2.8 instead of none at 1.96: more of the prior is inside.
    assert three.coverage.value != two.coverage.value


def test_seeds_give_codes_of_their_own_and_the_same_again():
    first, again, other = (
        nulls.linear_code(torch.tensor([1.0]), 30, 0.1, draws=3, seed=s) for s in (0, 0, 1)
    )
    assert first == again and first.gap != other.gap


def test_the_error_is_the_scatter_over_repetitions():
    found = [nulls.linear_code(torch.tensor([1.0, 1.0]), 30, 0.1, seed=s) for s in range(60)]
    for name in ("gap", "information", "coverage"):
        values = torch.tensor([getattr(f, name).value for f in found])
        claimed = torch.tensor([getattr(f, name).error for f in found]).square().mean().sqrt()
        # A standard deviation of 60 values is known to a tenth.
        assert values.std().item() == pytest.approx(claimed.item(), rel=0.4)


# ---- the held-out gap


def test_measured_at_the_training_balls_it_is_the_gap():
    mu, sigma = normal(50, 3), positive(50, 3, seed=1)
    for draws in (1, 3):
        wanted = gaussian.information(mu, sigma, draws=draws, seed=5).gap.item()
        found = nulls.held_out_gap(mu, sigma, mu, sigma, draws=draws, seed=5)
        assert found.value == pytest.approx(wanted, rel=1e-10)


def test_of_one_ball_it_is_the_difference_of_two_divergences():
    mu, sigma = normal(1, 4), positive(1, 4, seed=1)
    others = normal(400, 4, seed=2), positive(400, 4, seed=3)
    exact = (gaussian.kl_to_standard_normal(*others) - gaussian.kl(*others, mu, sigma)).mean()
    found = [nulls.held_out_gap(mu, sigma, *others, draws=20, seed=s) for s in range(12)]
    values = torch.tensor([f.value for f in found])
    assert values.mean().item() == pytest.approx(
        exact.item(), abs=4 * values.std().item() / 12**0.5
    )
    # The error holds the choice of the 400 too: that of the draws alone is far smaller.
    assert found[0].error > 3 * values.std().item()


def test_balls_that_are_the_prior_leave_no_gap_anywhere():
    found = nulls.held_out_gap(
        torch.zeros(7, 3), torch.ones(7, 3), normal(20, 3).float(), positive(20, 3, seed=1).float()
    )
    assert abs(found.value) < 1e-12 and found.error < 1e-12


def test_of_a_perfect_code_the_true_gap_lies_between_both_and_they_meet():
    sigma = torch.full((2,), 0.2).double()
    spreads = []
    for n in (50, 1000):
        codes = [
            (normal(n, 2, seed=s) * (1 - sigma**2).sqrt(), sigma.expand(n, 2)) for s in range(20)
        ]
        inside = torch.stack(
            [gaussian.information(*code, seed=s + 99).gap for s, code in enumerate(codes)]
        )
        outside = torch.tensor(
            [
                nulls.held_out_gap(*code, *codes[s - 1], seed=s + 99).value
                for s, code in enumerate(codes)
            ]
        )
        low, high = (v.mean() + side * 4 * v.std() / 20**0.5
                     for v, side in ((outside, 1), (inside, -1)))  # fmt: skip
        assert low < 0 < high
        spreads.append((inside.mean() - outside.mean()).item())
    assert spreads[1] < spreads[0] / 10


def test_blocks_of_any_size_give_one_answer(monkeypatch):
    given = normal(30, 3), positive(30, 3, seed=1), normal(9, 3, seed=2), positive(9, 3, seed=3)
    whole = nulls.held_out_gap(*given)
    for pairs in (1, 200):
        monkeypatch.setattr(nulls, "PAIRS", pairs)
        assert nulls.held_out_gap(*given).value == pytest.approx(whole.value, rel=1e-12)


# ---- chance


def test_matched_correlations_of_two_latents_have_a_closed_form():
    # |cos| or |sin| of a uniform angle, whichever is larger: 4/pi sin(pi/4).
    exact = 2 * 2**0.5 / math.pi
    assert near(nulls.matched_correlation(2), exact)
    assert nulls.matched_correlation(1)[:4] == Estimate.exact(1.0)[:4]


def test_twelve_latents_match_as_well_by_chance_as_was_measured_by_hand():
    # Median .56, from .39 to .72, given to two digits.
    for quantile, measured in ((0.5, 0.56), (0.0, 0.39), (1.0, 0.72)):
        found = nulls.matched_correlation(12, quantile=quantile)
        assert found.value == pytest.approx(measured, abs=0.02)


def test_matching_finds_no_less_than_the_diagonal_and_less_with_more_latents():
    values = [nulls.matched_correlation(d, draws=60).value for d in (2, 4, 8, 16, 32)]
    assert values == sorted(values, reverse=True)
    # A single entry of a rotation of 32 has an absolute mean of sqrt(2 / (32 pi)) = .14.
    assert values[-1] > 2 * math.sqrt(2 / (32 * math.pi))


def test_one_neighbour_has_the_right_label_as_often_as_pairs_share_one():
    labels = torch.tensor([0] * 5 + [1] * 20 + [2] * 40)
    exact = sum(c * (c - 1) for c in (5, 20, 40)) / (65 * 64)
    assert near(nulls.neighbour_accuracy(labels, 1), exact)


def test_labels_that_are_all_one_or_all_different_are_guessed_always_or_never():
    assert nulls.neighbour_accuracy(torch.zeros(9).long(), 3, draws=50).value == 1
    assert nulls.neighbour_accuracy(torch.arange(9), 3, draws=50).value == 0


def test_permuted_labels_over_any_codes_give_it():
    labels = torch.tensor([0] * 30 + [1] * 70)
    generator = torch.Generator().manual_seed(0)
    wanted = nulls.neighbour_accuracy(labels, 5, draws=20_000)
    for codes in (normal(100, 2), normal(100, 8).exp()):  # even and very uneven
        near_by = torch.cdist(codes, codes).fill_diagonal_(math.inf).topk(5, largest=False).indices
        rates = []
        for _ in range(300):
            mixed = labels[torch.randperm(100, generator=generator)]
            rates.append((mixed[near_by].mode(1).values == mixed).double().mean())
        rates = torch.stack(rates)
        error = (rates.std().item() ** 2 / 300 + wanted.error**2) ** 0.5
        assert rates.mean().item() == pytest.approx(wanted.value, abs=4 * error)


@pytest.mark.parametrize("n, q", [(2, 1), (20, 1), (20, 5)])
def test_the_angle_of_a_random_line_and_a_subspace_is_that_of_a_beta_variable(n, q):
    if n == 2:
        exact = math.pi / 4
    else:
        law = stats.beta(q / 2, (n - q) / 2)  # of the squared cosine
        exact = integrate.quad(lambda u: math.acos(math.sqrt(u)) * law.pdf(u), 0, 1)[0]
    [angle] = nulls.principal_angles(n, 1, q)
    assert near(angle, exact)
    assert nulls.principal_angles(n, q, 1, draws=50)[0].value == pytest.approx(exact, abs=0.2)


def test_subspaces_too_large_to_miss_each_other_share_some_directions():
    angles = nulls.principal_angles(6, 4, draws=50)
    assert len(angles) == 4 and [a.value < 1e-6 for a in angles] == [False, False, True, True]
    assert angles[0].value > angles[1].value > 0.3
    assert max(a.value for a in nulls.principal_angles(5, 5, 2, draws=20)) < 1e-6


def test_angles_are_spds_of_gaussian_matrices_of_any_shape():
    # Spans don't care about the basis: skewed columns give the same law.
    skew = torch.tensor([[1.0, 5.0], [0.0, 0.1]]).double()
    a, b = normal(2000, 9, 2, seed=0) @ skew, normal(2000, 9, 2, seed=1) @ skew
    other = spd.principal_angles(a, b)
    for found, values in zip(nulls.principal_angles(9, 2), other.T, strict=True):
        error = (found.error**2 + values.var().item() / 2000) ** 0.5
        assert found.value == pytest.approx(values.mean().item(), abs=4 * error)


def test_precision_and_recall_are_the_librarys_of_the_samplers_draws():
    def sampler(size: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(size, 3, generator=generator)

    found = nulls.precision_recall(sampler, 40, 60, k=2, draws=5, seed=3)
    generator = torch.Generator().manual_seed(3)
    pairs = []
    for _ in range(5):
        x = sampler(100, generator)
        pairs.append(samples.precision_recall(x[:40], x[40:], 2))
    values = torch.tensor(pairs, dtype=torch.float64)
    assert_close(torch.tensor(found)[:, 0].double(), values.mean(0), rtol=1e-6, atol=0)
    assert_close(torch.tensor(found)[:, 1].double(), values.std(0) / 5**0.5, rtol=1e-5, atol=0)


def test_a_set_that_is_split_scores_as_its_law_does_and_neither_scores_one():
    def sampler(size: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(size, 6, generator=generator)

    law = nulls.precision_recall(sampler, 150, 100, draws=20)
    split = nulls.precision_recall(normal(5000, 6, seed=1), 150, 100, draws=20)
    for a, b in zip(law, split, strict=True):
        assert abs(a.value - b.value) <= 4 * (a.error**2 + b.error**2) ** 0.5
        assert 0.5 < a.value < 0.99
    swapped = nulls.precision_recall(sampler, 100, 150, draws=20, seed=1)
    difference = abs(law.precision.value - swapped.recall.value)
    assert difference <= 4 * (law.precision.error**2 + swapped.recall.error**2) ** 0.5


def test_a_split_takes_no_sample_twice():
    # Distinct points far apart: a sample that stood in both sets would be covered.
    real = 100.0 ** torch.arange(8).double()[:, None]
    found = nulls.precision_recall(real, 4, 4, k=1, draws=20)
    assert found.precision.value < 1 and found.recall.value < 1
    with pytest.raises(ValueError, match=r"real has shape \(8, 1\): n [+] m = 9 samples"):
        nulls.precision_recall(real, 4, 5)


# ---- errors


def test_counts_that_are_too_small_and_numbers_out_of_range_are_refused_by_name(unchecked):
    spectrum, ball = torch.tensor([1.0, 0.5]), (normal(5, 2), positive(5, 2, seed=1))
    for call, message in (
        (lambda: nulls.linear_code(spectrum, 1, 0.1), "n must be at least 2"),
        (lambda: nulls.linear_code(spectrum, 9, 0.0), "beta must be finite and greater than 0"),
        (lambda: nulls.linear_code(-spectrum, 9, 0.1), "eigenvalues must be finite and not neg"),
        (lambda: nulls.linear_code(spectrum, 9, 0.1, draws=1), "draws must be at least 2"),
        (lambda: nulls.linear_code(spectrum, 9, 0.1, d=0), "d must be at least 1"),
        (lambda: nulls.held_out_gap(*ball, ball[0][:1], ball[1][:1]), "m at least 2"),
        (lambda: nulls.held_out_gap(*ball, ball[0], -ball[1]), "sigma_test must be positive"),
        (lambda: nulls.matched_correlation(0), "d must be at least 1"),
        (lambda: nulls.matched_correlation(3, quantile=2), r"quantile must lie in \[0, 1\]"),
        (lambda: nulls.neighbour_accuracy(torch.arange(5), 5), "n above k = 5"),
        (lambda: nulls.principal_angles(3, 4), "p and q must be at most n = 3"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for labels, message in (
        (torch.zeros(9), "labels must hold whole numbers, got torch.float32"),
        (torch.zeros(9) > 0, "labels must hold whole numbers, got torch.bool"),
        ([0, 1, 0, 1], "labels must be a tensor, got list"),
    ):
        with pytest.raises(TypeError, match=message):
            nulls.neighbour_accuracy(labels, 3)


def test_an_estimate_prints_its_error():
    assert str(Estimate.t(1.2794, 0.0132, 10)) == "1.28 ± 0.01"
