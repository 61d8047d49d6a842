"""Sampling of slots, the Python side: what the figure packs, what it refuses."""

import math

import numpy as np
import torch
from torch import nn

from tests.figures.contract import DecoderFigureContract
from vae_course.figures import SlotSampling


def decoder(inputs: int = 6, pixels: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Flatten(-2), nn.Linear(inputs, 16), nn.SiLU(), nn.Linear(16, pixels)]
    return nn.Sequential(*layers, nn.Unflatten(-1, (1, 2, 3)))


def given() -> dict:
    generator = torch.Generator().manual_seed(1)
    return {
        "codebook": torch.randn(4, 2, generator=generator),
        "tuples": torch.randint(4, (30, 3), generator=generator),
        "decoder": decoder(),
        "image_shape": (1, 2, 3),
        "prior": torch.randint(4, (7, 3), generator=generator),
    }


class TestSlotSampling(DecoderFigureContract):
    kind = SlotSampling
    other = {"seed": 1}
    page = 110_000
    refused = [
        ({"codebook": torch.zeros(4)}, r"codebook must be \(2 to 256, d\), got \(4,\)"),
        ({"codebook": torch.zeros(257, 2)}, "codebook must be"),
        ({"codebook": torch.full((4, 2), math.nan)}, "codebook must be finite"),
        ({"tuples": torch.zeros(30, 1).long()}, r"2 to 8 slots\), got \(30, 1\)"),
        ({"tuples": torch.zeros(30, 9).long()}, "2 to 8 slots"),
        ({"tuples": torch.zeros(0, 3).long()}, "2 to 8 slots"),
        ({"tuples": torch.full((30, 3), 4)}, r"tuples must be in 0\.\.3, got 4 to 4"),
        ({"tuples": torch.full((30, 3), -1)}, r"tuples must be in 0\.\.3, got -1 to -1"),
        ({"prior": torch.zeros(7, 2).long()}, r"prior must be \(draws, 3\), got \(7, 2\)"),
        ({"prior": torch.full((7, 3), 9)}, r"prior must be in 0\.\.3, got 9 to 9"),
        ({"image_shape": (6,)}, r"image_shape must be \(h, w\)"),
        ({"image_shape": (3, 1, 2)}, r"image_shape must be \(h, w\)"),
        ({"image_shape": (3, 3)}, r"map 6 to 9 numbers, got \(6, 6\)"),
        ({"decoder": decoder(8)}, r"map 6 to 6 numbers, got \(8, 6\)"),
        ({"seed": -1}, r"seed must be in 0\.\.999999, got -1"),
        ({"seed": 1_000_000}, "seed must be in"),
    ]

    def given(self) -> dict:
        return given()

    def largest(self) -> SlotSampling:
        """The tuples of 1,257 images, and a decoder."""
        layers = [nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 64)]
        tuples = torch.randint(8, (1257, 4))
        return SlotSampling(torch.randn(8, 2), tuples, nn.Sequential(*layers), (8, 8), prior=tuples)


def test_the_codebook_and_the_tuples_are_packed_exactly():
    data = given()
    figure = SlotSampling(**data)
    assert np.array_equal(np.frombuffer(figure.codes, "<f4").reshape(4, 2), data["codebook"])
    packed = np.frombuffer(figure.tuples, np.uint8).reshape(-1, 3)
    assert np.array_equal(packed, torch.cat([data["tuples"], data["prior"]]))
    assert figure.chosen == data["tuples"][0].tolist()
    counts = {k: figure.spec[k] for k in ("num_codes", "slots", "recorded", "drawn", "shape")}
    assert counts == {"num_codes": 4, "slots": 3, "recorded": 30, "drawn": 7, "shape": [2, 3]}


def test_256_codes_fit_a_byte():
    data = given() | {"codebook": torch.zeros(256, 2), "tuples": torch.full((2, 3), 255)}
    assert set(SlotSampling(**data | {"prior": None}).tuples) == {255}
