"""What every figure shares in the browser: the decoder, the draws, the loader of saved states."""

import json
from base64 import b64encode

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from tests.site.decoders import trained
from tests.site.site_checks import LOADER
from vae_course.figures import BallExplorer, Shell, TwoBalls, export_decoder, fragment, state


@pytest.mark.parametrize("activation", [nn.SiLU, nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("dtype, bound", [("float16", 4e-3), ("int8", 1e-2)])
def test_the_browser_decodes_what_torch_decodes(javascript, dtype, bound, activation):
    decoder = trained(activation)
    if activation is nn.Tanh:
        decoder = nn.Sequential(decoder, nn.Sigmoid())
    spec, data = export_decoder(decoder, dtype)
    g = torch.Generator().manual_seed(5)
    z = nn.functional.normalize(torch.randn(200, 2, generator=g), dim=1)
    z = 3 * z * torch.rand(200, 1, generator=g).sqrt()
    # One byte in front: a DataView in Jupyter need not start where its buffer does.
    pixels = javascript(
        BallExplorer,
        """const view = new DataView(unpack(a.data).buffer, 1);
        const layers = m.readDecoder(a.spec, view);
        return JSON.stringify(a.z.map((z) => [...m.decode(layers, z)]));""",
        {"spec": spec, "data": b64encode(b"7" + data).decode(), "z": z.tolist()},
    )
    assert np.abs(np.array(json.loads(pixels)) - decoder(z).detach().numpy()).max() <= bound


def test_every_float16_is_read_exactly(javascript):
    got = javascript(Shell, "return Array.from({length: 65536}, (_, h) => m.half(h)).join()")
    expected = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float64)
    spelled = [float(v) for v in got.split(",")]
    assert np.array_equal(np.array(spelled), expected, equal_nan=True)


@pytest.mark.parametrize("kind", ["DataView", "ArrayBuffer", "Uint8Array"])
def test_binary_data_may_come_in_any_wrapper(javascript, kind):
    body = """const u = Uint8Array.from([1, 2, 3]);
    const kinds = {DataView: new DataView(u.buffer), ArrayBuffer: u.buffer, Uint8Array: u};
    return [...m.bytes(kinds[a])];"""
    assert javascript(Shell, body, kind) == [1, 2, 3]


def test_the_browsers_normals_are_normal_and_follow_the_seed(javascript):
    body = "const n = m.normals(a); return Array.from({length: 4000}, () => n())"
    draws = javascript(Shell, body, 3)
    assert scipy.stats.kstest(draws, "norm").pvalue > 0.01
    assert draws == javascript(Shell, body, 3) != javascript(Shell, body, 4)


# ---------------------------------------------------------------------------- the loader
def test_figures_mount_from_several_states_and_their_posters_go(visit):
    page = visit(TwoBalls(), Shell(), Shell())
    assert page.locator(".vae-figure").count() == 3
    assert page.locator(".figure-poster:visible").count() == 0


def test_a_broken_figure_says_so_and_keeps_its_poster(visit):
    saved = state(Shell())
    [record] = saved["state"].values()
    record["state"]["_esm"] = "export default { render() { throw new Error('broken') } }"
    page = visit(fragment(saved), Shell(8), errors=1)
    assert page.locator(".figure-poster:visible").count() == 1
    assert page.get_by_text("did not load").is_visible()
    assert page.locator(".vae-figure").count() == 1  # the next one is none the worse


def test_a_widget_that_needs_a_kernel_says_so(visit):
    slider = {"model_name": "IntSliderModel", "model_module": "@jupyter-widgets/controls"}
    page = visit(fragment({"state": {"abc": {**slider, "state": {}}}}))
    assert page.get_by_text("needs a running kernel").is_visible()
    assert page.locator(".figure-poster:visible").count() == 1


def test_a_second_loader_mounts_nothing_twice(visit):
    second = f'<script defer src="{LOADER.as_uri()}"></script>'
    page = visit(Shell(), second)
    assert page.locator(".vae-figure").count() == 1
