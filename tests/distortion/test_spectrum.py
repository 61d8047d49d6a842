"""The spectrum seen through a distortion against explicit matrices, and measures of evenness."""

import math
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.func import jacrev, vmap
from torch.testing import assert_close

from tests.worlds import normal
from vae_course.distortion import (
    Feature,
    bernoulli,
    edge,
    mean_metric,
    metric_spectrum,
    participation_ratio,
    posterior_anisotropy,
    reverse_water_filling,
    squared_error,
    ssim,
)

DIGITS = torch.tensor(load_digits().images[:300] / 16)[:, None]


def seen(images, metric):
    """Eigenvalues of C M, which are those of C^(1/2) M C^(1/2), by NumPy's general solver."""
    flat = images.flatten(1).numpy()
    values = np.linalg.eigvals(np.cov(flat.T, bias=True) @ metric.numpy())
    return torch.tensor(np.sort(values.real)[::-1].copy())


def test_through_squared_error_it_is_the_spectrum_of_the_covariance():
    spectrum = metric_spectrum(DIGITS, squared_error)
    identity = torch.eye(64, dtype=torch.float64)
    assert spectrum.shape == (64,) and (spectrum.diff() <= 0).all() and (spectrum >= 0).all()
    assert_close(spectrum, seen(DIGITS, identity), rtol=0.0, atol=1e-12)
    assert_close(spectrum.sum(), DIGITS.flatten(1).var(0, correction=0).sum())


def test_through_edges_it_is_that_of_the_differences():
    def difference(n):
        return torch.eye(n, dtype=torch.float64).diff(dim=0)

    down, across = difference(8).T @ difference(8), difference(8).T @ difference(8)
    identity = torch.eye(8, dtype=torch.float64)
    metric = torch.kron(down, identity) + torch.kron(identity, across)
    metric += 0.05 * torch.eye(64, dtype=torch.float64)
    assert_close(metric_spectrum(DIGITS, edge), seen(DIGITS, metric), rtol=0.0, atol=1e-10)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.SiLU(), nn.Conv2d(3, 4, 3, stride=2)
        network = nn.Sequential(*layers, nn.ReLU()).double()
        network(DIGITS)  # running means
    return network.eval()


@pytest.mark.parametrize("normalise", [False, True])
def test_through_features_it_is_that_of_their_jacobian(network, normalise):
    """E[J^T J] by brute force; the activations' own curvature has no part in it."""
    loss = Feature(network, ["2", "4"], normalise=normalise)

    def features(x):
        a, b = network[:3](x[None]), network(x[None])
        if normalise:
            a, b = (v / (v.square().sum(1, keepdim=True) + loss.epsilon**2).sqrt() for v in (a, b))
        return torch.cat([a.flatten(), b.flatten()])

    jacobian = vmap(jacrev(features))(DIGITS[:40]).detach().flatten(2)  # (images, features, 64)
    metric = torch.einsum("nfp,nfq->pq", jacobian, jacobian) / 40
    spectrum = metric_spectrum(DIGITS[:40], loss)
    assert_close(spectrum, seen(DIGITS[:40], metric), rtol=0.0, atol=1e-10 * spectrum[0].item())


def test_through_similarity_the_distortion_of_a_small_step_is_its_quadratic_form():
    """The trace is the mean distortion of steps drawn from the data's covariance, made small."""
    images = 0.8 * DIGITS[:60] + 0.1
    flat = images.flatten(1) - images.flatten(1).mean(0)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(100, 60, generator=generator, dtype=torch.float64) / math.sqrt(60)
    steps = 1e-4 * (weights @ flat).reshape(-1, 1, 8, 8)  # of covariance 1e-8 C
    loss = torch.stack([ssim(images, images + step, window=7).mean() for step in steps]) / 1e-8
    trace = metric_spectrum(images, lambda x, y: ssim(x, y, window=7)).sum()
    assert (loss.mean() - trace).abs() < 4 * loss.std() / math.sqrt(len(loss))


def test_the_spectrum_scales_with_the_distortion_and_adds_for_equal_metrics():
    once = metric_spectrum(DIGITS, edge)
    both = metric_spectrum(DIGITS, lambda x, y: 3 * edge(x, y) + 2 * edge(x, y))
    assert_close(both, 5 * once)


def test_a_part_of_the_images_stands_for_all_and_the_seed_says_which():
    def brightness(x, x_hat):  # a metric that depends on the place
        return x.flatten(1).mean(1) * squared_error(x, x_hat)

    whole = metric_spectrum(DIGITS, brightness, points=10_000)
    part, again = (metric_spectrum(DIGITS, brightness, points=30, seed=1) for _ in range(2))
    other = metric_spectrum(DIGITS, brightness, points=30, seed=2)
    assert torch.equal(part, again) and not torch.equal(part, other)
    assert_close(part, whole, rtol=0.1, atol=1e-12)
    factor = DIGITS.flatten(1).mean()
    assert_close(whole, factor * metric_spectrum(DIGITS, squared_error))


