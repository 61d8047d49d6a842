"""The figure of metric ellipses, the Python side: what it packs and refuses."""

import numpy as np
import torch
from torch import nn

from tests.figures.contract import DecoderFigureContract
from vae_course.figures import MetricEllipses


def given(n: int = 30, d: int = 3) -> dict:
    torch.manual_seed(0)
    return {
        "decoder": nn.Sequential(nn.Linear(d, 8), nn.SiLU(), nn.Linear(8, 6)),
        "mu": torch.randn(n, d, requires_grad=True),
        "sigma": torch.rand(n, d) + 0.1,
        "beta": 0.1,
        "axes": (2, 0),
        "labels": torch.arange(n) % 10,
        "image_shape": (2, 3),
    }


class TestMetricEllipses(DecoderFigureContract):
    kind = MetricEllipses
    other = {"selected": 0}
    page = 80_000
    refused = [
        ({"mu": torch.zeros(30)}, "mu must be .* a plane needs two latents"),
        ({"mu": torch.zeros(30, 1)}, "a plane needs two latents"),
        ({"mu": torch.full((30, 3), float("nan"))}, "mu must be finite"),
        ({"sigma": torch.ones(30, 2)}, r"sigma must be .* = \(30, 3\), got \(30, 2\)"),
        ({"sigma": torch.zeros(30, 3)}, "sigma must be positive, got 0"),
        ({"beta": 0.0}, "beta must be positive and finite, got 0"),
        ({"beta": float("inf")}, "beta must be positive and finite"),
        ({"axes": (0, 0)}, r"two different latents in 0\.\.2, got \(0, 0\)"),
        ({"axes": (0, 3)}, r"in 0\.\.2, got \(0, 3\)"),
        ({"decoder": nn.Sequential(nn.Linear(2, 6))}, "decoder must take codes of 3 numbers"),
        ({"image_shape": (2, 2)}, "image_shape must hold the decoder's 6 numbers"),
        ({"labels": torch.full((30,), 10)}, r"labels must be in 0\.\.9, got \[10\]"),
        ({"labels": torch.zeros(3)}, r"labels must be .* = \(30,\), got \(3,\)"),
        ({"anchor": torch.zeros(2)}, r"anchor must be .* = \(3,\)"),
        ({"anchor": torch.full((3,), float("inf"))}, "anchor must be finite"),
        ({"selected": 30}, r"selected must be in 0\.\.29, got 30"),
    ]

    def given(self) -> dict:
        return given()

    def largest(self) -> MetricEllipses:
        """300 codes and a small decoder."""
        layers = [nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64)]
        data = {"decoder": nn.Sequential(*layers), "mu": torch.randn(300, 2), "beta": 0.1}
        return MetricEllipses(sigma=torch.ones(300, 2), **data)


def test_codes_are_packed_after_their_anchor_which_is_the_median():
    data = given()
    figure = MetricEllipses(**data)
    numbers = np.frombuffer(figure.codes, "<f4").reshape(61, 3)
    mu = data["mu"].detach()
    assert np.array_equal(numbers[0], mu.median(0).values)
    assert np.array_equal(numbers[1:31], mu) and np.array_equal(numbers[31:], data["sigma"])
    assert figure.spec["axes"] == [2, 0] and figure.spec["shape"] == [2, 3]
    assert list(figure.labels) == data["labels"].tolist()
    chosen = mu[figure.selected, [2, 0]] - 0.8
    assert chosen.norm() == (mu[:, [2, 0]] - 0.8).norm(dim=1).min()


def test_labels_and_pictures_may_be_left_out():
    data = given() | {"labels": None, "image_shape": None, "anchor": torch.zeros(3)}
    figure = MetricEllipses(**data, selected=4)
    assert figure.labels == b"" and figure.spec["shape"] is None and figure.selected == 4
    assert not np.frombuffer(figure.codes, "<f4")[:3].any()
