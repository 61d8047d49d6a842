"""Fréchet means: of two, of commuting matrices, what moves with them, and where they are found."""

import pytest
import torch
from torch.testing import assert_close

from tests.spd.contract import INDEFINITE, normal, orthogonal, wishart, with_spectrum
from vae_course import spd

METRICS = "log_euclidean", "affine_invariant", "bures"
DISTANCES = {
    "log_euclidean": spd.log_euclidean_distance,
    "affine_invariant": spd.affine_invariant_distance,
    "bures": spd.bures_distance,
}
every_metric = pytest.mark.parametrize("metric", METRICS)


@every_metric
@pytest.mark.parametrize("t", [0.5, 0.2])
def test_of_two_matrices_it_is_on_their_geodesic(metric, t):
    a, b = wishart(4, seed=1), wishart(4, seed=2)
    weights = torch.tensor([3 * (1 - t), 3 * t]).double()
    found = spd.mean(torch.stack([a, b], 1), metric, weights)
    assert_close(found, spd.geodesic(a, b, t, metric), rtol=1e-9, atol=1e-10)


@every_metric
def test_of_commuting_matrices_it_is_the_mean_of_numbers(metric):
    q, values = orthogonal(3), normal(5, 3).exp()
    weights = torch.arange(1.0, 6.0).double()
    share = (weights / weights.sum())[:, None]
    flat, back = (torch.sqrt, torch.square) if metric == "bures" else (torch.log, torch.exp)
    oracle = (q * back((share * flat(values)).sum(0))) @ q.T
    matrices = (q * values[:, None]) @ q.T
    assert_close(spd.mean((matrices + matrices.mT) / 2, metric, weights), oracle)


@every_metric
def test_no_point_nearby_is_nearer(metric):
    s, distance = wishart(3, batch=(6,)), DISTANCES[metric]
    middle = spd.mean(s, metric).requires_grad_()
    cost = distance(middle, s).square().sum()
    (slope,) = torch.autograd.grad(cost, middle)
    assert slope.abs().max() < 1e-8 * cost
    for seed in range(5):
        near = middle.detach() + 0.01 * wishart(3, batch=(), seed=seed)
        assert distance(near, s).square().sum() > cost


def test_what_the_mean_moves_with():
    s, g, q = wishart(4, batch=(7,)), normal(4, 4, seed=3), orthogonal(4, seed=5)
    found = spd.mean(g @ s @ g.T, "affine_invariant")
    assert_close(found, g @ spd.mean(s, "affine_invariant") @ g.T, rtol=1e-8, atol=1e-9)
    inverse = spd.mean(s.inverse(), "affine_invariant")
    assert_close(inverse, spd.mean(s, "affine_invariant").inverse(), rtol=1e-8, atol=1e-9)
    for metric in METRICS:
        turned = q @ s @ q.T
        found = spd.mean((turned + turned.mT) / 2, metric)
        assert_close(found, q @ spd.mean(s, metric) @ q.T, rtol=1e-8, atol=1e-9)
        assert_close(spd.mean(9 * s, metric), 9 * spd.mean(s, metric), rtol=1e-8, atol=1e-9)


@every_metric
def test_batches_are_means_of_their_own(metric):
    s, weights = wishart(3, batch=(2, 5)), torch.rand(2, 5).double()
    found = spd.mean(s, metric, weights)
    assert_close(found[1], spd.mean(s[1], metric, weights[1]), rtol=1e-9, atol=1e-10)


@every_metric
def test_it_is_differentiable_through_its_iterations(metric):
    s = wishart(3, batch=(3,)).requires_grad_()

    def f(s):
        return spd.mean((s + s.mT) / 2, metric)

    assert torch.autograd.gradcheck(f, s, rtol=1e-5, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("condition", [10.0, 1e3])
@pytest.mark.parametrize("metric", ["affine_invariant", "bures"])
def test_it_is_found_among_matrices_of_different_directions(metric, condition):
    values = torch.linspace(0, 1, 5).double()
    s = torch.stack([with_spectrum((condition**values).tolist(), seed=i) for i in range(6)])
    s = (s + s.mT) / 2
    assert spd.mean(s, metric).isfinite().all()


def test_float32_comes_near():
    s = wishart(4, batch=(6,))
    for metric in METRICS:
        error = spd.mean(s.float(), metric).double() - spd.mean(s, metric)
        assert error.abs().max() < 1e-4 * s.abs().max()


def test_bures_takes_singular_matrices_beside_a_definite_one():
    s = wishart(4, batch=(6,), freedom=2)
    with pytest.raises(ValueError, match="s holds no definite matrix"):
        spd.mean(s, "bures")
    with pytest.raises(ValueError, match=r"s\[0\] is singular"):
        spd.mean(s, "affine_invariant")
    both = torch.stack([wishart(4, batch=(), seed=1), s[0]])
    assert_close(spd.mean(both, "bures"), spd.geodesic(*both, 0.5, "bures"), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_pyriemann_finds_the_same(metric):
    mean = pytest.importorskip("pyriemann.utils.mean")
    name = {"log_euclidean": "logeuclid", "affine_invariant": "riemann", "bures": "wasserstein"}
    s, weights = wishart(4, batch=(6,)), torch.arange(1.0, 7.0).double()
    more = {} if metric == "log_euclidean" else {"tol": 1e-12, "maxiter": 500}
    function = getattr(mean, f"mean_{name[metric]}")
    oracle = function(s.numpy(), sample_weight=weights.numpy(), **more)
    assert_close(spd.mean(s, metric, weights), torch.from_numpy(oracle), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"s": torch.eye(3)}, r"s has shape \(3, 3\)"),
        ({"s": INDEFINITE.expand(4, 2, 2)}, r"s\[0\] is indefinite"),
        ({"metric": "mean"}, "metric='mean'"),
        ({"weights": torch.ones(3)}, r"weights have shape \(3,\)"),
        ({"weights": -torch.ones(4)}, "weights must be finite and 0 or more"),
        ({"weights": torch.zeros(4)}, "the sum of weights must be greater than 0"),
        ({"weights": torch.ones(4).double()}, "weights is torch.float64"),
        ({"iterations": 0}, "iterations=0"),
        ({"tolerance": 0.0}, "tolerance must be finite and greater"),
    ],
)
@every_metric
def test_what_has_no_mean_is_refused(unchecked, metric, change, message):
    given = dict(s=torch.eye(2).expand(4, 2, 2), metric=metric) | change
    with pytest.raises(ValueError, match=message):
        spd.mean(**given)


@pytest.mark.parametrize("metric", ["affine_invariant", "bures"])
def test_a_mean_that_was_not_found_is_none(metric):
    with pytest.raises(RuntimeError, match=f"the {metric} mean was not found.*after 2 iter"):
        spd.mean(wishart(4, batch=(6,)), metric, iterations=2)