def test_a_module_is_looked_at_in_eval_mode_and_left_as_it_was(network):
    loss = Feature(network, ["2"])
    noisy = nn.Sequential(nn.Dropout(0.5))

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.noisy, self.loss = noisy, loss

        def forward(self, x, x_hat):
            return self.loss(x, x + self.noisy(x_hat - x))

    module = Noisy().train()
    before = [m.training for m in module.modules()]
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    assert_close(metric_spectrum(DIGITS[:20], module), metric_spectrum(DIGITS[:20], loss))
    assert [m.training for m in module.modules()] == before
    for name, value in module.state_dict().items():
        assert torch.equal(value, weights[name])


def test_float32_gives_the_large_eigenvalues_to_six_digits(network):
    loss, images = Feature(network, ["4"]), DIGITS[:50]
    exact = metric_spectrum(images, loss)
    single = metric_spectrum(images.float(), Feature(network.float(), ["4"]))
    network.double()
    assert_close(single, exact, rtol=0.0, atol=1e-5 * exact[0].item())


@pytest.mark.parametrize(
    "data, distortion, arguments, message",
    [
        (DIGITS[:1], squared_error, {}, "two or more images"),
        (DIGITS[0, 0, 0], squared_error, {}, "two or more images"),
        (DIGITS * math.nan, squared_error, {}, "finite"),
        (DIGITS, squared_error, dict(points=0), "points=0"),
        (DIGITS, bernoulli, {}, "slope at x_hat = x"),
        (DIGITS, lambda x, y: (y - x).flatten(1).sum(1), {}, "linear"),
        (DIGITS, lambda x, y: squared_error(x, y.detach()), {}, "no_grad or detach"),
        (DIGITS, lambda x, y: squared_error(x, y).mean(), {}, "one value for each"),
        (DIGITS, lambda x, y: (y - x).flatten(1).norm(dim=1) ** 1.5, {}, "not finite|slope"),
        (DIGITS, lambda x, y: -squared_error(x, y), {}, "negative curvature"),
    ],
)
def test_what_has_no_metric_is_refused_with_the_reason(
    unchecked, data, distortion, arguments, message
):
    with pytest.raises(ValueError, match=message):
        metric_spectrum(data, distortion, **arguments)


# ---- evenness


