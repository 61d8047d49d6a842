"""Two rate-distortion curves, the Python side: the four-symbol example by its closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from tests.figures.contract import FigureContract
from vae_course.figures.two_curves import TwoCurves, four_symbols


def closed_form(beta: float) -> list[tuple[float, float]]:
    """(rate, distortion) of both: symbols (or pairs) confused evenly, as the symmetry demands."""
    weight = math.exp(-1 / beta)
    laws = [np.array([1, *[weight] * 3]), np.array([1, weight])]
    laws = [law / law.sum() for law in laws]
    return [(math.log(len(q)) + float(q @ np.log(q)), 1 - float(q[0])) for q in laws]


def unpacked(figure: TwoCurves) -> np.ndarray:
    return np.frombuffer(figure.points, "<f4").reshape(2, len(figure.prices), 2)


@pytest.fixture(scope="module")
def figure() -> TwoCurves:
    return TwoCurves()


class TestTwoCurves(FigureContract):
    kind = TwoCurves
    other = {"beta": 0.45}
    page = 55_000
    refused = [
        ({"first": torch.ones(3, 4)}, r"both be \(n, m\).* got \(3, 4\) and \(4, 4\)"),
        ({"first": torch.ones(17, 2), "second": torch.ones(17, 2)}, "from 2 to 16"),
        ({"first": torch.ones(4), "second": torch.ones(4)}, r"both be \(n, m\)"),
        ({"first": -torch.ones(4, 4)}, "first and second must be finite and not negative"),
        ({"second": torch.full((4, 4), math.nan)}, "finite and not negative"),
        ({"p": torch.ones(3) / 3}, r"p must be \(n,\) = \(4,\), got \(3,\)"),
        ({"p": torch.ones(4)}, "sum"),
        ({"betas": (1.0, 0.5)}, "betas must be positive, rising"),
        ({"betas": (0.0, 1.0)}, "betas must be positive, rising"),
        ({"betas": (1.0, 2000.0)}, "at most a factor of 1024 apart"),
        ({"beta": 9.0}, r"beta must be in \[0.4, 0.5\], got 9.0"),
        ({"beta": math.nan}, "got nan"),
    ]

    def given(self) -> dict:
        return {"betas": (0.4, 0.5)}  # few prices

    @pytest.fixture(autouse=True)
    def full_size(self, figure) -> None:
        self.whole = figure

    def largest(self) -> TwoCurves:
        return self.whole


def test_the_second_distortion_is_nowhere_above_the_first():
    first, second = four_symbols()
    assert (second <= first).all() and (first.diagonal() == 0).all()


def test_all_points_are_the_closed_forms(figure):
    exact = np.array([closed_form(beta) for beta in figure.prices]).transpose(1, 0, 2)
    # float32 of numbers below 1.4
    assert np.allclose(unpacked(figure), exact, rtol=1e-6, atol=1e-6)


def test_the_rates_cross_once_between_1_and_2(figure):
    gap = [closed_form(beta)[1][0] - closed_form(beta)[0][0] for beta in (0.25, 1, 2, 8)]
    assert [x > 0 for x in gap] == [False, False, True, True]
    [crossing] = figure.crossings
    root = brentq(lambda beta: closed_form(beta)[0][0] - closed_form(beta)[1][0], 1, 2)
    assert crossing == pytest.approx(root, rel=2e-6)


def test_the_lower_curve_is_lower_at_each_distortion_and_in_its_minimum(figure):
    rate, distortion = unpacked(figure).transpose(2, 0, 1).astype(float)
    # the second's rate at the first's distortions: beyond its last point nothing is left
    there = np.interp(distortion[0], distortion[1], rate[1], right=0)
    assert (there <= rate[0] + 1e-6).all()
    minimum = distortion + np.array(figure.prices) * rate
    assert (minimum[1] <= minimum[0] + 1e-6).all()


def test_the_slider_has_20_prices_an_octave_and_their_channels_are_stochastic(figure):
    first, last = figure.ends
    prices = figure.prices[first : last + 1]
    assert (prices[0], prices[-1], len(prices)) == (0.25, pytest.approx(8), 101)
    assert all(b > a for a, b in zip(figure.prices, figure.prices[1:], strict=False))
    channels = np.frombuffer(figure.channels, "<f4").reshape(2, 101, 4, 4)
    assert np.allclose(channels.sum(-1), 1, atol=1e-6)


def test_equal_distortions_do_not_cross_and_swapped_ones_cross_where_they_did(figure):
    first, second = four_symbols()
    assert TwoCurves(first, first, betas=(0.9, 1.8), beta=1.0).crossings == []
    swapped = TwoCurves(second, first, betas=(1.0, 2.0), beta=1.0)
    assert swapped.crossings == pytest.approx(figure.crossings, rel=2e-6)


def test_a_biased_coin_costs_its_entropy_less_that_of_the_errors():
    flip = 1 - torch.eye(2)
    figure = TwoCurves(flip, flip, torch.tensor([0.25, 0.75]), betas=(0.3, 0.32), beta=0.3)
    d = np.minimum(1 / (1 + np.exp(1 / np.array(figure.prices))), 0.25)

    def entropy(q: np.ndarray) -> np.ndarray:
        return -q * np.log(q) - (1 - q) * np.log(1 - q)

    exact = np.stack([entropy(np.array(0.25)) - entropy(d), d], -1)
    assert np.allclose(unpacked(figure), exact, atol=2e-5)  # the minimum is flat: 1e-10 nats
    assert (d == 0.25).any() and (d < 0.25).any()
