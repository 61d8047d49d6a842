"""The figure of metric ellipses in the browser: its geometry is the library's."""

import base64
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.site.contract import FigureContract
from tests.site.readings import RING, cards, shot
from vae_course import isometry
from vae_course.figures import MetricEllipses, export_decoder


def network(activation: type[nn.Module], d: int = 3) -> nn.Sequential:
    """d-16-12-6 with weights that float16 holds exactly, so that the browser has the same."""
    torch.manual_seed(0)
    layers = [nn.Linear(d, 16), activation(), nn.Linear(16, 12), activation(), nn.Linear(12, 6)]
    with torch.no_grad():
        for layer in layers[::2]:
            layer.weight.copy_((2 * layer.weight).half().float())
    return nn.Sequential(*layers)


def call(javascript, decoder: nn.Module, body: str, argument: object) -> object:
    spec, data = export_decoder(decoder)
    given = {"spec": spec, "data": base64.b64encode(data).decode(), "a": argument}
    return javascript(
        MetricEllipses,
        "const layers = m.readDecoder(a.spec, unpack(a.data)); a = a.a;" + body,
        given,
    )


@pytest.mark.parametrize("activation", [nn.SiLU, nn.Tanh, nn.ReLU, nn.Sigmoid])
def test_the_browsers_jacobian_is_the_librarys(javascript, activation):
    decoder = network(activation)
    z = torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact = isometry.jacobian(decoder.double(), z)  # (8, 6, 3)
    got = call(
        javascript,
        decoder.float(),
        """return a.map((z) => { const t = m.tangents(layers, z, [2, 0]);
             return [t.x, ...t.columns].map((v) => Array.from(v)); })""",
        z.tolist(),
    )
    got = torch.tensor(got, dtype=torch.float64)  # (8, 3, 6): value, column 2, column 0
    with torch.no_grad():
        assert torch.allclose(got[:, 0], decoder.double()(z), rtol=1e-12, atol=1e-12)
    assert torch.allclose(got[:, 1:].mT, exact[..., [2, 0]], rtol=1e-12, atol=1e-12)


def test_half_axes_are_those_of_the_eigenvalues(javascript):
    random = np.random.default_rng(0)
    for _ in range(20):
        root = random.normal(size=(2, 2))
        matrix, level = root @ root.T, random.uniform(0.1, 3)
        axes = np.array(
            javascript(
                MetricEllipses,
                "return m.halfAxes(...a)",
                [[matrix[0, 0], matrix[0, 1], matrix[1, 1]], level],
            )
        )
        values = np.linalg.eigvalsh(matrix)[::-1]
        assert np.allclose(np.linalg.norm(axes, axis=1), np.sqrt(level / values))
        # conjugate and orthogonal: v' M v = level on both, 0 between them
        assert np.allclose(axes @ matrix @ axes.T, level * np.eye(2), atol=1e-9)
        assert abs(axes[0] @ axes[1]) < 1e-9 * np.prod(np.linalg.norm(axes, axis=1))


def test_a_direction_that_the_decoder_ignores_gets_a_long_axis_not_a_nan(javascript):
    axes = javascript(MetricEllipses, "return m.halfAxes([4, 0, 0], 1)")
    assert np.allclose(np.linalg.norm(axes, axis=1), [0.5, 1e6])


def test_the_read_out_isometricity_is_the_librarys(javascript):
    decoder, beta = network(nn.SiLU), 0.2
    generator = torch.Generator().manual_seed(2)
    mu = torch.randn(5, 3, generator=generator)
    sigma = torch.rand(5, 3, generator=generator) + 0.1
    exact = isometry.isometricity(decoder, mu, sigma, beta)[:, [2, 0]]
    columns = isometry.jacobian(decoder, mu)[..., [2, 0]]
    cosine = nn.functional.cosine_similarity(columns[..., 0], columns[..., 1])
    got = call(
        javascript,
        decoder,
        """return a.mu.map((z, i) => { const f = m.measure(layers, z, a.sigma[i], [2, 0], a.beta);
             return [...f.iso, f.cosine]; })""",
        {"mu": mu.tolist(), "sigma": sigma[:, [2, 0]].tolist(), "beta": beta},
    )
    assert np.allclose(got, torch.cat([exact, cosine[:, None]], 1).detach(), rtol=1e-4, atol=1e-6)


BETA, SLOPES = 0.08, torch.tensor([2.0, 0.5])


def linear_vae() -> tuple[nn.Module, Tensor]:
    """The optimal linear decoder of two axes, and the sigma of its codes."""
    decoder = nn.Sequential(nn.Linear(2, 4))
    with torch.no_grad():
        decoder[0].weight.zero_()
        decoder[0].weight[:2] = SLOPES.diag()
        decoder[0].bias.zero_()
    return decoder, (BETA / 2 / (SLOPES.square() + BETA / 2)).sqrt()


