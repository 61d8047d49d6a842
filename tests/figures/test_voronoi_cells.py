"""The Voronoi cells, the Python side: what the figure packs, what it refuses."""

import math

import numpy as np
import torch
from torch import nn

from tests.figures.contract import DecoderFigureContract
from vae_course.figures import VoronoiCells


def decoder(pixels: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, pixels))


def given(n: int = 20) -> dict:
    generator = torch.Generator().manual_seed(1)
    return {
        "centres": torch.randn(5, 2, generator=generator),
        "z": torch.randn(n, 2, generator=generator),
        "labels": torch.arange(n) % 10,
        "images": torch.rand(n, 2, 3, generator=generator),
        "decoder": decoder(),
    }


class TestVoronoiCells(DecoderFigureContract):
    kind = VoronoiCells
    other = {"selected": 1}
    page = 125_000
    refused = [
        ({"labels": torch.zeros(0, dtype=torch.int64)}, "labels must not be empty"),
        ({"centres": torch.zeros(5, 3)}, r"centres must be .* = \(5, 2\), got \(5, 3\)"),
        ({"centres": torch.zeros(1, 2)}, "centres must be 2 to 64 points, got 1"),
        ({"centres": torch.zeros(65, 2)}, "centres must be 2 to 64 points, got 65"),
        ({"centres": torch.full((5, 2), math.nan)}, "centres must be finite"),
        ({"z": torch.zeros(20, 8)}, r"z must be .* = \(20, 2\), got \(20, 8\)"),
        ({"z": torch.zeros(19, 2)}, r"z must be .* = \(20, 2\), got \(19, 2\)"),
        ({"z": torch.full((20, 2), math.inf)}, "z must be finite"),
        ({"labels": torch.arange(20)}, r"in 0\.\.9"),
        ({"images": torch.zeros(20, 6)}, r"images must be .* = \(20, h, w\)"),
        ({"images": torch.full((20, 2, 3), 2.0)}, r"in \[0, 1\], got 2 to 2"),
        ({"images": torch.zeros(20, 2, 2)}, "map 2 to 4 numbers"),
        ({"decoder": decoder(9)}, r"map 2 to 6 numbers, got \(2, 9\)"),
        ({"commitment": -0.1}, "commitment must be finite and not negative, got -0.1"),
        ({"commitment": math.inf}, "commitment must be"),
        ({"selected": 5}, r"selected must be in 0\.\.4, got 5"),
    ]

    def given(self) -> dict:
        return given()

    def largest(self) -> VoronoiCells:
        """300 codes and a decoder of 16 kB."""
        layers = [nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 64)]
        n, decoder = 300, nn.Sequential(*layers)
        codes, images = torch.zeros(n, 2), torch.zeros(n, 8, 8)
        return VoronoiCells(torch.randn(64, 2), codes, torch.arange(n) % 10, images, decoder)


def test_codes_are_packed_exactly_and_images_to_8_bits():
    data = given()
    figure = VoronoiCells(**data)
    codes = np.frombuffer(figure.codes, "<f4").reshape(-1, 2)
    assert np.array_equal(codes[:5], data["centres"]) and np.array_equal(codes[5:], data["z"])
    assert np.array_equal(np.array(figure.centres, "f4"), data["centres"])
    packed = np.frombuffer(figure.images, np.uint8)
    assert (packed[:20] == data["labels"].numpy()).all()
    shown = packed[20:].reshape(20, 2, 3) / 255
    assert np.abs(shown - data["images"].numpy()).max() <= 0.5 / 255 + 1e-6


def test_the_frame_is_a_square_that_holds_every_code_and_every_centre():
    data = given()
    data["centres"] = data["centres"] + torch.tensor([30.0, 0.0])
    spec = VoronoiCells(**data).spec
    low, high = torch.tensor(spec["low"]), torch.tensor(spec["high"])
    assert torch.allclose(high[0] - low[0], high[1] - low[1])
    for points in (data["centres"], data["z"]):
        assert ((points > low) & (points < high)).all()


def test_codes_in_one_place_still_have_a_frame():
    data = given()
    data["z"], data["centres"] = torch.zeros(20, 2), torch.zeros(5, 2)
    spec = VoronoiCells(**data).spec
    assert spec["low"][0] < 0 < spec["high"][0]
