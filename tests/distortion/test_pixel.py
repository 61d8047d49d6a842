"""Distortions against independent formulas."""

import pytest
import torch
from torch.testing import assert_close

from tests.distortion.contract import InAModelContract, LowestContract, images
from vae_course.distortion import bernoulli, named, squared_error


class TestSquaredError(LowestContract, InAModelContract):
    @pytest.fixture
    def distortion(self):
        return squared_error

    def test_it_is_beta_times_the_gaussian_log_likelihood_with_variance_half_beta(self):
        x, x_hat = images(), images(seed=1)
        beta = 0.3
        pixels = torch.distributions.Normal(x_hat, (beta / 2) ** 0.5)
        constant = x[0].numel() / 2 * torch.log(torch.tensor(torch.pi * beta, dtype=x.dtype))
        log_likelihood = pixels.log_prob(x).flatten(1).sum(1)
        assert_close(squared_error(x, x_hat), -beta * (log_likelihood + constant))


class TestBernoulli(LowestContract, InAModelContract):
    zero = False
    output = staticmethod(torch.logit)

    @pytest.fixture
    def distortion(self):
        return bernoulli

    @pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
    def test_it_is_the_negative_log_likelihood_of_binary_images(self, dtype, tol):
        x, logits = images().round(), 25 * images(seed=1) - 12.5
        oracle = torch.distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
        assert_close(bernoulli(x.to(dtype), logits.to(dtype)).double(), -oracle, rtol=tol, atol=tol)

    def test_it_stays_finite_at_extreme_logits(self):
        x = torch.tensor([[0.0, 1.0, 0.5]])
        assert_close(bernoulli(x, torch.tensor([[1e4, -1e4, 1e4]])), torch.tensor([2.5e4]))
        assert_close(bernoulli(x[:, :2], torch.tensor([[-1e4, 1e4]])), torch.tensor([0.0]))


def test_an_unknown_distortion_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="distortion='mse'.*bernoulli.*squared_error"):
        named("mse")
