"""Distortions against independent formulas."""

import pytest
import torch
from torch.testing import assert_close

from vae_course.distortion import bernoulli, named, squared_error


def batch(n=5, shape=(1, 3, 4), seed=0, dtype=torch.float64):
    return torch.rand(2, n, *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_squared_error_is_beta_times_the_gaussian_log_likelihood_with_variance_half_beta():
    x, x_hat = batch()
    beta = 0.3
    pixels = torch.distributions.Normal(x_hat, (beta / 2) ** 0.5)
    constant = x[0].numel() / 2 * torch.log(torch.tensor(torch.pi * beta, dtype=x.dtype))
    log_likelihood = pixels.log_prob(x).flatten(1).sum(1)
    assert_close(squared_error(x, x_hat), -beta * (log_likelihood + constant))


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_bernoulli_is_the_negative_log_likelihood_of_binary_images(dtype, tol):
    x, logits = batch(dtype=torch.float64)
    x, logits = x.round(), 20 * logits - 10
    oracle = torch.distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    assert_close(bernoulli(x.to(dtype), logits.to(dtype)).double(), -oracle, rtol=tol, atol=tol)


def test_bernoulli_is_smallest_where_the_decoded_pixel_is_the_image():
    x = torch.tensor([[0.1, 0.25, 0.5, 0.9]], dtype=torch.float64)
    logits = x.logit().requires_grad_()
    (gradient,) = torch.autograd.grad(bernoulli(x, logits).sum(), logits)
    assert_close(gradient, torch.zeros_like(x), rtol=0.0, atol=1e-15)


def test_bernoulli_stays_finite_at_extreme_logits():
    x = torch.tensor([[0.0, 1.0, 0.5]])
    assert_close(bernoulli(x, torch.tensor([[1e4, -1e4, 1e4]])), torch.tensor([2.5e4]))
    assert_close(bernoulli(x[:, :2], torch.tensor([[-1e4, 1e4]])), torch.tensor([0.0]))


@pytest.mark.parametrize("distortion", [squared_error, bernoulli])
def test_a_distortion_of_a_batch_is_that_of_each_image(distortion):
    x, output = batch()
    alone = torch.cat([distortion(x[i : i + 1], output[i : i + 1]) for i in range(len(x))])
    assert_close(distortion(x, output), alone)


def test_an_unknown_distortion_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="distortion='mse'.*bernoulli.*squared_error"):
        named("mse")
