"""Interactive figures, the Python side: the exported decoder, the packed data, the saved state."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from ipywidgets.embed import embed_data
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from vae_course.figures import BallExplorer, Shell, base, export_decoder, fragment, state
from vae_course.lab import plotting

FIGURES = Path(base.__file__).parent


def decoder(seed: int = 0, outputs: int = 64, activation: type[nn.Module] = nn.SiLU) -> nn.Module:
    """2-64-128-outputs, its weights as large as training leaves them (rows of norm about 2)."""
    torch.manual_seed(seed)
    layers = [nn.Linear(2, 64), activation(), nn.Linear(64, 128), activation()]
    made = nn.Sequential(*layers, nn.Linear(128, outputs))
    with torch.no_grad():
        for layer, gain in ((made[0], 1.5), (made[2], 2.0), (made[4], 2.0)):
            layer.weight *= gain
    return made


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


def sweep(betas: int = 2, n: int = 30) -> dict:
    g = torch.Generator().manual_seed(0)
    return {
        "betas": [10.0 ** (k - betas + 1) for k in range(betas)],
        "mu": torch.randn(betas, n, 2, generator=g),
        "sigma": 0.1 + torch.rand(betas, n, 2, generator=g),
        "labels": torch.arange(n) % 10,
        "images": torch.rand(n, 8, 8, generator=g),
        "decoders": [decoder(seed) for seed in range(betas)],
    }


def test_500_balls_and_6_decoders_are_at_most_350_kB():
    assert BallExplorer(**sweep(betas=6, n=500)).nbytes <= 350_000


def test_codes_labels_and_images_survive_the_packing():
    given = sweep()
    figure = BallExplorer(**given)
    codes = np.frombuffer(figure.codes, "<f2").reshape(2, 2, 30, 2).astype(np.float32)
    assert np.allclose(codes[0], given["mu"], rtol=1e-3, atol=1e-6)
    assert np.allclose(codes[1], given["sigma"], rtol=1e-3)
    packed = np.frombuffer(figure.images, np.uint8)
    assert (packed[:30] == given["labels"].numpy()).all()
    shown = packed[30:].reshape(30, 8, 8) / 255
    assert np.abs(shown - given["images"].numpy()).max() <= 0.5 / 255 + 1e-6


def test_the_rate_is_the_mean_kl_to_the_prior_and_the_distortion_of_a_perfect_point_is_zero():
    given = sweep()
    given["sigma"][0] = 0  # an autoencoder: points, whose rate is infinite
    given["images"] = given["decoders"][0](given["mu"][0]).detach().sigmoid().reshape(30, 8, 8)
    given["decoders"][0].append(nn.Sigmoid())
    rates = BallExplorer(**given, readouts={"gap": [3.0, 0.25]}).spec["readouts"]
    prior = Normal(torch.zeros(()), torch.ones(()))
    kl = kl_divergence(Normal(given["mu"][1], given["sigma"][1]), prior).sum(-1).mean()
    assert rates["rate (nats)"][0] == "∞"
    assert float(rates["rate (nats)"][1]) == pytest.approx(kl.item(), rel=5e-3)  # three digits
    assert float(rates["distortion"][0]) < 1e-9
    assert rates["gap"] == ["3", "0.25"]


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"betas": [1.0, 0.1]}, "betas must be ascending"),
        ({"betas": []}, "must not be empty"),
        ({"mu": torch.zeros(2, 30, 3)}, r"mu must be .* = \(2, 30, 2\)"),
        ({"mu": torch.full((2, 30, 2), float("nan"))}, "mu must be finite"),
        ({"sigma": torch.ones(1, 30, 2)}, r"sigma must be .* = \(2, 30, 2\)"),
        ({"sigma": -torch.ones(2, 30, 2)}, "sigma must not be negative, got -1"),
        ({"labels": torch.arange(30)}, r"in 0\.\.9"),
        ({"images": torch.zeros(30, 64)}, r"images must be .* = \(30, h, w\)"),
        ({"images": torch.full((30, 8, 8), 16.0)}, r"in \[0, 1\]"),
        ({"images": torch.zeros(30, 7, 8)}, "map 2 to 56 numbers"),
        ({"decoders": [decoder()]}, "decoders must be one a beta, 2, got 1"),
        ({"readouts": {"gap": [1.0]}}, "readouts.*'gap'.*one a beta"),
        ({"beta_index": 2}, r"beta_index must be in 0\.\.1"),
        ({"selected": 30}, r"selected in 0\.\.29"),
    ],
)
def test_what_does_not_fit_is_named(unchecked, changed, message):
    with pytest.raises(ValueError, match=message):
        BallExplorer(**{**sweep(), **changed})


def test_a_shell_starts_at_a_dimension_of_its_slider():
    assert Shell(32).d == 32
    with pytest.raises(ValueError, match="d must be one of .* got 5"):
        Shell(5)


@pytest.mark.parametrize("figure", [lambda: Shell(8), lambda: BallExplorer(**sweep())])
def test_the_saved_state_is_what_ipywidgets_embeds(figure, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_RESULTS", str(tmp_path))
    figure = figure()
    embedded = embed_data(views=[figure], drop_defaults=False)["manager_state"]
    expected = json.loads(json.dumps(embedded["state"][figure.model_id]))
    assert figure.save("name") is figure
    content = json.loads((tmp_path / "interactive" / "name.json").read_text(encoding="utf-8"))
    [saved] = content["state"].values()

    def buffers(record: dict) -> list:
        return sorted((b["path"], b["data"]) for b in record.get("buffers", []))

    assert buffers(saved) == buffers(expected)
    models = {k for k, v in expected["state"].items() if str(v).startswith("IPY_MODEL_")}
    assert {k: v for k, v in expected["state"].items() if k not in models} == saved["state"]
    assert {k: saved[k] for k in expected if k.startswith("model_")} == {
        k: v for k, v in expected.items() if k.startswith("model_")
    }
    assert 0 < len(fragment(content)) - figure.nbytes < 300  # the tags around it


def test_the_same_figure_saves_the_same_file():
    assert state(BallExplorer(**sweep())) == state(BallExplorer(**sweep()))
    assert state(Shell(2)) != state(Shell(8))


def test_a_fragment_holds_no_tag_but_its_own():
    html = fragment(state(BallExplorer(**sweep(), readouts={"</script><!--<b>": [0.0, 1.0]})))
    assert re.findall(r"</?[a-z!]+", html) == ["<script", "</script"] * 2


@pytest.mark.parametrize("figure", [BallExplorer, Shell])
def test_a_module_imports_nothing(figure):
    assert not re.search(r"\bimport\b|https?://", figure._esm)
    assert figure._esm.count("export default") == 1


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
