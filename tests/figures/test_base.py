"""Interactive figures, the Python side: the exported decoder, the colours."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.figures.contract import decoder
from vae_course.figures import base, export_decoder
from vae_course.lab import plotting

FIGURES = Path(base.__file__).parent


def ball(points: int, radius: float, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    direction = nn.functional.normalize(torch.randn(points, 2, generator=g), dim=1)
    return radius * direction * torch.rand(points, 1, generator=g).sqrt()


def read(spec: dict, data: bytes, z: Tensor) -> np.ndarray:
    """An independent reader of the exported bytes, after the layout in export_decoder's words."""
    x = z.double().numpy()
    for layer in spec["layers"]:
        if layer["kind"] == "linear":
            n, m, at = layer["outputs"], layer["inputs"], layer["at"]
            bias = np.frombuffer(data, "<f4", n, at)
            if layer["dtype"] == "int8":
                scale = np.frombuffer(data, "<f4", n, at + 4 * n)
                weight = np.frombuffer(data, "i1", n * m, at + 8 * n).reshape(n, m) * scale[:, None]
            else:
                weight = np.frombuffer(data, "<f2", n * m, at + 4 * n).reshape(n, m).astype(float)
            x = x @ weight.T + bias
        else:
            x = {
                "silu": lambda x: x / (1 + np.exp(-x)),
                "tanh": np.tanh,
                "relu": lambda x: np.maximum(x, 0),
                "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
            }[layer["kind"]](x)
    return x


@pytest.mark.parametrize("activation", [nn.SiLU, nn.Tanh, nn.ReLU])
# float16 keeps 11 bits: 5e-4 of values of order 1, over three layers.
@pytest.mark.parametrize("dtype, bound", [("float16", 4e-3), ("int8", 1e-2)])
def test_an_exported_decoder_is_the_decoder(dtype, bound, activation):
    made, z = decoder(activation=activation), ball(2000, 3.0, seed=7)
    spec, data = export_decoder(made, dtype)
    assert np.abs(read(spec, data, z) - made(z).detach().numpy()).max() <= bound
    assert len(data) == spec["nbytes"]
    assert 0 < spec["error"] <= 2 * bound  # over radius 4, a little beyond where we looked


def test_int8_takes_little_more_than_a_byte_a_weight():
    weights = 64 * 2 + 128 * 64 + 64 * 128
    _, small = export_decoder(decoder(), "int8")
    _, large = export_decoder(decoder(), "float16")
    biases = 4 * (64 + 128 + 64)
    assert len(large) == 2 * weights + biases
    assert len(small) == weights + 64 * 2 + 4 * (128 + 64) + biases


def test_columns_that_make_up_for_each_other_round_better_than_alone():
    made, z = decoder(), ball(2000, 3.0, seed=7)
    spec, data = export_decoder(made, "int8")
    alone = decoder()
    with torch.no_grad():
        for layer in (alone[2], alone[4]):
            scale = layer.weight.abs().amax(1, keepdim=True) / 127
            layer.weight.copy_((layer.weight / scale).round() * scale)
    exact = made(z).detach().numpy()
    fitted = np.abs(read(spec, data, z) - exact).mean()
    assert fitted < 0.5 * np.abs(alone(z).detach().numpy() - exact).mean()


def test_wrappers_that_change_no_number_are_skipped():
    plain = decoder()
    wrapped = nn.Sequential(nn.Identity(), nn.Sequential(plain, nn.Dropout()), nn.Sigmoid())
    wrapped.append(nn.Unflatten(1, (1, 8, 8)))
    spec, data = export_decoder(wrapped)
    assert [layer["kind"] for layer in spec["layers"]][-2:] == ["linear", "sigmoid"]
    z = ball(100, 3.0, seed=1)
    expected = wrapped.eval()(z).flatten(1).detach().numpy()
    assert np.abs(read(spec, data, z) - expected).max() <= 2e-3


def test_an_unsupported_layer_names_what_is_supported():
    with pytest.raises(TypeError, match="LayerNorm.*Linear, SiLU, Tanh, ReLU, Sigmoid"):
        export_decoder(nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4)))
    with pytest.raises(TypeError, match="at least one Linear"):
        export_decoder(nn.Sequential(nn.Tanh()))


def test_a_bad_dtype_or_weight_raises(unchecked):
    with pytest.raises(ValueError, match="float16.*int8.*'int4'"):
        export_decoder(decoder(), "int4")
    for value, dtype in ((float("nan"), "int8"), (1e6, "float16")):
        made = decoder()
        with torch.no_grad():
            made[2].weight[0, 0] = value
        with pytest.raises(ValueError, match=f"finite in {dtype}"):
            export_decoder(made, dtype)


def test_figures_and_pictures_colour_a_class_alike():
    [row] = re.findall(r"const PALETTE = (\[.*\]);", (FIGURES / "base.js").read_text())
    assert tuple(json.loads(row)[: len(plotting.PALETTE)]) == plotting.PALETTE


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("paper", ["#ffffff", "#14181e"])
def test_every_class_colour_stands_out_on_light_and_dark(paper):
    [row] = re.findall(r"const PALETTE = (\[.*\]);", (FIGURES / "base.js").read_text())
    assert min(contrast(colour, paper) for colour in json.loads(row)) >= 3
