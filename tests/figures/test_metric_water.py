"""Water-filling through a metric, the Python side: what it takes, refuses and packs."""

import math

import pytest
import torch

from tests.figures.contract import FigureContract
from vae_course.figures.metric_water import MetricWater

PIXELS = torch.tensor([0.5, 4.0, 1.0, 0.0])
EDGES = torch.tensor([1.0, 1.0, 2.0, 0.5])
SPECTRA = {"digits": {"pixels": PIXELS, "edges": EDGES}, "noise": {"pixels": EDGES}}
LIPSCHITZ = {"digits": {"edges": 8.0}}


GIVEN = {"spectra": SPECTRA, "lipschitz": LIPSCHITZ, "latents": 3, "beta": 1.5}


def made(**changes: object) -> MetricWater:
    return MetricWater(**{**GIVEN, **changes})


class TestMetricWater(FigureContract):
    kind = MetricWater
    other = {"whitening": 0.5}
    refused = [
        ({"latents": 1}, "latents must be from 2 to 64, got 1"),
        ({"latents": 4}, r"\['pixels'\] must be finite and not negative, its 4 largest positive"),
        ({"latents": 5}, r"with n from latents = 5 to 1024, got \(4,\)"),
        ({"spectra": {}}, "spectra must hold a data set"),
        ({"spectra": {"digits": {}}}, "at least one metric"),
        ({"spectra": {"a": {"b": torch.ones(2, 2)}}}, r"spectra\['a'\]\['b'\] must be \(n,\)"),
        ({"spectra": {"a": {"b": -torch.ones(3)}}}, "not negative"),
        ({"spectra": {"a": {"b": torch.full((3,), math.nan)}}}, "must be finite"),
        ({"lipschitz": None}, r"lipschitz\['digits'\]\['edges'\] must be positive .* got None"),
        ({"lipschitz": {"digits": {"edges": 0.0}}}, "positive and finite, got 0.0"),
        ({"data": "letters"}, r"data must be one of \['digits', 'noise'\], got 'letters'"),
        ({"metric": "ssim"}, r"metric must be one of \['pixels', 'edges'\] on 'digits'"),
        ({"metric": "edges", "data": "noise"}, "on 'noise', got 'edges'"),
        ({"control": "add"}, "control must be one of .* got 'add'"),
        ({"whitening": 1.01}, "whitening must be from 0 to 1, got 1.01"),
        ({"beta": 0.05}, r"beta must be in \[0.1, 10\] on 'digits', got 0.05"),
        ({"beta": math.nan}, "got nan"),
    ]

    def given(self) -> dict:
        return GIVEN

    def largest(self) -> MetricWater:
        """Six spectra of 64."""
        three = {name: torch.rand(64) + 0.1 for name in ("pixels", "edges", "features")}
        scale = {"edges": 8.0, "features": 2.0}
        return MetricWater({"a": three, "b": three}, {"a": scale, "b": scale})


def test_spectra_are_sorted_and_the_first_metric_is_the_identity():
    digits = made().sets["digits"]
    assert digits["metrics"] == {"pixels": [4.0, 1.0, 0.5, 0.0], "edges": [2.0, 1.0, 1.0, 0.5]}
    assert digits["lipschitz"] == {"pixels": 1.0, "edges": 8.0}


def test_it_starts_where_it_is_told():
    figure = made(data="noise", whitening=0.25, control="rate", realism=True)
    assert (figure.data, figure.metric) == ("noise", "pixels")
    assert (figure.beta, figure.whitening, figure.control) == (1.5, 0.25, "rate")
    assert figure.realism and not made().realism
    first = made(beta=None)
    assert (first.data, first.metric, first.whitening, first.control) == (
        *("digits", "pixels"),
        *(0.0, "null"),
    )


def test_prices_reach_from_all_latents_in_use_to_collapse():
    # The largest eigenvalue of either metric at the pixels' trace of 5.5 is the pixels' 4.
    low, high = made().sets["digits"]["betas"]
    assert (low, high) == (0.5 / 5, 2.5 * 4)
    assert made(beta=None).beta == pytest.approx(math.sqrt(low * high))
