"""The figure of the Poincaré disk, the Python side: its ranges and its saved state."""

import math

from tests.figures.contract import FigureContract
from vae_course.figures import state
from vae_course.figures.poincare_drag import DIMENSIONS, LARGEST_RHO, PoincareDrag


class TestPoincareDrag(FigureContract):
    kind = PoincareDrag
    other = {"d": 3}
    refused = [
        ({"a": (0.8, 0.6)}, r"a must be two numbers of norm at most 0.95, got \(0.8, 0.6\)"),
        ({"b": (1, 0)}, "b must be two numbers of norm at most 0.95"),
        ({"b": (0, math.nan)}, "b must be"),
        ({"a": (0.1, 0.1, 0.1)}, "a must be two numbers"),
        ({"d": 5}, r"d must be one of \(2, 3, 4, 8, 16\), got 5"),
    ]


def test_a_saved_figure_says_where_its_points_are():
    [record] = state(PoincareDrag(a=(0.5, 0), b=(-0.1, 0.95 * 0.9), d=3))["state"].values()
    kept = {key: record["state"][key] for key in ("a", "b", "d")}
    assert kept == {"a": [0.5, 0.0], "b": [-0.1, 0.95 * 0.9], "d": 3}
    assert record["state"]["spec"] == {"dimensions": list(DIMENSIONS), "largest": LARGEST_RHO}
    assert record["buffers"] == [] and "render" in record["state"]["_esm"]


def test_the_centre_and_the_edge_are_points_of_the_figure():
    assert PoincareDrag(a=(0, 0), b=(0, -LARGEST_RHO)).b == [0, -LARGEST_RHO]
