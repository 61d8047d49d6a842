"""The cone of 2 x 2 covariance matrices, the Python side: its default ends, and what it refuses."""

import math

import pytest
import torch

from tests.figures.contract import FigureContract
from vae_course.figures.spd_cone import SpdCone


class TestSpdCone(FigureContract):
    kind = SpdCone
    other = {"metric": "bures"}
    page = 40_000
    refused = [
        ({"a": torch.eye(3)}, r"a must be \(2, 2\), got \(3, 3\)"),
        ({"b": torch.tensor([[1.0, 0.1], [0.0, 1.0]])}, "b must be finite and symmetric"),
        ({"b": torch.full((2, 2), math.nan)}, "b must be finite and symmetric"),
        ({"a": torch.tensor([[1.0, 2.0], [2.0, 1.0]])}, "a must be positive semi-definite"),
        ({"a": -torch.eye(2)}, "a must be positive semi-definite"),
        ({"b": torch.zeros(2, 2)}, "b must be positive semi-definite and not 0"),
        ({"metric": "euclidean"}, "metric must be one of .*log_euclidean.*got 'euclidean'"),
    ]


def full(entries: list[float]) -> torch.Tensor:
    a, b, c = entries
    return torch.tensor([[a, b], [b, c]], dtype=torch.float64)


def test_the_default_ends_have_the_eigenvalues_and_the_angle_that_are_said():
    figure = SpdCone()
    for entries, small, angle in ((figure.a, 0.5, 0.0), (figure.b, 0.3, math.radians(60))):
        values, vectors = torch.linalg.eigh(full(entries))
        assert values.tolist() == pytest.approx([small, 4], rel=1e-12)
        x, y = vectors[:, 1].tolist()
        assert math.atan2(y / x, 1) == pytest.approx(angle, abs=1e-12)


def test_given_ends_are_kept_rank_1_included_and_the_sliders_reach_beyond_them():
    a, b = torch.tensor([[1.0, 2.0], [2.0, 4.0]]), torch.tensor([[9.0, 0.0], [0.0, 3.0]])
    figure = SpdCone(a, b, metric="bures")
    assert (figure.a, figure.b, figure.metric) == ([1, 2, 4], [9, 0, 3], "bures")
    assert figure.tallest > 12
