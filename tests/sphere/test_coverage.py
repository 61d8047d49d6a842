"""Coverage: caps that were cut out are found, and what chance does is known."""

import math
import sys

import pytest
import torch
from scipy import special, stats
from torch.distributions import kl_divergence

from tests.worlds import UniformCodes, VonMisesFisherCodes
from vae_course.data import load
from vae_course.models import SphericalVAE
from vae_course.sphere import SphericalUniform, angle, coverage, matched, normalise
from vae_course.sphere.coverage import SHARES, _uniform_rims
from vae_course.training import fit


def uniform(n, d, seed):
    return UniformCodes(d).codes(n, seed).float()


@pytest.mark.parametrize("d", [2, 3, 4, 20, 1024])
def test_caps_hold_their_share_of_the_area(d):
    # (1 + t) / 2 of a uniform point is a Beta variable.
    half = (d - 1) / 2
    oracle = [1 - 2 * special.betaincinv(half, half, share) for share in SHARES]
    assert _uniform_rims(d) == pytest.approx(oracle, abs=2e-6)


@pytest.mark.parametrize("d, radius", [(2, 0.4), (3, 0.3), (3, 1.0), (20, 1.3)])
def test_a_cap_that_was_cut_out_is_found_within_its_radius(d, radius):
    for seed in range(2):
        (middle,) = uniform(1, d, 50 + seed)
        codes = uniform(2000, d, seed)
        codes = codes[angle(codes, middle) > radius]
        found = coverage(codes, centres=256, null=19, seed=seed)
        assert angle(found.centre, middle) < radius
        assert found.p_value == 1 / 20 and found.share < found.expected
        # The cap it names is the cap it counted.
        inside = (angle(codes, found.centre) < found.angle).float().mean().item()
        assert inside == pytest.approx(found.share, abs=2 / len(codes))


def test_the_score_of_an_empty_cap_is_minus_the_log_of_what_is_left():
    # All of 61 evenly spaced points of a circle but those of one arc, as a part of the whole.
    turn = torch.arange(61) * (2 * math.pi / 61)
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    found = coverage(circle[:-15], circle, null=20)
    assert found.score == pytest.approx(-math.log(1 - 15 / 61), rel=1e-5)
    assert found.share == 0 and found.expected == pytest.approx(15 / 61)
    assert torch.equal(found.centre, circle[-8])
    assert found.angle == pytest.approx(7.5 * 2 * math.pi / 61, rel=1e-2)


def test_half_a_sphere_scores_log_two_at_most():
    codes = uniform(4000, 3, 0)
    codes = codes[codes[:, 0] < 0]
    found = coverage(codes, null=1)
    assert 0.6 < found.score <= math.log(2) + 1e-6
    assert found.angle == pytest.approx(math.pi / 2, abs=1e-3)
    assert found.centre[0] > 0.97


@pytest.mark.parametrize("family, rate", [("cauchy", 0.3), ("vmf", 0.05), ("power", 1.0)])
def test_the_score_bounds_the_kl_divergence_from_the_uniform_law(family, rate):
    law = matched(family, normalise(torch.ones(3)), rate=rate)
    codes = law.sample((4000,), torch.Generator().manual_seed(0))
    found = coverage(codes, null=1)  # the score is asked for, not what chance makes of it
    noise = 2 * math.sqrt(2 * rate / len(codes))  # of a share near the bound, two deviations
    assert 0.2 * rate < found.score < kl_divergence(law, SphericalUniform(3)).item() + noise
    assert found.centre @ law.loc < -0.7  # emptiest opposite of where the codes are


def test_the_score_bounds_the_rate_of_codes_made_elsewhere():
    world = VonMisesFisherCodes(3, 0.5)
    found = coverage(world.codes(4000).float(), null=1)
    noise = 2 * math.sqrt(2 * world.rate_exact / 4000)
    assert 0.2 * world.rate_exact < found.score < world.rate_exact + noise
    assert found.centre[0] < -0.7


def test_chance_alone_gives_small_p_values_as_rarely_as_it_should():
    against_uniform = [
        coverage(uniform(300, 3, 100 + seed), centres=32, null=19, seed=seed).p_value
        for seed in range(40)
    ]
    reference = normalise(uniform(300, 3, 0) + torch.tensor([0.8, 0, 0]))  # far from uniform
    parts = [
        reference[torch.randperm(300, generator=torch.Generator().manual_seed(900 + seed))[:270]]
        for seed in range(40)
    ]
    of_parts = [
        coverage(part, reference, centres=32, null=19, seed=seed).p_value
        for seed, part in enumerate(parts)
    ]
    for p_values in (against_uniform, of_parts):
        # P(p <= a) <= a, by a one-sided test; no equality, for few codes have equal scores.
        p = torch.tensor(p_values, dtype=torch.float64)
        assert stats.kstest(p.numpy(), "uniform", alternative="greater").pvalue > 0.01
        assert 0.25 < p.median() < 0.75 and 1 / 20 <= p.min() and p.max() <= 1


