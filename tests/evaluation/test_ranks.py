"""Partial rank correlation and max-T against SciPy, brute force and what they promise."""

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import normal
from vae_course.evaluation import max_t, partial_rank_correlation

# ---- partial rank correlation


def related(n: int, seed: int, ties: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """x and y that both follow g, and y a little of x."""
    g = normal(n, seed=seed)
    x = g + normal(n, seed=seed + 100)
    y = g.exp() + 0.3 * x + normal(n, seed=seed + 200)
    return tuple(v.mul(2).round() for v in (x, y, g)) if ties else (x, y, g)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_for_one_covariate_it_is_the_formula_of_spearmans_three(seed, ties):
    x, y, g = related(40, seed, ties)
    xy, xg, yg = (stats.spearmanr(*pair).statistic for pair in ((x, y), (x, g), (y, g)))
    expected = (xy - xg * yg) / math.sqrt((1 - xg**2) * (1 - yg**2))
    assert partial_rank_correlation(x, y, g) == pytest.approx(expected, abs=1e-12)
    assert partial_rank_correlation(x, y, g[:, None]) == pytest.approx(expected, abs=1e-12)


def test_for_several_it_is_minus_the_precision_of_the_ranks():
    # The partial correlation given all others, from the inverse of Spearman's matrix.
    x, y, g = related(50, 0, ties=True)
    given = torch.stack([g, normal(50, seed=7), normal(50, seed=8) + y], 1)
    precision = torch.linalg.inv(
        torch.tensor(stats.spearmanr(torch.column_stack([x, y, given])).statistic)
    )
    expected = -precision[0, 1] / (precision[0, 0] * precision[1, 1]).sqrt()
    found = partial_rank_correlation(x, y, given)
    assert found == pytest.approx(float(expected), abs=1e-12)
    twice = torch.cat([given, given[:, :1]], 1)
    assert partial_rank_correlation(x, y, twice) == pytest.approx(found, abs=1e-9)


def test_given_nothing_that_varies_it_is_spearmans():
    x, y, g = related(40, 0, ties=True)
    found = partial_rank_correlation(x, y, torch.ones_like(g))
    assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_it_sees_increasing_maps_of_nothing_and_turns_its_sign_with_one_variable():
    x, y, g = related(40, 0)
    value = partial_rank_correlation(x, y, g)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for other in (
        partial_rank_correlation(y, x, g),
        partial_rank_correlation(x.exp(), y**3, torch.atan(g)),
        partial_rank_correlation(x, y, -g),
        partial_rank_correlation(x[order], y[order], g[order]),
        -partial_rank_correlation(-x, y, g),
    ):
        assert other == pytest.approx(value, abs=1e-12)
    assert partial_rank_correlation(x, x.exp(), g) == pytest.approx(1, abs=1e-12)


def test_what_both_owe_to_a_third_is_taken_away():
    n = 2000
    g = normal(n, seed=0)
    x, y = g + normal(n, seed=1), (g + normal(n, seed=2)).exp()
    assert stats.spearmanr(x, y).statistic > 0.4
    # Of a null correlation the standard error is 1 / sqrt(n). Ranks of normals are not quite
    # linear in one another: what is left in the limit is below .02.
    assert abs(partial_rank_correlation(x, y, g)) < 4 / n**0.5 + 0.02


def test_ranks_that_follow_from_the_covariates_and_too_few_cases_are_refused(unchecked):
    x, y, g = related(9, 0)
    with pytest.raises(ValueError, match="x has no ranks of its own"):
        partial_rank_correlation(g.exp(), y, g)
    with pytest.raises(ValueError, match="y has no ranks of its own"):
        partial_rank_correlation(x, torch.ones_like(y), g)
    with pytest.raises(ValueError, match="x has 3 cases: beside 1 covariates in given, 4"):
        partial_rank_correlation(x[:3], y[:3], g[:3])
    with pytest.raises(ValueError, match="x, y and given must be"):
        partial_rank_correlation(x, y[:8], g)


# ---- max-T

SIDES = ["two-sided", "greater", "less"]


def sided(t, side: str):
    return {"two-sided": abs(t), "greater": t, "less": -t}[side]


@pytest.mark.parametrize("side", SIDES)
def test_one_paired_measure_has_the_p_of_scipys_permutation_test(side):
    a, b = normal(7, seed=0) + 0.5, normal(7, seed=1)
    expected = stats.permutation_test(
        (a, b), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples",
        alternative=side, n_resamples=math.inf, vectorized=True,
    )  # fmt: skip
    found = max_t((a - b)[None], alternative=side)
    assert found.p.item() == found.p_alone.item() == pytest.approx(expected.pvalue, abs=1e-12)
    assert (found.exact, found.relabellings) == (True, 128)


@pytest.mark.parametrize("side", SIDES)
def test_one_measure_of_two_groups_has_the_p_of_scipys_permutation_test(side):
    a, b = normal(4, seed=0) + 0.5, normal(5, seed=1)
    expected = stats.permutation_test(
        (a, b), lambda a, b: sided(stats.ttest_ind(a, b).statistic, side), alternative="greater",
        n_resamples=math.inf, vectorized=False,
    )  # fmt: skip
    found = max_t(a[None], b[None], alternative=side)
    assert found.p.item() == found.p_alone.item() == pytest.approx(expected.pvalue, abs=1e-12)
    assert (found.exact, found.relabellings) == (True, math.comb(9, 4))


def test_the_statistic_is_students_t_on_a_bounded_scale():
    a, b = normal(3, 6, seed=0) + 1, normal(3, 4, seed=1)
    for found, t, freedom in (
        (max_t(a), stats.ttest_1samp(a, 0, axis=1).statistic, 5),
        (max_t(a, b), stats.ttest_ind(a, b, axis=1).statistic, 8),
    ):
        t = torch.as_tensor(t)
        assert_close(found.statistic, t / (t.square() + freedom).sqrt(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("side", SIDES)
def test_the_adjusted_p_is_its_definition_in_loops(side):
    differences = normal(3, 5, seed=0) + torch.tensor([[1.0], [0.0], [-0.5]])

    def statistics(values):
        return [sided(stats.ttest_1samp(v, 0).statistic, side) for v in values.tolist()]

    seen = statistics(differences)
    largest = [
        max(statistics(differences * torch.tensor(signs)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    expected = [sum(t >= s - 1e-9 for t in largest) / 32 for s in seen]
    assert max_t(differences, alternative=side).p.tolist() == expected


def test_five_seeds_that_all_agree_have_a_p_of_one_or_two_in_32():
    differences = torch.tensor([[1.0, 2.0, 1.5, 0.5, 1.0]])
    assert max_t(differences, alternative="greater").p.item() == 1 / 32
    assert max_t(differences).p.item() == 2 / 32
    assert max_t(differences, alternative="less").p.item() == 1


def test_measures_that_are_one_number_cost_nothing_and_others_do():
    one, others = normal(1, 8, seed=0) + 1, normal(6, 8, seed=1)
    alone = max_t(one).p.item()
    assert max_t(torch.cat([one, 3 * one, 1e-6 * one])).p.tolist() == [alone] * 3
    together = max_t(torch.cat([one, others]))
    assert together.p_alone[0].item() == alone < together.p[0].item()
    assert (together.p >= together.p_alone).all()


@pytest.mark.parametrize("paired", [True, False])
def test_under_the_null_any_p_is_below_alpha_as_rarely_as_promised(paired):
    # Measures that share half their variance; unpaired: 3 against 4 seeds.
    measures, repeats = 5, 400
    n, alpha = (6, 3 / 32) if paired else (7, 3 / 35)
    family, alone = 0, 0
    for i in range(repeats):
        values = normal(measures, n, seed=2 * i) + normal(1, n, seed=2 * i + 1)
        found = max_t(values) if paired else max_t(values[:, :3], values[:, 3:])
        family += int(found.p.min() <= alpha + 1e-9)
        alone += int(found.p_alone.min() <= alpha + 1e-9)
    # Exact, at a level that is attained: the count is binomial.
    spread = (alpha * (1 - alpha) / repeats) ** 0.5
    assert family / repeats == pytest.approx(alpha, abs=4 * spread)
    assert alone / repeats > alpha + 8 * spread  # what trying several measures does


def test_a_shift_is_found_among_measures_without_one():
    hits, false = 0, 0
    for i in range(100):
        values = normal(5, 10, seed=i)
        values[0] += 2
        p = max_t(values).p
        hits += int(p[0] < 0.05)
        false += int(p[1:].min() < 0.05)
    assert hits >= 95
    assert false <= 5 + 4 * (100 * 0.05 * 0.95) ** 0.5


def test_it_is_blind_to_units_to_the_order_of_seeds_and_to_a_shift_of_both_groups():
    a, b = normal(3, 6, seed=0) + 0.7, normal(3, 4, seed=1)
    units = torch.tensor([[1e-8], [1.0], [1e8]])
    for given, other in (
        ((a,), (units * a.flip(1),)),
        ((a, b), (units * a + 3 * units, units * b.flip(1) + 3 * units)),
    ):
        found, wanted = max_t(*other), max_t(*given)
        assert_close(found.statistic, wanted.statistic, rtol=1e-7, atol=1e-9)
        assert torch.equal(found.p, wanted.p)
    assert torch.equal(max_t(-a, alternative="less").p, max_t(a, alternative="greater").p)
    assert torch.equal(max_t(b, a, alternative="less").p, max_t(a, b, alternative="greater").p)


@pytest.mark.parametrize("given", [(0.4 + normal(3, 11, seed=0),), (normal(3, 6), normal(3, 7))])
def test_drawn_relabellings_come_near_all_of_them_and_never_give_zero(given):
    exact = max_t(*given)
    assert exact.exact and exact.relabellings == (2**11 if len(given) == 1 else math.comb(13, 6))
    drawn = max_t(*given, draws=1500, seed=1)
    assert not drawn.exact and drawn.relabellings == 1501
    spread = (exact.p * (1 - exact.p) / 1500).sqrt()
    assert ((drawn.p - exact.p).abs() <= 4 * spread + 1 / 1501).all()
    assert torch.equal(drawn.p, max_t(*given, draws=1500, seed=1).p)
    assert not torch.equal(drawn.p, max_t(*given, draws=1500, seed=2).p)
    large = max_t(torch.full((1, 40), 1.0), draws=99)
    assert large.p.item() == 1 / 100


def test_a_measure_without_a_difference_has_p_one():
    values = torch.cat([torch.zeros(1, 5), 1 + normal(1, 5, seed=0).abs()]).double()
    found = max_t(values)
    assert found.statistic[0] == 0 and found.p.tolist() == [1, 2 / 32]
    groups = max_t(torch.full((1, 3), 0.1).double(), torch.full((1, 4), 0.1).double())
    assert groups.statistic.item() == 0 and groups.p.item() == 1


def test_what_cannot_be_tested_is_refused_by_name(unchecked):
    a = normal(2, 5)
    with pytest.raises(ValueError, match='alternative must be "two-sided", "greater" or "less"'):
        max_t(a, alternative="larger")
    with pytest.raises(ValueError, match="a has 1 seed: at least 2"):
        max_t(a[:, :1])
    with pytest.raises(ValueError, match=r"a and b must be .* got \(2, 5\) and \(1, 5\)"):
        max_t(a, a[:1])
    with pytest.raises(ValueError, match="draws must be at least 1"):
        max_t(a, draws=0)
