"""The figure of the contract, the browser side: from a file, with no kernel and no network."""

import pytest
import torch
from torch import nn

from tests.site.contract import FigureContract
from tests.site.decoders import trained
from tests.site.readings import heard, said, shot, shots
from vae_course.figures import Contract

NAMES = ["VAE", "KL only", "no pull"]
LABELS = torch.tensor([3, 1, 4, 1])


@pytest.fixture(scope="module")
def figure() -> Contract:
    """Four codes at (±1, ±1) with balls of 0.2 and 1, and the same codes ten times as far out."""
    mu = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    sigma = torch.tensor([0.2, 1.0, 0.5])[:, None, None].expand(3, 4, 2)
    decoder = trained(nn.SiLU)
    images = decoder(mu).detach().clamp(0.1, 0.9).reshape(4, 8, 8)
    places = torch.stack([mu, mu, 10 * mu])
    return Contract(NAMES, places, sigma, LABELS, images, [decoder] * 3, dtype="float16")


class TestContract(FigureContract):
    moves = {"Class 4.": {"selected": 2}}
    answers = 1  # it repeats what it was told


def chosen(page: object) -> str:
    return page.get_by_role("slider", name="Image").get_attribute("aria-valuetext")


def test_the_browsers_ratio_is_torchs(javascript, figure):
    decoder, g = trained(nn.SiLU), torch.Generator().manual_seed(1)
    eps = torch.randn(200, 2, generator=g)
    mu, sigma, image = torch.tensor([0.5, -1.0]), torch.tensor([0.3, 0.9]), torch.rand(64)
    given = {"mu": mu, "sigma": sigma, "image": image, "eps": eps}
    found = javascript(
        Contract,
        """const decoder = m.readDecoder(a.spec, Uint8Array.from(a.data));
        return m.contract(decoder, a.mu, a.sigma, a.image, a.eps)""",
        {name: values.tolist() for name, values in given.items()}
        | {"spec": figure.spec["decoders"][0], "data": list(figure.weights)},
    )
    with torch.no_grad():
        centre = (decoder(mu) - image).square().sum()
        draws = (decoder(mu + sigma * eps) - image).square().sum(1).mean()
    # float16 weights: at most 4e-3 a pixel, of errors of several tenths a pixel.
    assert found["centre"] == pytest.approx(float(centre), rel=0.01)
    assert found["draws"] == pytest.approx(float(draws), rel=0.01)
    assert found["ratio"] == pytest.approx(float(draws / centre), rel=0.02)


def test_a_click_in_any_plane_chooses_the_image_in_all(visit, figure):
    page = visit(figure)
    assert "Class 3." in said(page) and all(f"{name} ×" in said(page) for name in NAMES)
    original = shot(page.locator(".vf-top canvas"))
    third = page.locator(".vf-plane-of").nth(2)
    third.click(position={"x": 60, "y": 220})  # the lower left: the code at (-10, -10)
    assert "Class 4." in said(page)
    assert chosen(page) == "class 4 (no. 2)"
    assert shot(page.locator(".vf-top canvas")) != original


def test_resampling_draws_again_from_every_ball_and_leaves_the_centres(visit, figure):
    page = visit(figure)
    text, thumbs, centres = said(page), shots(page, ".vf-decoded canvas"), shots(page, ".vf-centre")
    page.get_by_role("button", name="Resample inside its ball").click()
    again = shots(page, ".vf-decoded canvas")
    assert all(again[9 * m + 1] != thumbs[9 * m + 1] for m in range(3))
    assert shots(page, ".vf-centre") == centres and len(centres) == 3
    assert said(page) != text


def test_the_image_slider_works_by_keyboard_and_is_read_aloud(visit, figure):
    page = visit(figure)
    page.get_by_role("slider", name="Image").focus()
    page.keyboard.press("Home")
    assert chosen(page) == "class 1 (no. 1)"
    assert "Class 1." in said(page)
    heard(page, "Class 1.")


def test_one_scale_for_all_shrinks_the_planes_that_are_not_the_widest(visit, figure):
    page = visit(figure)
    before = shots(page, ".vf-plane-of")
    page.get_by_label("one scale for all planes").check()
    after = shots(page, ".vf-plane-of")
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True, False]
