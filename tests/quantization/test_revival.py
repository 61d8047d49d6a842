"""Where centres of little use go: draws by squared distance, and Ward's cost by brute force."""

import pytest
import torch
from torch import Generator
from torch.testing import assert_close

from tests.quantization.vectors import normal, squared_distances
from vae_course.quantization.revival import beside, cost_of_merging, draw, seeds, spread_out


def test_draws_are_in_proportion_to_the_squared_distance():
    distance, generator = torch.tensor([0.0, 1.0, 2.0, 5.0]), Generator().manual_seed(0)
    drawn = torch.tensor([draw(distance, generator) for _ in range(2000)])
    share, p = torch.bincount(drawn, minlength=4) / 2000, distance / 8
    assert share[0] == 0
    assert ((share - p).abs() <= 4 * (p * (1 - p) / 2000).sqrt()).all()


def test_vectors_spread_out_are_distinct_and_leave_the_distance_to_the_nearest():
    z = normal(60, 3).repeat(2, 1)  # each twice: the second is a centre as soon as the first
    chosen, left = seeds(z, 50, Generator().manual_seed(0))
    assert len({i % 60 for i in chosen}) == 50
    assert_close(left, squared_distances(z, z[chosen]).amin(1).float())
    chosen, left = spread_out(z, squared_distances(z, z[:1]).squeeze(1), 100, Generator())
    assert len(chosen) == 59 and not left.any()


@pytest.mark.parametrize("chunk", [3, 8, 20, 100])
def test_the_cost_of_merging_is_what_the_loss_of_all_vectors_grows_by(chunk):
    codebook = normal(20, 4, dtype=torch.float64)
    size = torch.randint(1, 9, (20,), generator=Generator().manual_seed(1))
    cost, other = cost_of_merging(codebook, size.double(), chunk=chunk)
    distances = squared_distances(codebook, codebook).fill_diagonal_(torch.inf)
    assert torch.equal(other, distances.argmin(1))
    for k, j in enumerate(other):
        # Vectors at the two centres have no loss; with one centre, that to the mean of all.
        both = torch.cat([codebook[k].expand(size[k], 4), codebook[j].expand(size[j], 4)])
        assert_close(cost[k], (both - both.mean(0)).square().sum())


def test_a_centre_that_stands_for_nothing_costs_nothing_and_two_such_are_no_nan():
    cost, _ = cost_of_merging(normal(3, 2), torch.tensor([0.0, 0.0, 5.0]), chunk=8)
    assert (cost[:2] == 0).all() and cost.isfinite().all()


def test_beside_a_chosen_vector_distances_only_fall():
    z = normal(30, 3)
    before = squared_distances(z, normal(4, 3, seed=1)).amin(1).float()
    after = beside(z, before, 7)
    assert (after <= before).all() and after[7] == 0
    assert_close(after, torch.minimum(before, squared_distances(z, z[7:8]).squeeze(1).float()))