def test_the_uniform_null_of_many_codes_is_that_of_fewer_scaled_by_their_number():
    exact = torch.tensor(
        [coverage(uniform(2500, 3, s), centres=128, null=1).score for s in range(30)]
    )
    scaled = coverage(uniform(2500, 3, 99), centres=128, null=60).null
    # Medians of 30 and 60 values of a relative spread near 0.3: 4 standard errors are 0.34.
    assert scaled.median() / exact.median() == pytest.approx(1, abs=0.34)
    assert scaled.diff().min() >= 0


def test_the_hole_that_a_digit_leaves_is_found_and_a_random_drop_is_none():
    digits = load("digits")
    model = SphericalVAE.mlp(d=3, hidden=(64, 32), beta=0.05)
    fit(model, digits, steps=400, progress=False)
    with torch.no_grad():
        codes = model.encode(digits.train).sample((), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    for digit in range(10):
        of_class = codes[digits.train_labels == digit]
        found = coverage(codes[digits.train_labels != digit], codes, centres=512, null=19)
        middle = normalise(of_class.mean(0))
        assert angle(found.centre, middle) < angle(of_class, middle).quantile(0.9)
        assert found.p_value == 1 / 20
        if digit % 3:  # four drops show what one is
            continue
        kept = torch.randperm(len(codes), generator=generator)[: round(0.9 * len(codes))]
        drop = coverage(codes[kept], codes, centres=512, null=1, seed=digit)
        assert drop.score < found.score / 2


def test_a_crowd_is_no_hole():
    noise = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    crowd = normalise(torch.eye(3)[0] + 0.01 * noise)
    found = coverage(torch.cat([uniform(500, 3, 0), crowd]), centres=256, null=1)
    # Half of the codes sit in one spot, so the half-sphere beyond it holds a quarter.
    assert found.share < found.expected and found.centre[0] < 0.2
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert found.score == pytest.approx(expected, abs=0.04)


def test_a_loss_like_any_other_has_the_p_value_one():
    # Three points, evenly spaced: which one is lost makes no difference, so all scores are equal.
    turn = torch.arange(3) * (2 * math.pi / 3)
    triangle = torch.stack([turn.cos(), turn.sin()], 1)
    found = coverage(triangle[:2], triangle, null=19)
    assert torch.equal(found.null, torch.full((19,), found.score)) and found.p_value == 1


def test_in_high_dimension_the_antipodes_of_codes_find_what_places_at_random_would_not():
    # Codes around e1: in 256 dimensions a random middle is within 0.3 of the equator's cosine.
    lean = torch.zeros(256)
    lean[0] = 0.5
    codes = normalise(uniform(500, 256, 0) + lean)
    found = coverage(codes, centres=64, null=1)
    assert found.centre[0] < -0.35
    assert coverage(-codes, centres=64, null=1).centre[0] > 0.35


def test_a_seed_is_all_the_randomness_there_is():
    codes = normalise(uniform(300, 3, 0) + torch.tensor([0.3, 0, 0]))
    before = torch.get_rng_state()
    one, again, other = (coverage(codes[:250], codes, null=9, seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.null, again.null) and torch.equal(one.centre, again.centre)
    assert not torch.equal(one.null, other.null)


def test_only_long_work_shows_its_progress(capfd, monkeypatch):
    codes = uniform(60, 3, 0)
    coverage(codes, centres=8, null=3)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(sys.modules["vae_course.sphere.coverage"], "PATIENCE", 0)
    for reference, unit in ((None, "set"), (codes, "block")):
        coverage(codes[:50], reference, centres=8, null=3)
        shown = capfd.readouterr().err
        assert "sphere.coverage" in shown and unit in shown


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: coverage(torch.ones(5, 3)), "codes has norms.*unit vectors"),
        (lambda: coverage(uniform(1, 3, 0)), r"\(1, 3\): give \(n, d\) with n >= 2"),
        (lambda: coverage(uniform(9, 3, 0), centres=0), "centres must be at least 1"),
        (lambda: coverage(uniform(9, 3, 0), null=0), "null must be at least 1"),
        (lambda: coverage(uniform(9, 3, 0), uniform(20, 4, 0)), r"\(20, 4\): give \(m, 3\)"),
        (lambda: coverage(uniform(9, 3, 0), uniform(9, 3, 0)), "part of the reference"),
        (lambda: coverage(uniform(9, 3, 0), uniform(20, 3, 0).double()), "reference has norms"),
        (
            lambda: coverage(uniform(9, 3, 0), uniform(20, 3, 0).half()),
            "reference is torch.float16",
        ),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
