"""The figure of the density's factors, the Python side: what it packs and refuses."""

import numpy as np
import torch

from tests.figures.contract import FigureContract
from vae_course.figures import DensityScatter


def given(n: int = 50, sweep: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    return {
        "log_p": torch.randn(n, generator=generator),
        "betas": [0.01, 0.4][:sweep],
        "log_prior": torch.randn(sweep, n, generator=generator),
        "log_volume": torch.randn(sweep, n, generator=generator),
        "loss": torch.rand(sweep, n, generator=generator),
        "active": [3, 2][:sweep],
        "log_metric": torch.randn(n, generator=generator),
        "dim": 16,
    }


class TestDensityScatter(FigureContract):
    kind = DensityScatter
    other = {"beta_index": 1}
    page = 100_000
    refused = [
        ({"betas": [0.4, 0.01]}, "betas must be positive, finite and ascending"),
        ({"betas": [0.0, 0.4]}, "betas must be positive"),
        ({"log_p": torch.zeros(2)}, "log_p must be .* 3 or more"),
        ({"loss": torch.zeros(50)}, r"loss must be .* = \(2, 50\), got \(50,\)"),
        ({"log_prior": torch.zeros(1, 50)}, r"log_prior must be .* got \(1, 50\)"),
        ({"log_metric": torch.zeros(49)}, r"log_metric must be .* = \(50,\), got \(49,\)"),
        ({"log_p": torch.full((50,), float("-inf"))}, "log_p must be finite; leave out"),
        ({"log_volume": torch.full((2, 50), float("nan"))}, "log_volume must be finite"),
        ({"active": [3]}, r"for each beta, got \[3\]"),
        ({"active": [3, -1]}, "not negative"),
        ({"dim": 2}, "dim must be at least the active latents, 3, got 2"),
        ({"log_metric": None}, "dim=16 has no meaning without log_metric"),
        ({"beta_index": 2}, r"beta_index must be in 0\.\.1, got 2"),
    ]

    def given(self) -> dict:
        return given()

    def largest(self) -> DensityScatter:
        """A thousand points at three betas."""
        data = {**given(1000), "log_metric": None, "dim": None}
        for name in ("log_prior", "log_volume", "loss"):
            data[name] = data[name][:1].repeat(3, 1)
        return DensityScatter(**{**data, "betas": [0.1, 0.2, 0.4], "active": [3] * 3})


def test_the_numbers_are_packed_in_their_order_as_float32():
    data = given()
    numbers = np.frombuffer(DensityScatter(**data).numbers, "<f4").reshape(8, 50)
    assert np.array_equal(numbers[0], data["log_p"])
    assert np.array_equal(numbers[1], data["log_metric"])
    for at, name in ((2, "log_prior"), (4, "log_volume"), (6, "loss")):
        assert np.array_equal(numbers[at : at + 2], data[name])


def test_without_a_metric_its_logarithm_is_zero():
    data = {**given(), "log_metric": None, "dim": None}
    figure = DensityScatter(**data)
    assert not np.frombuffer(figure.numbers, "<f4")[50:100].any() and not figure.spec["metric"]
