"""The ruler, the Python side: its tables from z to y, its principal axes, what it refuses."""

import numpy as np
import torch
from torch import nn

from tests.figures.contract import DecoderFigureContract
from vae_course.figures import Ruler
from vae_course.figures.ruler import KNOTS
from vae_course.isometry import isometric_coordinates


def given(n: int = 200, d: int = 3) -> dict:
    torch.manual_seed(0)
    mu = torch.randn(n, d)
    return {
        "decoder": nn.Sequential(nn.Linear(d, 8), nn.SiLU(), nn.Linear(8, 6)),
        "mu": mu,
        "sigma": 0.1 + 0.2 * mu.sigmoid(),
        "beta": 0.1,
        "axes": (2, 0),
    }


def unpack(figure: Ruler) -> dict[str, np.ndarray]:
    n, d, m = (figure.spec[key] for key in ("count", "d", "m"))
    shapes = {
        "anchor": (d,),
        "codes": (n, 2),
        "seen": (n, 3),
        "tables": (2, 2, KNOTS),
        "centre": (m,),
        "basis": (3, m),
    }
    numbers, at, parts = np.frombuffer(figure.numbers, "<f4"), 0, {}
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        parts[name] = numbers[at : at + size].reshape(shape)
        at += size
    assert at == len(numbers)
    return parts


class TestRuler(DecoderFigureContract):
    kind = Ruler
    other = {"axes": (0, 1)}
    page = 55_000
    refused = [
        ({"sigma": -torch.ones(200, 3)}, "sigma must be positive, got -1"),
        ({"axes": (1, 1)}, "axes must be two different latents"),
        ({"beta": -0.1}, "beta must be positive and finite, got -0.1"),
        ({"image_shape": (3, 3)}, "image_shape must hold the decoder's 6 numbers"),
        ({"labels": torch.full((200,), -1)}, r"labels must be in 0\.\.9"),
    ]

    def given(self) -> dict:
        return given()


def test_the_tables_are_the_isometric_coordinates_of_the_codes():
    data = given()
    tables = unpack(Ruler(**data))["tables"]
    y = isometric_coordinates(data["mu"], data["sigma"], 0.1)
    for row, axis in zip(tables, (2, 0), strict=True):
        z = data["mu"][:, axis].numpy()
        assert row[0][0] == z.min() and row[0][-1] == z.max() and (np.diff(row) >= 0).all()
        error = np.abs(np.interp(z, row[0], row[1]) - y[:, axis].numpy())
        assert error.max() < 0.01 * np.ptp(row[1])


def test_the_axes_are_orthonormal_and_hold_the_decoded_plane():
    data = given()
    parts = unpack(Ruler(**data))
    assert np.allclose(parts["basis"] @ parts["basis"].T, np.eye(3), atol=1e-5)
    z = torch.from_numpy(np.tile(parts["anchor"], (200, 1)))
    z[:, [2, 0]] = torch.from_numpy(parts["codes"].copy())
    with torch.no_grad():
        x = data["decoder"](z).numpy()
    covariance = np.cov(x.T)
    top = np.linalg.eigvalsh(covariance)[::-1][:3]
    assert np.allclose(np.diag(parts["basis"] @ covariance @ parts["basis"].T), top, rtol=1e-3)
    assert np.allclose((x - parts["centre"]) @ parts["basis"].T, parts["seen"], atol=1e-5)


def test_data_of_two_dimensions_get_a_third_axis_of_zeros():
    data = given(d=2) | {"decoder": nn.Sequential(nn.Linear(2, 2)), "axes": (0, 1)}
    parts = unpack(Ruler(**data))
    assert not parts["basis"][2].any() and not parts["seen"][:, 2].any()


def test_a_decoder_that_gives_images_is_flattened():
    decoder = nn.Sequential(*given()["decoder"], nn.Unflatten(-1, (1, 2, 3)))
    assert Ruler(**(given() | {"decoder": decoder, "image_shape": (2, 3)})).spec["m"] == 6
