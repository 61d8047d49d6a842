"""Energy distance, precision and recall against definitions written out in loops."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import orthonormal
from vae_course.data import load
from vae_course.evaluation import PrecisionRecall, energy_distance, precision_recall, samples


def draws(n: int, *event: int, seed: int, dtype=torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *event, generator=generator, dtype=torch.float64).to(dtype)


# ---- energy distance


@pytest.mark.parametrize("n, m, shift, scale", [(40, 40, 0, 1), (100, 30, 1, 1), (1, 7, 0, 3)])
def test_energy_distance_is_the_square_of_scipys_in_one_dimension(n, m, shift, scale):
    # SciPy integrates the squared difference of the distribution functions: no pairs, no norms.
    a, b = draws(n, 1, seed=0), shift + scale * draws(m, 1, seed=1)
    expected = stats.energy_distance(a[:, 0].numpy(), b[:, 0].numpy()) ** 2
    found = energy_distance(a, b, unbiased=False)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def distances(u: Tensor, v: Tensor) -> list[float]:
    return [math.dist(x, y) for x in u.tolist() for y in v.tolist()]


def test_energy_distance_is_its_definition_over_distinct_pairs_or_over_all():
    a, b = draws(30, 5, seed=0), draws(20, 5, seed=1) + 0.3
    across, aa, bb = distances(a, b), distances(a, a), distances(b, b)
    distinct = 2 * sum(across) / 600 - sum(aa) / (30 * 29) - sum(bb) / (20 * 19)
    every = 2 * sum(across) / 600 - sum(aa) / 30**2 - sum(bb) / 20**2
    assert energy_distance(a, b) == pytest.approx(distinct, abs=1e-12)
    assert energy_distance(a, b, unbiased=False) == pytest.approx(every, abs=1e-12)


def test_the_biased_energy_distance_is_larger_by_the_mean_distances_over_the_sizes():
    a, b = draws(40, 3, seed=0), 2 * draws(7, 3, seed=1)
    excess = sum(distances(a, a)) / (40 * 39) / 40 + sum(distances(b, b)) / (7 * 6) / 7
    apart = energy_distance(a, b, unbiased=False) - energy_distance(a, b)
    assert apart == pytest.approx(excess, rel=1e-12)


def test_energy_distance_of_two_points_is_twice_their_distance():
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    assert energy_distance(a, b, unbiased=False) == 10.0
    # Each point twice: the pairs of copies are distinct samples at distance 0.
    assert energy_distance(a.expand(2, 2), b.expand(2, 2)) == 10.0


def test_energy_distance_of_a_set_to_itself_is_zero_or_below_it_by_the_bias():
    a = draws(200, 3, 4, seed=0, dtype=torch.float32)
    assert energy_distance(a, a.clone(), unbiased=False) == 0.0
    mean = sum(distances(a.flatten(1), a.flatten(1))) / (200 * 199)
    assert energy_distance(a, a.clone()) == pytest.approx(-2 * mean / 200, rel=1e-9)


def test_the_biased_energy_distance_of_distinct_sets_is_positive():
    for seed in range(20):
        a, b = draws(20, 6, seed=seed), draws(20, 6, seed=seed + 100)
        assert energy_distance(a, b, unbiased=False) > 1e-3


@pytest.mark.parametrize("unbiased", [True, False])
def test_energy_distance_is_symmetric_and_blind_to_order_and_to_rigid_motions(unbiased):
    def distance(u, v):
        return energy_distance(u, v, unbiased=unbiased)

    a, b = draws(50, 6, seed=0), 0.5 * draws(40, 6, seed=1) + 1
    value = distance(a, b)
    q, shift = orthonormal(6, 6, seed=2), 10 * draws(1, 6, seed=3)
    for other in (
        distance(b, a),
        distance(a.flip(0), b[torch.randperm(40, generator=torch.Generator())]),
        distance(a + shift, b + shift),
        distance(a @ q, b @ q),
        distance(7 * a, 7 * b) / 7,
    ):
        assert other == pytest.approx(value, rel=1e-12)


def test_two_samples_of_one_distribution_score_zero_or_by_their_sizes_alone():
    # The zeros on the diagonals leave E|A - A'| (1/n + 1/m); for N(0, 1), E|A - A'| is 2/√π.
    n, m, repeats = 10, 20, 400
    bias = 2 / math.sqrt(math.pi) * (1 / n + 1 / m)
    pairs = [(draws(n, 1, seed=i), draws(m, 1, seed=i + repeats)) for i in range(repeats)]
    for unbiased, expected in ((True, 0.0), (False, bias)):
        values = torch.tensor([energy_distance(a, b, unbiased=unbiased) for a, b in pairs])
        error = values.std().item() / math.sqrt(repeats)
        assert error < 0.01 < bias / 10
        assert values.mean().item() == pytest.approx(expected, abs=4 * error)
        assert (values < 0).any() == unbiased


def test_the_unbiased_energy_distance_has_one_expectation_at_all_sizes():
    # Of N(0, 1) and N(1, 1): E|A - B| for B - A ~ N(1, 2), less 2/√π once for both.
    across = 2 / math.sqrt(math.pi) * math.exp(-1 / 4) + math.erf(0.5)
    exact, repeats = 2 * (across - 2 / math.sqrt(math.pi)), 400
    for n, m in ((2, 2), (5, 30)):
        values = torch.tensor(
            [
                energy_distance(draws(n, 1, seed=i), draws(m, 1, seed=i + repeats) + 1)
                for i in range(repeats)
            ]
        )
        error = values.std().item() / math.sqrt(repeats)
        assert values.mean().item() == pytest.approx(exact, abs=4 * error)


def test_blocks_of_any_size_give_one_answer(monkeypatch):
    a, b = draws(37, 4, seed=0), draws(23, 4, seed=1) + 0.5
    energy, pair = energy_distance(a, b), precision_recall(a, b)
    for entries in (1, 23, 100):
        monkeypatch.setattr(samples, "ENTRIES", entries)
        assert energy_distance(a, b) == pytest.approx(energy, rel=1e-12)
        assert precision_recall(a, b) == pair


def test_no_block_holds_more_distances_than_allowed(monkeypatch):
    monkeypatch.setattr(samples, "ENTRIES", 1_000)
    blocks = list(samples._distance_blocks(draws(95, 4, seed=0), draws(100, 4, seed=1)))
    assert max(d.numel() for _, d in blocks) <= 1_000
    assert sum(len(d) for _, d in blocks) == 95


def test_images_far_from_the_origin_lose_no_digits():
    a, b = 1_000 + draws(60, 16, seed=0), 1_000.5 + draws(60, 16, seed=1)
    # Differences before squares lose nothing. Without centring, the Gram form is off by 1e-10.
    exact = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    ours = torch.cat([d for _, d in samples._distance_blocks(a, b)])
    assert_close(ours, exact, rtol=1e-12, atol=0)


# ---- precision and recall


def loops(generated: Tensor, reference: Tensor, k: int) -> PrecisionRecall:
    """The definition word by word, on lists, with math.dist."""
    g, r = generated.flatten(1).tolist(), reference.flatten(1).tolist()

    def share(points, centres):
        radius = []
        for i, c in enumerate(centres):
            others = sorted(math.dist(c, o) for j, o in enumerate(centres) if j != i)
            radius.append(others[k - 1])
        hit = [
            any(math.dist(p, c) <= q for c, q in zip(centres, radius, strict=True)) for p in points
        ]
        return sum(hit) / len(points)

    return PrecisionRecall(share(g, r), share(r, g))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("d, scale", [(1, 1.0), (2, 0.3), (8, 1.0), (8, 1.5)])
def test_precision_and_recall_are_their_definition_in_loops(d, scale, k):
    for seed in range(3):
        g, r = scale * draws(40, d, seed=seed) + 0.2, draws(55, d, seed=seed + 50)
        assert precision_recall(g, r, k) == loops(g, r, k)


def test_k_is_three_by_default_and_the_sets_are_not_interchangeable():
    g, r = 0.3 * draws(40, 2, seed=0), draws(55, 2, seed=1)
    assert precision_recall(g, r) == loops(g, r, 3)
    swapped = precision_recall(r, g)
    assert precision_recall(g, r) == (swapped.recall, swapped.precision)
    assert swapped.precision != swapped.recall


def test_copies_of_the_reference_have_precision_and_recall_one():
    r = draws(100, 1, 5, 5, seed=0, dtype=torch.float32)
    assert precision_recall(r.clone(), r) == (1.0, 1.0)


def test_samples_far_away_have_precision_and_recall_zero():
    r = draws(100, 4, seed=0)
    assert precision_recall(r + 1_000, r) == (0.0, 0.0)


def test_precision_and_recall_are_blind_to_order_and_to_rigid_motions_and_scale():
    g, r = 0.7 * draws(60, 6, seed=0), draws(50, 6, seed=1)
    pair = precision_recall(g, r)
    q, shift = orthonormal(6, 6, seed=2), draws(1, 6, seed=3)
    assert 0 < pair.precision < 1 and 0 < pair.recall < 1
    assert precision_recall(g.flip(0), r.flip(0)) == pair
    assert precision_recall(g + shift, r + shift) == pair
    assert precision_recall(g @ q, r @ q) == pair
    assert precision_recall(9 * g, 9 * r) == pair


def test_collapse_to_the_mean_image_fools_precision_but_not_recall():
    digits = load("digits")
    mean = digits.train.mean(0, keepdim=True).expand(200, -1, -1, -1)
    assert precision_recall(mean, digits.test) == (1.0, 0.0)


def test_exploding_samples_fool_recall_but_not_precision():
    r = draws(200, 8, seed=0)
    pair = precision_recall(30 * draws(200, 8, seed=1), r)
    assert pair.recall == 1.0 and pair.precision < 0.02


def test_duplicates_have_balls_of_radius_zero_that_hold_only_themselves():
    r = draws(5, 3, seed=0).repeat_interleave(4, 0)  # every image four times: k = 3 gives radius 0
    assert precision_recall(r[::4].repeat(2, 1), r) == (1.0, 1.0)
    assert precision_recall(r + 1e-3, r).precision == 0.0


def test_held_out_digits_score_as_the_chapters_quote():
    # Measured earlier, by other code: energy .006 with the diagonals, precision .92, recall .90.
    digits = load("digits")
    real = digits.train[:1_000]
    biased = energy_distance(real, digits.test, unbiased=False)
    assert biased == pytest.approx(0.006, abs=5e-4)
    assert precision_recall(real, digits.test) == pytest.approx((0.92, 0.90), abs=0.005)


# ---- errors


@pytest.mark.parametrize("measure", [energy_distance, precision_recall])
def test_event_shapes_must_agree(unchecked, measure):
    with pytest.raises(ValueError, match=r"one event shape: they have \(1, 2\) and \(2,\)"):
        measure(torch.zeros(9, 1, 2), torch.zeros(9, 2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_samples_are_refused_by_name(bad):
    good, broken = draws(9, 2, seed=0), draws(9, 2, seed=1)
    broken[4, 1] = bad
    with pytest.raises(ValueError, match="b must be finite"):
        energy_distance(good, broken)
    with pytest.raises(ValueError, match="generated must be finite"):
        precision_recall(broken, good)


def test_too_few_samples_are_refused_by_name():
    x = draws(9, 2, seed=0)
    with pytest.raises(ValueError, match="a has 0 samples: at least 1"):
        energy_distance(x[:0], x, unbiased=False)
    with pytest.raises(ValueError, match="b has 1 samples: at least 2"):
        energy_distance(x, x[:1])
    with pytest.raises(ValueError, match="reference has 3 samples: at least 4"):
        precision_recall(x, x[:3])
    with pytest.raises(ValueError, match="generated has 5 samples: at least 6"):
        precision_recall(x[:5], x, k=5)
    precision_recall(x[:4], x[:4])  # k + 1 is enough
    with pytest.raises(ValueError, match="k is 0"):
        precision_recall(x, x, k=0)
