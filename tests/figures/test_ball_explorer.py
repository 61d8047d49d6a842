"""The ball explorer, the Python side: what it packs, what it reads out, what it refuses."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from tests.figures.contract import FigureContract, decoder
from vae_course.figures import BallExplorer, fragment, state


def sweep(betas: int = 2, n: int = 30) -> dict:
    g = torch.Generator().manual_seed(0)
    return {
        "betas": [10.0 ** (k - betas + 1) for k in range(betas)],
        "mu": torch.randn(betas, n, 2, generator=g),
        "sigma": 0.1 + torch.rand(betas, n, 2, generator=g),
        "labels": torch.arange(n) % 10,
        "images": torch.rand(n, 8, 8, generator=g),
        "decoders": [decoder(seed) for seed in range(betas)],
    }


class TestBallExplorer(FigureContract):
    kind = BallExplorer
    other = {"selected": 1}
    code = 35_000
    page = 350_000
    refused = [
        ({"betas": [1.0, 0.1]}, "betas must be ascending"),
        ({"betas": []}, "must not be empty"),
        ({"mu": torch.zeros(2, 30, 3)}, r"mu must be .* = \(2, 30, 2\)"),
        ({"mu": torch.full((2, 30, 2), float("nan"))}, "mu must be finite"),
        ({"sigma": torch.ones(1, 30, 2)}, r"sigma must be .* = \(2, 30, 2\)"),
        ({"sigma": -torch.ones(2, 30, 2)}, "sigma must not be negative, got -1"),
        ({"labels": torch.arange(30)}, r"in 0\.\.9"),
        ({"images": torch.zeros(30, 64)}, r"images must be .* = \(30, h, w\)"),
        ({"images": torch.full((30, 8, 8), 16.0)}, r"in \[0, 1\]"),
        ({"images": torch.zeros(30, 7, 8)}, "map 2 to 56 numbers"),
        ({"decoders": [decoder()]}, "decoders must be one a beta, 2, got 1"),
        ({"readouts": {"gap": [1.0]}}, "readouts.*'gap'.*one a beta"),
        ({"beta_index": 2}, r"beta_index must be in 0\.\.1"),
        ({"selected": 30}, r"selected in 0\.\.29"),
    ]

    def given(self) -> dict:
        return sweep()

    def largest(self) -> BallExplorer:
        """500 balls and 6 decoders."""
        return BallExplorer(**sweep(betas=6, n=500))


def test_codes_labels_and_images_survive_the_packing():
    given = sweep()
    figure = BallExplorer(**given)
    codes = np.frombuffer(figure.codes, "<f2").reshape(2, 2, 30, 2).astype(np.float32)
    assert np.allclose(codes[0], given["mu"], rtol=1e-3, atol=1e-6)
    assert np.allclose(codes[1], given["sigma"], rtol=1e-3)
    packed = np.frombuffer(figure.images, np.uint8)
    assert (packed[:30] == given["labels"].numpy()).all()
    shown = packed[30:].reshape(30, 8, 8) / 255
    assert np.abs(shown - given["images"].numpy()).max() <= 0.5 / 255 + 1e-6


def test_the_rate_is_the_mean_kl_to_the_prior_and_the_distortion_of_a_perfect_point_is_zero():
    given = sweep()
    given["sigma"][0] = 0  # an autoencoder: points, whose rate is infinite
    given["images"] = given["decoders"][0](given["mu"][0]).detach().sigmoid().reshape(30, 8, 8)
    given["decoders"][0].append(nn.Sigmoid())
    rates = BallExplorer(**given, readouts={"gap": [3.0, 0.25]}).spec["readouts"]
    prior = Normal(torch.zeros(()), torch.ones(()))
    kl = kl_divergence(Normal(given["mu"][1], given["sigma"][1]), prior).sum(-1).mean()
    assert rates["rate (nats)"][0] == "∞"
    assert float(rates["rate (nats)"][1]) == pytest.approx(kl.item(), rel=5e-3)  # three digits
    assert float(rates["distortion"][0]) < 1e-9
    assert rates["gap"] == ["3", "0.25"]


def test_a_fragment_holds_no_tag_but_its_own():
    html = fragment(state(BallExplorer(**sweep(), readouts={"</script><!--<b>": [0.0, 1.0]})))
    assert re.findall(r"</?[a-z!]+", html) == ["<script", "</script"] * 2
