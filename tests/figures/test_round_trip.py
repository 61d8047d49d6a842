"""The figure of one code, the Python side: the likeliest linear model, the exact ball."""

import math

import numpy as np
import pytest
import torch

from tests.figures.contract import FigureContract
from vae_course.figures import RoundTrip


def images(n: int = 40, seed: int = 0) -> torch.Tensor:
    """3x4 images with two strong directions and weak noise around them."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(12, 2, generator=generator)).Q
    codes = torch.randn(n, 2, generator=generator) * torch.tensor([0.3, 0.2])
    x = 0.5 + codes @ directions.T + 0.04 * torch.randn(n, 12, generator=generator)
    return x.clamp(0, 1).reshape(n, 3, 4)


class TestRoundTrip(FigureContract):
    kind = RoundTrip
    other = {"selected": 1}
    refused = [
        ({"images": torch.rand(3, 2, 2)}, "4 or more"),
        ({"images": torch.rand(9, 1, 2)}, "3 pixels or more, got 9 of 2"),
        ({"images": torch.rand(9, 4)}, r"images must be \(images, h, w\)"),
        ({"images": torch.full((9, 2, 2), 2.0)}, r"in \[0, 1\]"),
        ({"images": torch.full((9, 2, 2), math.nan)}, r"in \[0, 1\]"),
        ({"images": torch.linspace(0, 1, 9)[:, None, None].expand(9, 2, 2)}, "three directions"),
        ({"shown": 0}, r"shown must be in 1\.\.24, got 0"),
        ({"shown": 41}, r"shown must be in 1\.\.24"),
        ({"selected": 8}, r"selected must be in 0\.\.7, got 8"),
        ({"beta": 0.0}, "beta must be in"),
        ({"beta": math.nan}, "beta must be in .* got nan"),
    ]

    def given(self) -> dict:
        return {"images": images()}

    def largest(self) -> RoundTrip:
        """The zeros and ones of the digits: 251 images of 64 pixels."""
        return RoundTrip(torch.rand(251, 8, 8, generator=torch.Generator().manual_seed(0)))


def likelihood(flat: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    law = torch.distributions.MultivariateNormal(flat.mean(0), covariance)
    return law.log_prob(flat).sum()


def test_the_own_beta_and_its_axes_are_the_likeliest():
    # Of all w w' + gamma I: the gradient of the likelihood vanishes, and it falls on both sides.
    x = images()
    figure, flat = RoundTrip(x), x.flatten(1).double()
    numbers = torch.from_numpy(np.frombuffer(figure.numbers, "<f4").copy()).double()
    axes = numbers[12:36].reshape(2, 12)
    eigenvalues = torch.tensor(figure.spec["eigenvalues"], dtype=torch.float64)
    scaled = axes * (eigenvalues - figure.beta / 2).sqrt()[:, None]
    w = scaled.clone().requires_grad_()
    log_gamma = torch.tensor(math.log(figure.beta / 2), dtype=torch.float64, requires_grad=True)
    total = likelihood(flat, w.T @ w + log_gamma.exp() * torch.eye(12))
    for slope in torch.autograd.grad(total, (w, log_gamma)):
        assert slope.abs().max() < 1e-2  # of a likelihood of about 700, from axes in float32
    for factor in (0.9, 1.1):
        other = likelihood(flat, scaled.T @ scaled + factor * figure.beta / 2 * torch.eye(12))
        assert other < total - 0.5  # by about n (m - 2) 0.1^2 / 4 = 1


def test_at_its_own_beta_the_error_is_half_of_it_a_pixel():
    # beta = 2 D / m, with D the mean over images of E ||x - x_hat(z)||^2 at the posteriors
    x = images()
    figure, flat = RoundTrip(x), x.flatten(1).double()
    eigenvalues = torch.tensor(figure.spec["eigenvalues"], dtype=torch.float64)
    gamma = figure.beta / 2
    # What is off the axes, the shrinkage (gamma / lambda)^2 lambda, and the noise w^2 sigma^2.
    off = (flat - flat.mean(0)).square().sum(1).mean() - eigenvalues.sum()
    shrinkage = (gamma**2 / eigenvalues).sum()
    noise = ((eigenvalues - gamma) * gamma / eigenvalues).sum()
    assert 2 * (off + shrinkage + noise) / 12 == pytest.approx(figure.beta, rel=1e-9)


def test_it_starts_at_the_posterior_of_the_selected_image():
    x = images()
    figure, flat = RoundTrip(x, beta=0.03, selected=2), x.flatten(1).double()
    numbers = torch.from_numpy(np.frombuffer(figure.numbers, "<f4").copy()).double()
    eigenvalues = torch.tensor(figure.spec["eigenvalues"], dtype=torch.float64)
    w = numbers[12:36].reshape(2, 12).T * (eigenvalues - 0.015).sqrt()
    precision = torch.eye(2) + w.T @ w / 0.015  # Bishop 2006, eq. 2.117
    mean = torch.linalg.solve(precision, w.T @ (flat[2] - flat.mean(0)) / 0.015)
    assert figure.mu == pytest.approx(mean.tolist(), abs=1e-5)
    covariance = torch.linalg.inv(precision)
    assert figure.sigma == pytest.approx(covariance.diagonal().sqrt().tolist(), abs=1e-6)
    assert covariance[0, 1].abs() < 1e-6


def test_a_price_above_an_axis_leaves_it_to_the_prior():
    figure = RoundTrip(images())
    first, second = figure.spec["eigenvalues"]
    figure = RoundTrip(images(), beta=first + second)  # between 2 * second and 2 * first
    assert figure.mu[1] == 0 and figure.sigma[1] == 1 and figure.sigma[0] < 1