def test_anisotropy_is_the_variance_over_latents_of_the_mean_log_variance():
    sigma = torch.rand(2, 50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = sigma + 0.1
    oracle = np.log(sigma.numpy() ** 2).mean(1).var(1)
    assert_close(posterior_anisotropy(sigma), torch.tensor(oracle))
    assert_close(posterior_anisotropy(sigma[0]), torch.tensor(oracle[0]))
    assert_close(posterior_anisotropy(sigma[0].float()).double(), torch.tensor(oracle[0]))
    profile = sigma[0].log().mean(0).exp()  # the geometric mean: the log is averaged first
    assert_close(posterior_anisotropy(profile), torch.tensor(oracle[0]))


def test_anisotropy_is_blind_to_scale_and_sees_collapsed_latents():
    sigma = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert_close(posterior_anisotropy(7 * sigma), posterior_anisotropy(sigma))
    assert posterior_anisotropy(torch.full((5,), 0.3)) == 0
    half = torch.tensor([0.1, 0.1, 1.0, 1.0])  # two in use alike, two collapsed: far from even
    assert posterior_anisotropy(half).item() == pytest.approx(math.log(0.1) ** 2, rel=1e-5)


def test_an_isotropic_metric_of_pixels_gives_anisotropic_codes_and_whitening_even_ones():
    spectrum = metric_spectrum(DIGITS, squared_error)[:8]
    evenness = [
        posterior_anisotropy(reverse_water_filling(s, 0.01).variances.sqrt())
        for s in (spectrum, torch.full_like(spectrum, spectrum.mean()))
    ]
    assert_close(evenness[0], spectrum.log().var(correction=0))
    assert evenness[1] < 1e-20


def test_the_participation_ratio_counts_equal_axes_and_is_the_ratio_of_traces():
    for n, of in ((1, 5), (3, 5), (5, 5)):
        spectrum = torch.zeros(of)
        spectrum[:n] = 0.7
        assert participation_ratio(spectrum).item() == pytest.approx(n, rel=1e-6)
    mu = torch.randn(2, 40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for codes, ratio in zip(
        mu,
        participation_ratio(torch.stack([torch.linalg.eigvalsh(torch.cov(m.T)) for m in mu])),
        strict=True,
    ):
        covariance = torch.cov(codes.T)
        assert_close(ratio, covariance.trace() ** 2 / covariance.square().sum())
    assert_close(participation_ratio(1e30 * torch.ones(4)), torch.tensor(4.0))  # no overflow


@pytest.mark.parametrize(
    "measure, value, message",
    [
        (posterior_anisotropy, torch.tensor([1.0, 0.0]), "positive"),
        (posterior_anisotropy, torch.tensor([1.0, math.nan]), "finite"),
        (posterior_anisotropy, torch.zeros(0), "shape"),
        (posterior_anisotropy, torch.tensor(1.0), "shape"),
        (participation_ratio, torch.tensor([1.0, -1e-9]), "clamp_min"),
        (participation_ratio, torch.zeros(3), "all 0"),
        (participation_ratio, torch.tensor(2.0), "at least one"),
    ],
)
def test_no_evenness_of_what_is_no_spectrum(unchecked, measure, value, message):
    with pytest.raises(ValueError, match=message):
        measure(value)


@pytest.mark.parametrize(
    "kinked",
    [
        lambda x, y: (x - y).abs().flatten(1).sum(1),
        lambda x, y: (x - y).abs().flatten(1).sum(1) + (x - y).square().flatten(1).sum(1),
        lambda x, y: ((x - y).square().flatten(1).sum(1) + 1e-20).sqrt(),
    ],
    ids=["absolute", "absolute and squared", "norm"],
)
def test_a_kink_has_no_metric(kinked):
    """An absolute value has the second derivative 0 everywhere: that is no spectrum."""
    data = torch.rand(20, 5, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="kink at x_hat = x"):
        metric_spectrum(data, kinked)


# ---- a part of the axes


def test_leading_axes_give_lower_bounds_that_close_in_on_the_whole():
    """Cauchy: a compression's eigenvalues lie below; with all axes it is no compression."""
    data = normal(40, 1, 4, 4)
    whole = metric_spectrum(data, edge)
    parts = [metric_spectrum(data, edge, axes=k) for k in (4, 9, 16)]
    assert [len(part) for part in parts] == [4, 9, 16]
    for part in parts:
        assert (part <= whole[: len(part)] * (1 + 1e-9)).all()
    assert (parts[0] <= parts[1][:4] * (1 + 1e-9)).all()
    assert parts[0][3] < 0.9 * whole[3]
    assert_close(parts[2], whole)


def test_squared_error_needs_no_more_axes_than_are_asked_for():
    data = normal(40, 1, 4, 4)
    whole = metric_spectrum(data, squared_error)
    assert_close(metric_spectrum(data, squared_error, axes=5), whole[:5])


@pytest.mark.parametrize("axes", [0, 17])
def test_axes_out_of_range_are_refused(axes):
    with pytest.raises(ValueError, match="axes=.*from 1 to 16"):
        metric_spectrum(normal(40, 1, 4, 4), squared_error, axes=axes)


def test_the_mean_metric_of_a_quadratic_form_is_its_matrix():
    data = normal(40, 1, 3, 3)
    root = normal(9, 9, seed=3)
    found = mean_metric(data, lambda x, y: ((y - x).flatten(1) @ root).square().sum(1), points=7)
    assert_close(found, root @ root.T)


# ---- images too large for a matrix


@pytest.fixture
def small_memory(monkeypatch):
    """As if 8 x 8 were too large."""
    monkeypatch.setattr(sys.modules[metric_spectrum.__module__], "LARGEST", 63)


@pytest.mark.parametrize("distortion", [squared_error, edge])
def test_axes_come_from_the_images_products_where_their_covariance_does_not_fit(
    monkeypatch, distortion
):
    images = DIGITS[:40]
    whole = metric_spectrum(images, distortion)
    few = metric_spectrum(images, distortion, axes=5)
    monkeypatch.setattr(sys.modules[metric_spectrum.__module__], "LARGEST", 63)
    assert_close(metric_spectrum(images, distortion, axes=5), few)
    # Along N - 1 axes nothing is left out: the images vary along no other.
    every = metric_spectrum(images, distortion, axes=39)
    assert_close(every, whole[:39])
    assert whole[39:].max() < 1e-12 * whole[0]


def test_what_fits_no_matrix_is_refused_with_the_size_and_what_helps(small_memory):
    with pytest.raises(ValueError, match="images of 64 numbers: a matrix 64 x 64 .* axes=9"):
        metric_spectrum(DIGITS[:10], squared_error)
    with pytest.raises(ValueError, match="64 x 64 .* metric_spectrum with axes"):
        mean_metric(DIGITS[:10], squared_error)
    with pytest.raises(ValueError, match="axes=10: 10 images vary along 9 at most"):
        metric_spectrum(DIGITS[:10], squared_error, axes=10)
    with pytest.raises(ValueError, match="data holds 100 images of 64 numbers: give 63"):
        metric_spectrum(DIGITS[:100], squared_error, axes=5)


def test_anisotropy_of_codes_that_are_images_is_that_of_their_flat_selves():
    sigma = normal(2, 30, 4, 3, 5).exp()
    flat = posterior_anisotropy(sigma.flatten(2))
    assert torch.equal(posterior_anisotropy(sigma, code_ndim=3), flat)
    profile = sigma[0, 0]
    alone = posterior_anisotropy(profile.flatten())
    assert torch.equal(posterior_anisotropy(profile, code_ndim=3), alone)
    with pytest.raises(ValueError, match=r"sigma has shape \(3, 5\): .*3 axes of a code"):
        posterior_anisotropy(sigma[0, 0, 0], code_ndim=3)
