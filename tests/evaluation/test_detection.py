"""The area under the ROC curve against scikit-learn, brute force and what an interval promises."""

import itertools
import math

import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from tests.worlds import normal
from vae_course.evaluation import auroc, auroc_gain


def scores(
    n: int, m: int, shift: float, seed: int = 0, ties: bool = False
) -> tuple[Tensor, Tensor]:
    inside, outside = normal(n, seed=seed), normal(m, seed=seed + 100) + shift
    return (inside.mul(2).round(), outside.mul(2).round()) if ties else (inside, outside)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.5, 3.0])
def test_it_is_scikit_learns_area(shift, ties):
    inside, outside = scores(40, 30, shift, ties=ties)
    truth = torch.cat([torch.zeros(40), torch.ones(30)])
    wanted = roc_auc_score(truth.numpy(), torch.cat([inside, outside]).numpy())
    found = auroc(inside, outside)
    assert found.value == pytest.approx(wanted, abs=1e-12) and found.n == 70
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_its_width_is_delongs_where_pairs_are_many():
    inside, outside = scores(2000, 1500, 1.0)
    order = (inside[:, None] < outside).double()
    variance = order.mean(1).var() / 2000 + order.mean(0).var() / 1500
    found = auroc(inside, outside)
    half = stats.norm.ppf(0.975) * float(variance.sqrt())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.01)
    assert (found.high + found.low) / 2 == pytest.approx(found.value, abs=0.05 * half)


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: (torch.randn(60, generator=g), torch.randn(80, generator=g) + 1),
        lambda g: (torch.randn(60, generator=g), 0.2 * torch.randn(80, generator=g)),  # in between
        lambda g: (torch.rand(60, generator=g), torch.rand(80, generator=g) + 0.8),  # near 1
    ],
    ids=["shifted", "in the middle", "nearly separate"],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(draw, unchecked):
    everyone = torch.Generator().manual_seed(1)
    many = [torch.cat(side) for side in zip(*(draw(everyone) for _ in range(1000)), strict=True)]
    truth = auroc(*many).value
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(500):
        found = auroc(*draw(generator))
        hits += found.low <= truth <= found.high
    # Binomial scatter of 500 samples: 0.01. Wilson's form errs to the safe side near 1.
    assert 0.92 <= hits / 500 <= 0.995


def test_complete_order_is_no_proof_that_all_are():
    found = auroc(torch.arange(30.0), torch.arange(30.0) + 30)
    q2 = stats.norm.ppf(0.975) ** 2
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(30 / (30 + q2), rel=1e-12)
    mirrored = auroc(torch.arange(30.0) + 30, torch.arange(30.0))
    assert mirrored.value == mirrored.low == 0.0
    assert mirrored.high == pytest.approx(1 - found.low, rel=1e-12)


def test_a_score_that_says_nothing_is_a_coin():
    found = auroc(torch.ones(20), torch.ones(30))
    assert found.value == 0.5 and found.low == pytest.approx(1 - found.high)


def test_swapping_the_sides_and_turning_the_score_change_nothing():
    inside, outside = scores(25, 35, 0.7, ties=True)
    found, turned = auroc(inside, outside), auroc(-outside, -inside)
    assert found[:3] == pytest.approx(turned[:3], abs=1e-12)
    assert auroc(inside.exp(), outside.exp()) == found  # an increasing map


def paired(n: int, m: int, seed: int) -> tuple[Tensor, ...]:
    """Two scores with the same truth, which share most of their noise."""
    inside, outside = scores(n, m, 1.0, seed=seed)
    return (
        inside + 0.3 * normal(n, seed=seed + 200),
        outside + 0.3 * normal(m, seed=seed + 300),
        inside + 0.3 * normal(n, seed=seed + 400),
        outside + 0.3 * normal(m, seed=seed + 500),
    )


def test_the_gain_is_the_difference_with_delongs_interval():
    new_in, new_out, old_in, old_out = paired(30, 25, 0)
    found = auroc_gain(new_in, new_out, old_in, old_out)
    difference = auroc(new_in, new_out).value - auroc(old_in, old_out).value
    order = (new_in[:, None] < new_out).double() - (old_in[:, None] < old_out).double()
    variance = order.mean(1).var() / 30 + order.mean(0).var() / 25
    assert found.value == pytest.approx(difference, abs=1e-12) and found.n == 55
    half = stats.norm.ppf(0.975) * float(variance.sqrt())
    assert (found.low, found.high) == pytest.approx((difference - half, difference + half))


def test_two_equally_good_scores_are_found_apart_no_more_often_than_promised(unchecked):
    gains = [auroc_gain(*paired(80, 80, 7 * seed)) for seed in range(400)]
    apart = sum(not gain.low <= 0 <= gain.high for gain in gains)
    assert apart / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_shared_noise_narrows_the_gain():
    cases = paired(200, 200, 3)
    narrow = auroc_gain(*cases)
    wide = auroc_gain(*cases[:2], cases[2].flip(0), cases[3].flip(0))
    assert wide.value == pytest.approx(narrow.value, abs=1e-12)
    assert narrow.high - narrow.low < 0.7 * (wide.high - wide.low)


def test_a_score_gains_nothing_over_itself():
    inside, outside = scores(10, 12, 0.5)
    assert auroc_gain(inside, outside, inside, outside) == (0.0, 0.0, 0.0, 22)


def test_a_wider_level_is_a_wider_interval():
    cases = paired(30, 30, 1)
    for measure, given in ((auroc, cases[:2]), (auroc_gain, cases)):
        widths = [measure(*given, level=level).high for level in (0.8, 0.95, 0.999)]
        assert all(a < b for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_is_a_probability(level):
    cases = paired(5, 5, 0)
    with pytest.raises(ValueError, match="level="):
        auroc(*cases[:2], level=level)
    with pytest.raises(ValueError, match="level="):
        auroc_gain(*cases, level=level)


def test_scores_of_other_cases_are_refused(unchecked):
    with pytest.raises(ValueError, match="same cases"):
        auroc_gain(torch.rand(5), torch.rand(5), torch.rand(4), torch.rand(6))
    with pytest.raises(ValueError, match="inside has one case"):
        auroc(torch.rand(1), torch.rand(5))
