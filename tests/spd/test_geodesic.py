"""Shortest paths: constant speed, symmetry, closed forms, and what each does to the volume."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from vae_course import spd

METRICS = {
    "log_euclidean": spd.log_euclidean_distance,
    "affine_invariant": spd.affine_invariant_distance,
    "bures": spd.bures_distance,
}
T = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0], dtype=torch.float64)


def covariance(seed: int, n: int = 3, freedom: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, freedom, generator=generator, dtype=torch.float64)
    return x @ x.T / freedom


@pytest.mark.parametrize("metric", METRICS)
def test_a_shortest_path_walks_its_distance_at_constant_speed(metric):
    a, b = covariance(1), covariance(2)
    path, distance = spd.geodesic(a, b, T, metric), METRICS[metric]
    assert_close(path[0], a), assert_close(path[-1], b)
    length = distance(a, b)
    assert_close(distance(a, path), T * length, rtol=1e-8, atol=1e-8)
    assert_close(distance(path, b), (1 - T) * length, rtol=1e-8, atol=1e-8)
    assert_close(spd.geodesic(b, a, 1 - T, metric), path, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_commuting_matrices_interpolate_their_logarithms_or_their_roots(metric):
    x, y = (torch.tensor(v).double() for v in ([1.0, 4.0], [9.0, 0.25]))
    t = T[:, None]
    if metric == "bures":
        oracle = ((1 - t) * x.sqrt() + t * y.sqrt()).square()
    else:
        oracle = x ** (1 - t) * y**t
    assert_close(spd.geodesic(x.diag(), y.diag(), T, metric), torch.diag_embed(oracle))


@pytest.mark.parametrize("metric", ["log_euclidean", "affine_invariant"])
def test_the_determinant_goes_geometrically(metric):
    """No swelling: half way between two ellipses of one area, the area is the same."""
    a, b = covariance(1), covariance(2)
    b = b * (a.det() / b.det()) ** (1 / 3)
    assert_close(spd.geodesic(a, b, T, metric).det(), a.det().expand(5))
    assert spd.geodesic(a, b, T, "bures")[2].det() > 1.01 * a.det()


def test_only_bures_reaches_the_boundary():
    a, thin = covariance(1, n=2), covariance(2, n=2, freedom=1)
    path = spd.geodesic(a, thin, T, "bures")
    assert_close(path[-1], thin, rtol=1e-8, atol=1e-10)
    assert_close(spd.bures_distance(a, path), T * spd.bures_distance(a, thin), rtol=1e-7, atol=1e-8)
    for metric in ("log_euclidean", "affine_invariant"):
        with pytest.raises(ValueError, match="singular"):
            spd.geodesic(a, thin, T, metric)


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="metric='euclidean'.*log_euclidean"):
        spd.geodesic(torch.eye(2), torch.eye(2), T, "euclidean")
