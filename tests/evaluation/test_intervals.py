"""Confidence intervals against SciPy, exact sums and closed forms."""

import math

import pytest
import torch
from scipy import stats

from vae_course.evaluation import bootstrap, wilson


@pytest.mark.parametrize("hits, n", [(0, 7), (1, 7), (3, 10), (50, 100), (999, 1000), (20, 20)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_is_scipys(hits: int, n: int, level: float) -> None:
    ours = wilson(hits, n, level=level)
    theirs = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    assert ours.value == hits / n and ours.n == n
    assert ours.low == pytest.approx(theirs.low, rel=1e-12, abs=1e-14)
    assert ours.high == pytest.approx(theirs.high, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("p", [0.02, 0.5, 0.9, 0.99])
def test_wilson_covers_the_truth_as_often_as_it_says(p: float) -> None:
    n = 300
    counts = [wilson(k, n) for k in range(n + 1)]
    inside = [k for k, found in enumerate(counts) if found.low <= p <= found.high]
    # Counts are whole: exact coverage swings about the nominal 0.95 by a few percent at n = 300.
    assert stats.binom.pmf(inside, n, p).sum() == pytest.approx(0.95, abs=0.03)


def test_no_failure_in_n_is_no_proof_that_there_are_none() -> None:
    q2 = stats.norm.ppf(0.975) ** 2
    found = wilson(30, 30)
    assert found.high == 1.0
    assert found.low == pytest.approx(30 / (30 + q2), rel=1e-12)


def test_of_no_cases_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 0.0, 1.0, 0)


@pytest.mark.parametrize("hits, n", [(3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="hits="):
        wilson(hits, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level="):
        wilson(1, 2, level=level)
    with pytest.raises(ValueError, match="level="):
        bootstrap([1.0, 2.0], level=level)


def test_bootstrap_is_the_normal_interval_for_many_cases() -> None:
    cases = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = bootstrap(cases.tolist(), draws=4000)
    half = stats.norm.ppf(0.975) * cases.std(correction=0) / math.sqrt(len(cases))
    # A 2.5 % quantile of 4,000 draws has a standard error of 0.04 sd of the mean: 5 of them.
    slack = 0.2 * float(half) / 1.96
    assert found.value == pytest.approx(float(cases.mean()), rel=1e-12)
    assert found.low == pytest.approx(float(cases.mean() - half), abs=slack)
    assert found.high == pytest.approx(float(cases.mean() + half), abs=slack)


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    generator = torch.Generator().manual_seed(1)
    easy = torch.rand(400, generator=generator)
    a = (torch.rand(400, generator=generator) * 0.1 < easy).double()  # both fail on the hard cases
    b = (torch.rand(400, generator=generator) * 0.12 < easy).double()
    paired = bootstrap((a - b).tolist())
    shuffled = bootstrap((a - b[torch.randperm(400, generator=generator)]).tolist())
    assert paired.value == pytest.approx(shuffled.value)
    assert paired.high - paired.low < shuffled.high - shuffled.low


def test_bootstrap_depends_on_its_seed_alone() -> None:
    before = torch.get_rng_state()
    assert bootstrap([0.0, 1.0, 4.0]) == bootstrap([0.0, 1.0, 4.0])
    assert torch.equal(before, torch.get_rng_state())


def test_bootstrap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="values is empty"):
        bootstrap([])


def test_an_interval_prints_its_four_numbers() -> None:
    assert str(wilson(1, 2)) == "0.500 [0.095, 0.905], n = 2"
