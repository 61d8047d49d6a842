"""Four ways to write beta are one objective."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_course.gaussian import convert_beta


def loss(convention: str, beta: float, x: Tensor, x_hat: Tensor, rate: Tensor) -> Tensor:
    squares = (x - x_hat).square()
    if convention == "decoder_variance":
        return rate - Independent(Normal(x_hat, beta**0.5), 1).log_prob(x)
    distortion = {"sum": squares.sum(-1), "mean": squares.mean(-1), "half": squares.sum(-1) / 2}
    return distortion[convention] + beta * rate


CONVENTIONS = ("sum", "mean", "half", "decoder_variance")


@pytest.mark.parametrize("source, target", list(itertools.product(CONVENTIONS, repeat=2)))
def test_converted_betas_weigh_the_same_objective(source, target):
    generator = torch.Generator().manual_seed(0)
    x, x_hat = torch.rand(2, 50, 64, generator=generator, dtype=torch.float64)
    rate = 10 * torch.rand(50, generator=generator, dtype=torch.float64)
    converted = convert_beta(0.3, source, target, event_size=64)
    # Over 50 models, proportional up to a constant: correlation 1, hence the same best model.
    before, after = loss(source, 0.3, x, x_hat, rate), loss(target, converted, x, x_hat, rate)
    assert torch.corrcoef(torch.stack([before, after]))[0, 1].item() == pytest.approx(1, abs=1e-12)
    assert before.argsort().tolist() == after.argsort().tolist()
    back = convert_beta(converted, target, source, event_size=64)
    assert back == pytest.approx(0.3, rel=1e-15)


def test_the_decoder_variance_is_half_of_beta():
    assert convert_beta(0.1, "sum", "decoder_variance") == 0.05
    assert convert_beta(1 / 1e5, "mean", "sum", event_size=12288) == pytest.approx(0.12288)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0.1, "sum", "mean"), "event_size"),
        ((0.1, "total", "sum"), "source must be one of"),
        ((-0.1, "sum", "half"), "beta must"),
        ((math.nan, "sum", "half"), "beta must"),
    ],
)
def test_what_is_no_beta_and_no_convention_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        convert_beta(*arguments)


def test_what_is_no_number_is_refused_by_name(unchecked):
    with pytest.raises(TypeError, match="beta must be a number"):
        convert_beta("0.1", "sum", "half")
    with pytest.raises(TypeError, match="event_size must be an int"):
        convert_beta(0.1, "sum", "mean", event_size=0.5)
