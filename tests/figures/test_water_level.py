"""The water-filling figure, the Python side: what it takes, refuses and packs."""

import pytest
import torch

from tests.figures.contract import FigureContract
from vae_course.figures import WaterLevel

SPECTRUM = torch.tensor([0.5, 4.0, 1.0])


class TestWaterLevel(FigureContract):
    kind = WaterLevel
    other = {"beta": 1.0}
    page = 40_000
    refused = [
        ({"spectrum": torch.zeros(0)}, r"\(n,\) with n from 1 to 64"),
        ({"spectrum": torch.ones(65)}, r"with n from 1 to 64, got \(65,\)"),
        ({"spectrum": torch.ones(2, 2)}, "with n from 1 to 64"),
        ({"spectrum": torch.tensor([1.0, 0.0])}, "positive, finite"),
        ({"spectrum": torch.tensor([1.0, float("nan")])}, "positive, finite"),
        ({"spectrum": torch.tensor([1.0, 1e-7])}, "at most a factor of 1e6 apart"),
        ({"beta": 0.0}, r"beta must be in \[0.4, 10\], got 0.0"),
        ({"beta": 11.0}, "got 11.0"),
        ({"rest": -1.0}, "rest must be finite and not negative, got -1.0"),
        ({"trained": {0.1: (-1.0, 2.0)}}, "trained must map a positive beta"),
        ({"trained": {0.1: (1.0, float("inf"))}}, "finite"),
    ]

    def given(self) -> dict:
        return {"spectrum": SPECTRUM}

    def largest(self) -> WaterLevel:
        return WaterLevel(torch.rand(64) + 0.1)


def test_the_spectrum_is_sorted_and_the_water_starts_where_it_is_told():
    figure = WaterLevel(SPECTRUM.requires_grad_(), 1.5, trained={2.0: (0.3, 2), 0.5: (1.0, 0.7)})
    assert figure.spectrum == [4.0, 1.0, 0.5] and figure.beta == 1.5
    assert figure.trained == [[0.5, 1.0, 0.7], [2.0, 0.3, 2.0]]
    assert WaterLevel(torch.tensor([4.0])).beta == pytest.approx(1.6)