@pytest.fixture
def linear() -> MetricEllipses:
    decoder, sigma = linear_vae()
    mu = torch.tensor([[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])
    labels = torch.arange(9)
    return MetricEllipses(
        decoder, mu, sigma.expand(9, 2), BETA, labels=labels, image_shape=(2, 2), selected=4
    )


@pytest.fixture
def figure() -> MetricEllipses:
    """Of a curved decoder, whose metric is another at each code."""
    mu = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    return MetricEllipses(network(nn.Tanh, d=2), mu, torch.ones(9, 2), BETA, selected=1)


class TestMetricEllipses(FigureContract):
    moves = {"Isometricity": {"selected": 5}}

    @pytest.fixture
    def looks(self, linear) -> tuple[MetricEllipses, ...]:
        return (linear,)


def test_a_linear_vae_reads_one_minus_sigma_squared_and_a_sum_of_one(visit, linear):
    shown = cards(visit(linear))
    for k, slope in enumerate(SLOPES.tolist()):
        variance = BETA / 2 / (slope**2 + BETA / 2)
        name = f"z{'₁₂'[k]}"
        assert shown[f"{name}: (2/β) σ² ‖J‖²"] == f"{1 - variance:.3f}"
        assert shown[f"{name}: sum"] == "1.000"
    assert shown["cosine of J's columns"] == "0.000"


def test_with_the_kl_terms_stiffness_the_ellipse_is_the_ball(javascript):
    _, sigma = linear_vae()
    matrix = SLOPES.square() + BETA / 2
    axes = javascript(
        MetricEllipses, "return m.halfAxes(...a)", [[matrix[0].item(), 0, matrix[1].item()], BETA]
    )
    assert np.allclose(np.linalg.norm(axes, axis=1), math.sqrt(2) * sigma.numpy(), rtol=1e-6)


def test_keys_slider_and_pointer_choose_a_code(visit, linear):
    page = visit(linear)
    ring = page.locator(RING)
    assert ring.get_attribute("aria-valuetext") == "z₁ = 0.00, z₂ = 0.00, code 4"
    plane = page.locator(".vf-canvas canvas").nth(0)
    before = shot(plane)
    ring.focus()
    page.keyboard.press("ArrowRight")
    assert ring.get_attribute("aria-valuetext").endswith("code 7")
    page.keyboard.press("ArrowUp")
    assert ring.get_attribute("aria-valuetext").endswith("code 8")
    page.keyboard.press("ArrowUp")  # nothing lies further up
    assert ring.get_attribute("aria-valuetext").endswith("code 8")
    assert shot(plane) != before
    page.get_by_label("Code", exact=True).fill("0")
    assert ring.get_attribute("aria-valuetext") == "z₁ = −1.00, z₂ = −1.00, code 0"
    box = plane.bounding_box()
    page.mouse.click(box["x"] + 0.68 * box["width"], box["y"] + 0.45 * box["height"])
    assert ring.get_attribute("aria-valuetext").endswith("code 7")


def test_the_switch_changes_the_ellipses_and_not_the_readings(visit, linear):
    page = visit(linear)
    close_up, shown = page.locator(".vf-canvas canvas").nth(1), cards(page)
    before = shot(close_up)
    page.get_by_label("add the KL term's own stiffness").check()
    assert shot(close_up) != before and cards(page) == shown


def test_the_pictures_are_the_decoded_image_and_its_tangents(visit, linear):
    page = visit(linear)
    page.get_by_label("Code", exact=True).fill("7")  # at (1, 0): the image is (2, 0, 0, 0)
    pixels = page.locator(".vf-image").evaluate_all(
        "all => all.map(c => [...c.getContext('2d').getImageData(0, 0, 2, 2).data])"
    )
    shown = page.locator(RING).get_attribute("aria-valuetext")
    assert shown.startswith("z₁ = 1.00, z₂ = 0.00")
    grey = np.array(pixels).reshape(3, 4, 4)[..., 0]
    assert grey[0].tolist() == [255, 0, 0, 0]
    assert grey[1].tolist() == [255, 128, 128, 128]  # the largest change is white, none is grey
    sigma = linear_vae()[1] * SLOPES
    assert abs(grey[2][1] - 255 * (0.5 + 0.5 * sigma[1] / sigma[0]).item()) <= 1


def test_without_pictures_and_labels_it_works_too(visit):
    decoder, sigma = linear_vae()
    page = visit(MetricEllipses(decoder, torch.randn(20, 2), sigma.expand(20, 2), BETA))
    assert page.locator(".vf-image").count() == 0 and cards(page)["z₁: sum"] == "1.000"
