"""The figure of the contract, the Python side: what it packs, and the ratios it states."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.figures.contract import FigureContract
from vae_course.figures import Contract


def linear(gain: float, seed: int = 0) -> nn.Sequential:
    """A linear decoder z -> gain * W z to 2x3 pixels, with orthonormal columns."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(2, 6, bias=False)
    with torch.no_grad():
        layer.weight.copy_(gain * torch.linalg.qr(torch.randn(6, 2, generator=generator)).Q)
    return nn.Sequential(layer)


def given(n: int = 20) -> dict:
    generator = torch.Generator().manual_seed(1)  # 0 is the noise of the figure
    return {
        "names": ["VAE", "KL only"],
        "mu": torch.randn(2, n, 2, generator=generator),
        "sigma": 0.1 + torch.rand(2, n, 2, generator=generator),
        "labels": torch.arange(n) % 10,
        "images": torch.rand(n, 2, 3, generator=generator),
        "decoders": [linear(1.0), linear(3.0)],
    }


class TestContract(FigureContract):
    kind = Contract
    other = {"selected": 1}
    page = 200_000
    refused = [
        ({"names": []}, "must not be empty"),
        ({"names": ["one"]}, r"mu must be .* = \(1, 20, 2\)"),
        ({"mu": torch.full((2, 20, 2), float("inf"))}, "mu must be finite"),
        ({"sigma": torch.zeros(2, 20, 2)}, "sigma must be positive, got 0"),
        ({"sigma": torch.ones(2, 20, 3)}, r"sigma must be .* = \(2, 20, 2\)"),
        ({"labels": torch.arange(20)}, r"in 0\.\.9"),
        ({"images": torch.zeros(20, 6)}, r"images must be .* = \(20, h, w\)"),
        ({"images": torch.full((20, 2, 3), 2.0)}, r"in \[0, 1\]"),
        ({"images": torch.zeros(20, 2, 2)}, "map 2 to 4 numbers"),
        ({"decoders": [linear(1.0)]}, "decoders must be one a model, 2, got 1"),
        ({"selected": 20}, r"selected must be in 0\.\.19"),
    ]

    def given(self) -> dict:
        return given()

    def largest(self) -> Contract:
        """200 images and three decoders in float16."""
        layers = [nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 64)]
        n = 200
        return Contract(
            ["a", "b", "c"],
            torch.zeros(3, n, 2),
            torch.ones(3, n, 2),
            torch.arange(n) % 10,
            torch.zeros(n, 8, 8),
            [nn.Sequential(*layers)] * 3,
            dtype="float16",
        )


def test_codes_are_packed_exactly_and_images_to_8_bits():
    data = given()
    figure = Contract(**data)
    codes = np.frombuffer(figure.codes, "<f4").reshape(2, 2, 20, 2)
    assert np.array_equal(codes[0], data["mu"]) and np.array_equal(codes[1], data["sigma"])
    packed = np.frombuffer(figure.images, np.uint8)
    assert (packed[:20] == data["labels"].numpy()).all()
    shown = packed[20:].reshape(20, 2, 3) / 255
    assert np.abs(shown - data["images"].numpy()).max() <= 0.5 / 255 + 1e-6


def test_the_ratio_of_a_linear_decoder_is_one_plus_its_noise_over_its_error():
    # With orthonormal columns E||x - gW(mu + sigma eps)||² = ||x - gW mu||² + g² sum sigma².
    data = given(2000)
    ratios = Contract(**data).spec["ratios"]
    for k, (gain, ratio) in enumerate(zip((1.0, 3.0), ratios, strict=True)):
        x, mu, sigma = data["images"].flatten(1), data["mu"][k], data["sigma"][k]
        with torch.no_grad():
            at_centre = (x - data["decoders"][k](mu)).square().sum(1).mean()
        noise = gain**2 * sigma.square().sum(1).mean()
        # 32,000 draws of a sum whose spread is about its mean: 1 % is 2 standard errors.
        assert ratio == pytest.approx(float(1 + noise / at_centre), rel=0.02)
