"""Quadratic forms of distortions against finite differences and independent code."""

import functools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.distortion.contract import LowestContract
from vae_course.data import load, toy_isometric as toy
from vae_course.distortion import bernoulli
from vae_course.isometry import (
    metric_bce,
    metric_logits,
    metric_scaled,
    metric_ssim,
    pullback_metric,
    ssim_distortion,
)

SHAPE = (4, 1, 9, 10)


class TestDissimilarity(LowestContract):
    float32_error = 1e-3  # one minus a similarity near one: 1e-6 of that

    @pytest.fixture
    def distortion(self):
        return ssim_distortion


class TestWeightedError(LowestContract):
    @pytest.fixture
    def distortion(self):
        return lambda x, x_hat: toy.weighted_error(x.flatten(1), x_hat.flatten(1))


def uniform(*shape, seed=0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def change(size: float, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(*SHAPE, dtype=torch.float64, generator=generator)


def form(metric, x: Tensor, v: Tensor) -> Tensor:
    return (v * metric(x, v)).flatten(1).sum(1)


def ssim_by_loops(x: np.ndarray, y: np.ndarray, window: int, c1=1e-4, c2=9e-4) -> float:
    """Wang et al. 2004, equation 13, with even weights and 1/N moments; one image, one channel."""
    values = []
    for i in range(x.shape[0] - window + 1):
        for j in range(x.shape[1] - window + 1):
            a, b = (t[i : i + window, j : j + window].ravel() for t in (x, y))
            covariance = np.cov(a, b, bias=True)
            means = 2 * a.mean() * b.mean() + c1, a.mean() ** 2 + b.mean() ** 2 + c1
            rest = 2 * covariance[0, 1] + c2, covariance.trace() + c2
            values.append(means[0] * rest[0] / means[1] / rest[1])
    return float(np.mean(values))


@pytest.mark.parametrize("size", [1e-2, 1e-3])
def test_the_cross_entropy_is_its_quadratic_form_for_small_changes(size):
    x = 0.2 + 0.6 * uniform(*SHAPE)
    delta = change(size)
    exact = bernoulli(x, (x + delta).logit()) - bernoulli(x, x.logit())
    assert_close(form(metric_bce, x, delta) / exact, torch.ones(4).double(), rtol=5 * size, atol=0)


@pytest.mark.parametrize("size", [1e-2, 1e-3])
def test_the_cross_entropy_is_its_quadratic_form_in_logits(size):
    logits, delta = 4 * uniform(*SHAPE) - 2, change(size)
    x = logits.sigmoid()
    exact = bernoulli(x, logits + delta) - bernoulli(x, logits)
    ratio = form(metric_logits, logits, delta) / exact
    assert_close(ratio, torch.ones(4).double(), rtol=5 * size, atol=0)


def test_means_and_logits_measure_the_same_lengths():
    w = change(1.0).reshape(4, -1)[:3, :8]
    z = uniform(6, 3, seed=2)
    in_means = pullback_metric(lambda z: (z @ w).sigmoid(), z, metric_bce)
    in_logits = pullback_metric(lambda z: z @ w, z, metric_logits)
    assert_close(in_means, in_logits)


def test_saturated_pixels_have_length_zero_not_nan():
    logits = torch.tensor([[-200.0, 0.0, 200.0]])
    v = torch.ones(1, 3)
    assert_close(metric_logits(logits, v), torch.tensor([[0.0, 0.125, 0.0]]))
    x = logits.sigmoid()
    assert_close(metric_bce(x, v * x * (1 - x)), torch.tensor([[0.0, 0.5, 0.0]]))


@pytest.mark.parametrize("window", [1, 3, 7])
def test_the_dissimilarity_is_one_minus_the_published_ssim(window):
    x, y = uniform(*SHAPE).numpy(), uniform(*SHAPE, seed=5).numpy()
    y = 0.5 * x + 0.5 * y
    oracle = [1 - ssim_by_loops(a[0], b[0], window) for a, b in zip(x, y, strict=True)]
    ours = ssim_distortion(torch.from_numpy(x), torch.from_numpy(y), window=window)
    assert_close(ours, torch.tensor(oracle, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("window", [3, 7])
@pytest.mark.parametrize("size", [1e-3, 1e-4])
def test_ssim_is_its_quadratic_form_for_small_changes(window, size):
    x = load("digits").train[:4].double()
    x = torch.nn.functional.pad(x, (1, 1, 1, 0)) + 0.1 * uniform(*SHAPE, seed=4)
    delta = change(size)
    exact = [
        1 - ssim_by_loops(a.numpy()[0], b.numpy()[0], window)
        for a, b in zip(x, x + delta, strict=True)
    ]
    ratio = form(functools.partial(metric_ssim, window=window), x, delta) / torch.tensor(exact)
    assert_close(ratio, torch.ones(4).double(), rtol=0, atol=max(5 * size, 1e-3))


def test_the_ssim_metric_is_half_the_hessian_for_every_pair_of_pixels():
    x = uniform(1, 2, 5, 6)  # two channels
    flat = x.reshape(1, -1)

    def distortion(y: Tensor) -> Tensor:
        return ssim_distortion(x, y.reshape(x.shape), window=3)[0]

    hessian = torch.autograd.functional.hessian(distortion, flat)[0, :, 0, :]
    m = flat.numel()
    columns = torch.eye(m, dtype=x.dtype).reshape(m, *x.shape)  # a stack of tangent vectors
    matrix = metric_ssim(x, columns, window=3).reshape(m, m)
    assert_close(matrix, hessian / 2, rtol=1e-8, atol=1e-8)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-10


def test_a_stack_of_tangents_is_measured_one_by_one():
    x = 0.2 + 0.6 * uniform(*SHAPE)
    stack = torch.stack([change(1.0, seed) for seed in range(3)])
    for metric in (
        metric_bce,
        metric_logits,
        metric_ssim,
        metric_scaled(lambda x: x.amax((1, 2, 3))),
    ):
        assert_close(metric(x, stack), torch.stack([metric(x, v) for v in stack]))


def test_dark_flat_regions_are_where_ssim_looks():
    v = torch.ones(1, 1, 8, 8)
    dark, bright = (form(metric_ssim, torch.full_like(v, level), v) for level in (0.0, 1.0))
    assert_close(dark / bright, torch.tensor([(2 + 1e-4) / 1e-4]), rtol=1e-3, atol=0)


def test_the_weighted_error_has_the_weight_as_its_metric():
    x = load("toy_isometric", n_train=50, n_test=1).train.double()
    delta = 1e-3 * uniform(50, 16)
    exact = toy.weighted_error(x, x + delta)
    assert_close(form(metric_scaled(toy.weight), x, delta), exact, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", ["A", "B", "G"])
def test_the_toys_weight_averages_one_and_is_positive(kind):
    x = load("toy_isometric", kind=kind).train.double()
    for slope in (2 / 21, 0.25):
        a = toy.weight(x, slope)
        assert a.min() > 0
        # The standard error of a mean of 50,000 squared norms, four times.
        assert abs(a.mean() - 1) < 4 * slope * x.square().sum(1).std() / len(x) ** 0.5
    assert_close(toy.weight(x), 2 / 3 + 2 / 21 * x.square().sum(1))


@pytest.mark.parametrize(
    "metric, tol", [(metric_bce, 1e-5), (metric_logits, 1e-6), (metric_ssim, 1e-4)]
)
def test_metrics_hold_in_float32(metric, tol):
    x, v = 0.02 + 0.96 * uniform(*SHAPE), change(1.0)
    exact = metric(x, v)
    error = (metric(x.float(), v.float()).double() - exact).abs().max()
    assert error < tol * exact.abs().max()


@pytest.mark.parametrize("slope", [-0.1, 2 / 7, float("nan")])
def test_slopes_that_make_a_price_negative_are_refused(slope):
    with pytest.raises(ValueError, match="slope=.*must be in"):
        toy.weight(torch.zeros(2, 16), slope)


def test_means_outside_the_unit_interval_are_refused():
    with pytest.raises(ValueError, match=r"x lies in \[0, 1.5\].*metric_logits"):
        metric_bce(torch.tensor([[0.0, 1.5]]), torch.ones(1, 2))


def test_images_smaller_than_the_window_are_refused(unchecked):
    small = torch.zeros(2, 1, 6, 9)
    with pytest.raises(ValueError, match="windows of 7 x 7 need images"):
        ssim_distortion(small, small)
    with pytest.raises(ValueError, match="windows of 7 x 7 need images"):
        metric_ssim(torch.zeros(2, 64), torch.zeros(2, 64))
    with pytest.raises(ValueError, match="shapes differ"):
        ssim_distortion(small, small[:1])


@pytest.mark.parametrize("weight", [lambda x: x, lambda x: -x.square().sum(1)])
def test_weights_that_are_no_price_are_refused(weight):
    with pytest.raises(ValueError, match=r"must give \(2,\) positive numbers"):
        metric_scaled(weight)(torch.ones(2, 3), torch.ones(2, 3))
