"""The figure of the latent sphere's maps, the Python side: what it packs and refuses."""

import math

import numpy as np
import torch
from torch import nn

from tests.figures.contract import DecoderFigureContract
from vae_course.figures.sphere_map import SphereMap, _lattice
from vae_course.sphere import SphericalUniform


def given(n: int = 60, classes: int = 4) -> dict:
    torch.manual_seed(0)
    uniform = SphericalUniform(3)
    return {
        "codes": uniform.sample((n,)).requires_grad_(),
        "labels": torch.arange(n) % classes,
        "decoder": nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 6)),
        "image_shape": (2, 3),
        "hole_centres": uniform.sample((classes + 1,)),
        "hole_angles": torch.linspace(0, math.pi, classes + 1),
    }


class TestSphereMap(DecoderFigureContract):
    kind = SphereMap
    other = {"dropped": 2}
    page = 80_000
    refused = [
        ({"codes": torch.zeros(60, 2)}, r"codes must be .* = \(60, 3\), got \(60, 2\)"),
        ({"codes": torch.ones(60, 3)}, "codes has norms .* must hold unit vectors"),
        ({"codes": torch.full((60, 3), math.nan)}, "codes has entries that are not finite"),
        ({"labels": torch.zeros(0)}, "labels must not be empty"),
        ({"labels": torch.full((60,), 10)}, r"labels must be in 0\.\.9, got \[10\]"),
        ({"decoder": nn.Sequential(nn.Linear(2, 6))}, r"must map 3 to 6 numbers, got \(2, 6\)"),
        ({"image_shape": (2, 2)}, r"must map 3 to 4 numbers, got \(3, 6\)"),
        ({"hole_angles": None}, "hole_centres and hole_angles go together"),
        ({"hole_centres": torch.eye(3)}, "hole_centres must have 4 rows, .* or one more .* got 3"),
        ({"hole_centres": torch.ones(4, 3)}, "hole_centres has norms"),
        ({"hole_angles": torch.zeros(4)}, r"hole_angles must be .* = \(5,\), got \(4,\)"),
        ({"hole_angles": torch.full((5,), 4.0)}, r"hole_angles must be in \[0, π\] radians"),
        ({"hole_angles": torch.full((5,), math.nan)}, "hole_angles must be in"),
        ({"names": ["a"]}, "names must be 4, one a class, got 1"),
        ({"dropped": 4}, r"dropped must be in -1\.\.3, got 4"),
        ({"centre": torch.zeros(3)}, "centre must not be 0"),
        ({"centre": torch.zeros(2)}, r"centre must be .* = \(3,\)"),
        ({"centre": torch.full((3,), math.inf)}, "centre must be finite"),
        ({"bandwidth": 4.0}, "bandwidth must be from 5 to 45 degrees, got 4.0"),
    ]

    def given(self) -> dict:
        return given()

    def largest(self) -> SphereMap:
        """1,000 codes and a small decoder."""
        layers = [nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64)]
        changes = {"decoder": nn.Sequential(*layers), "image_shape": (8, 8)}
        return SphereMap(**(given(n=1000) | changes))


def test_codes_are_packed_before_the_holes():
    data = given()
    figure = SphereMap(**data, dropped=2)
    numbers = np.frombuffer(figure.codes, "<f4")
    assert np.array_equal(numbers[:180].reshape(60, 3), data["codes"].detach())
    holes = numbers[180:].reshape(5, 4)
    assert np.array_equal(holes[:, :3], data["hole_centres"])
    assert np.array_equal(holes[:, 3], data["hole_angles"])
    assert list(figure.labels) == data["labels"].tolist()
    assert figure.spec["shape"] == [2, 3] and figure.spec["names"] == ["0", "1", "2", "3"]
    # It opens on the hole of the class that is left out.
    assert figure.dropped == 2
    assert figure.point == figure.spec["centre"]
    assert np.allclose(figure.point, data["hole_centres"][2], atol=1e-6)


def test_the_hole_of_all_classes_and_every_hole_may_be_left_out():
    data = given()
    some = {key: data[key][:4] for key in ("hole_centres", "hole_angles")}
    assert SphereMap(**(data | some)).spec["holes"] == 4
    none = SphereMap(**(data | {"hole_centres": None, "hole_angles": None}))
    assert none.spec["holes"] == 0 and len(none.codes) == 12 * 60


def test_it_opens_on_the_class_that_agrees_most_where_there_is_no_hole():
    data = given() | {"hole_centres": None, "hole_angles": None}
    codes = data["codes"].detach().clone()
    codes[data["labels"] == 3] = torch.tensor([0.0, 0.6, 0.8])
    assert np.allclose(SphereMap(**(data | {"codes": codes})).point, [0, 0.6, 0.8])
    turned = SphereMap(**data, centre=torch.tensor([0.0, 0.0, -2.0]))
    assert turned.spec["centre"] == [0, 0, -1]


def test_the_lattice_is_uniform():
    y = _lattice(2000)
    assert torch.allclose(y.norm(dim=1), torch.ones(2000), atol=1e-6)
    assert y.mean(0).norm() < 1e-3
    assert torch.allclose(y.T @ y / 2000, torch.eye(3) / 3, atol=1e-3)


def test_int8_is_used_where_it_is_good_enough():
    layers = [nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 6)]
    data = given() | {"decoder": nn.Sequential(*layers)}
    fine, coarse = SphereMap(**data), SphereMap(**data, dtype="int8")
    assert len(coarse.weights) < 0.8 * len(fine.weights)
    assert coarse.spec["decoder"]["error"] <= 1e-2
