"""The figure of two balls, the Python side: its ranges and its saved state."""

import math

import pytest
import torch

from tests.figures.contract import FigureContract
from vae_course import gaussian
from vae_course.figures import TwoBalls, state


class TestTwoBalls(FigureContract):
    kind = TwoBalls
    other = {"d": 64}
    code = 35_000
    refused = [
        ({"d": 5}, r"d must be one of \(2, 3, .*got 5"),
        ({"spacing": -0.1}, "spacing must be from 0 to 3, got -0.1"),
        ({"spacing": math.nan}, "spacing must be"),
        ({"sigma": 0.0}, "sigma must be from 0.05 to 1, got 0.0"),
        ({"sigma": 1.5}, "sigma must be"),
    ]


def test_a_saved_figure_says_where_its_sliders_start():
    [record] = state(TwoBalls(spacing=1.5, sigma=0.25, d=64))["state"].values()
    kept = {key: record["state"][key] for key in ("spacing", "sigma", "d")}
    assert kept == {"spacing": 1.5, "sigma": 0.25, "d": 64}
    assert record["buffers"] == []
    assert "render" in record["state"]["_esm"]


def test_the_figure_starts_where_its_balls_touch():
    figure = TwoBalls()
    assert figure.spacing == 2 * figure.sigma
    mu = torch.zeros(2, figure.d, dtype=torch.float64)
    mu[1, 0] = figure.spacing * figure.d**0.5
    sigma = torch.full_like(mu, figure.sigma)
    overlap = gaussian.bhattacharyya(mu[0], sigma[0], mu[1], sigma[1]).item()
    assert overlap == pytest.approx(math.exp(-figure.d / 2), rel=1e-12)
