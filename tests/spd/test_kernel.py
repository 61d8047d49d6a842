"""Gram matrices, their eigenvalues and how many directions points fill.

Which distances make kernels is in the contract of the distances.
"""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel
from torch.testing import assert_close

from tests.spd.contract import normal, orthogonal, spread
from vae_course import spd


def test_pairwise_distances_are_those_of_all_pairs():
    points = spread(3, count=9)
    oracle = spd.bures_distance(points[:, None], points)
    for chunk in (1, 7, 4096):
        ours = spd.pairwise_distances(spd.bures_distance, points, chunk=chunk)
        assert_close(ours, oracle, rtol=1e-12, atol=1e-13)
        assert torch.equal(ours, ours.T) and not ours.diagonal().any()


def test_the_gaussian_kernel_of_flat_points_is_the_one_of_scikit_learn():
    x = normal(12, 3)
    ours = spd.gaussian_kernel(torch.cdist(x, x), 0.7)
    assert_close(ours, torch.from_numpy(rbf_kernel(x.numpy(), gamma=0.7)))


def test_distances_of_flat_points_give_back_their_inner_products():
    x = normal(12, 3)
    x = x - x.mean(0)
    assert_close(spd.distance_gram(torch.cdist(x, x)), x @ x.T, rtol=1e-9, atol=1e-12)


def test_hilbert_coordinates_have_the_inner_products_they_came_from():
    x = normal(20, 4)
    points = spd.hilbert_coordinates(x @ x.T)
    assert points.shape == (20, 4)
    assert_close(points @ points.T, x @ x.T)
    variances = points.square().sum(0)
    assert (variances[:-1] >= variances[1:]).all()


def test_a_report_counts_the_negative_eigenvalues():
    q = orthogonal(6)
    values = torch.tensor([-2.0, -1e-3, 0.0, 1e-17, 1.0, 5.0]).double()
    gram = (q * values) @ q.T
    found = spd.gram_report((gram + gram.T) / 2)
    assert found.negative == 2 and not found.positive_definite
    assert found.smallest == pytest.approx(-2) and found.largest == pytest.approx(5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99, 1.0])
def test_the_hilbert_dimension_is_the_number_of_principal_components(energy):
    x = normal(60, 9) * torch.logspace(0, -2, 9, dtype=torch.float64) + 5
    ratios = PCA().fit(x.numpy()).explained_variance_ratio_.cumsum()
    oracle = int(np.searchsorted(ratios, energy * (1 - 1e-12)) + 1)
    assert spd.hilbert_dimension(x @ x.T, energy=energy) == oracle


@pytest.mark.parametrize("d", [3, 40, 41, 400])
def test_the_hilbert_dimension_never_exceeds_the_sample(d):
    x = normal(41, d)
    assert spd.hilbert_dimension(x @ x.T, energy=1.0) == min(d, 40)


def test_equal_points_have_dimension_zero_and_a_line_has_one():
    x = normal(10, 1) @ normal(1, 5) + 3
    assert spd.hilbert_dimension(x @ x.T) == 1
    x = torch.ones(10, 5)
    assert spd.hilbert_dimension(x @ x.T) == 0


def test_float32_finds_the_same_dimension():
    x = normal(30, 12, seed=1)
    gram = x @ x.T
    assert spd.hilbert_dimension(gram.float()) == spd.hilbert_dimension(gram)
    assert spd.hilbert_coordinates(gram.float()).shape == (30, 12)


NAN = torch.full((3, 3), torch.nan)
INDEFINITE = torch.tensor([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: spd.gaussian_kernel(torch.zeros(2, 2), 0.0),
            "gamma must be finite and gr",
        ),
        (lambda: spd.gaussian_kernel(-torch.ones(2, 2), 1.0), "0 or more, got -1"),
        (lambda: spd.gaussian_kernel(NAN, 1.0), "distances must be finite"),
        (lambda: spd.gram_report(torch.zeros(2, 3)), r"gram has shape \(2, 3\)"),
        (lambda: spd.gram_report(NAN), "gram must be finite"),
        (lambda: spd.gram_report(torch.tensor([[1.0, 2.0], [3.0, 1.0]])), "gram is not symmetric"),
        (lambda: spd.distance_gram(torch.eye(2)), "on the diagonal, are 0"),
        (lambda: spd.hilbert_dimension(torch.eye(2), energy=0.0), "energy=0"),
        (lambda: spd.hilbert_dimension(INDEFINITE), "1 negative eigenvalues.*-1"),
        (lambda: spd.hilbert_coordinates(INDEFINITE), "1 negative eigenvalues.*-1"),
        (lambda: spd.pairwise_distances(spd.bures_distance, torch.eye(3)), r"shape \(3, 3\)"),
        (lambda: spd.pairwise_distances(torch.sub, torch.ones(4, 3, 3)), r"shape \(6, 3, 3\)"),
    ],
)
def test_impossible_requests_are_refused_by_name(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
