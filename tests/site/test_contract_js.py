"""The figure of the contract, the browser side: from a file, with no kernel and no network."""

import pytest
import torch
from test_figures_js import trained
from torch import nn

from vae_course.figures import Contract, state

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


def heading(page: object) -> str:
    return page.locator(".vf-readout").inner_text()


def chosen(page: object) -> str:
    return page.get_by_role("slider", name="Image").get_attribute("aria-valuetext")


def pixels(page: object, selector: str, number: int = 0) -> str:
    return page.locator(selector).nth(number).evaluate("c => c.toDataURL()")


def test_the_browsers_ratio_is_torchs(browser, figure):
    decoder, g = trained(nn.SiLU), torch.Generator().manual_seed(1)
    eps = torch.randn(200, 2, generator=g)
    mu, sigma, image = torch.tensor([0.5, -1.0]), torch.tensor([0.3, 0.9]), torch.rand(64)
    page = browser.new_page()
    found = page.evaluate(
        """async ([source, spec, data, mu, sigma, image, eps]) => {
          const url = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
          const m = await import(url);
          return m.contract(m.readDecoder(spec, Uint8Array.from(data)), mu, sigma, image, eps);
        }""",
        [
            Contract._esm,
            figure.spec["decoders"][0],
            list(figure.weights),
            *(t.tolist() for t in (mu, sigma, image, eps)),
        ],
    )
    page.close()
    with torch.no_grad():
        centre = (decoder(mu) - image).square().sum()
        draws = (decoder(mu + sigma * eps) - image).square().sum(1).mean()
    # float16 weights: at most 4e-3 a pixel, of errors of several tenths a pixel.
    assert found["centre"] == pytest.approx(float(centre), rel=0.01)
    assert found["draws"] == pytest.approx(float(draws), rel=0.01)
    assert found["ratio"] == pytest.approx(float(draws / centre), rel=0.02)


def test_a_click_in_any_plane_chooses_the_image_in_all(visit, figure):
    page = visit(figure)
    assert "Class 3." in heading(page) and all(f"{name} ×" in heading(page) for name in NAMES)
    original = pixels(page, ".vf-top canvas")
    third = page.locator(".vf-plane-of").nth(2)
    third.click(position={"x": 60, "y": 220})  # the lower left: the code at (-10, -10)
    assert "Class 4." in heading(page)
    assert chosen(page) == "class 4 (no. 2)"
    assert pixels(page, ".vf-top canvas") != original


def test_resampling_draws_again_from_every_ball_and_leaves_the_centres(visit, figure):
    page = visit(figure)
    said = heading(page)
    thumbs = [pixels(page, ".vf-decoded canvas", 9 * m + 1) for m in range(3)]
    centres = [pixels(page, ".vf-centre", m) for m in range(3)]
    page.get_by_role("button", name="Resample inside its ball").click()
    assert all(pixels(page, ".vf-decoded canvas", 9 * m + 1) != thumbs[m] for m in range(3))
    assert [pixels(page, ".vf-centre", m) for m in range(3)] == centres
    assert heading(page) != said


def test_the_image_slider_works_by_keyboard_and_is_read_aloud(visit, figure):
    page = visit(figure)
    page.get_by_role("slider", name="Image").focus()
    page.keyboard.press("Home")
    assert chosen(page) == "class 1 (no. 1)"
    assert "Class 1." in heading(page)
    page.wait_for_timeout(700)
    assert "Class 1." in page.locator(".vf-heard").inner_text()  # once the hand rests


def test_one_scale_for_all_shrinks_the_planes_that_are_not_the_widest(visit, figure):
    page = visit(figure)
    page.wait_for_timeout(200)
    before = [pixels(page, ".vf-plane-of", m) for m in range(3)]
    page.get_by_label("one scale for all planes").check()
    page.wait_for_timeout(200)
    after = [pixels(page, ".vf-plane-of", m) for m in range(3)]
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True, False]


@pytest.mark.parametrize("width", [320, 360, 700, 1200])
def test_nothing_overflows_and_every_target_is_large_enough(visit, figure, width):
    page = visit(figure, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, input").all():
        box = target.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8


def test_colours_follow_the_theme(visit, figure):
    page = visit(figure)
    page.wait_for_timeout(200)
    light = pixels(page, ".vf-plane-of")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(200)
    assert pixels(page, ".vf-plane-of") != light


def test_a_cleaned_up_figure_leaves_nothing_and_hears_nothing(visit, figure):
    [record] = state(figure)["state"].values()
    left = visit(figure).evaluate(
        """async ({ state, buffers }) => {
          for (const { path: [key], data } of buffers)
            state[key] = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const heard = new Set();
          const model = { get: (k) => state[k], set() {}, save_changes() {},
            on: (name) => heard.add(name), off: (name) => heard.delete(name) };
          const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
          const el = document.body.appendChild(document.createElement("div"));
          const cleanup = (await import(url)).default.render({ model, el });
          const before = heard.size, shown = el.children.length;
          cleanup();
          return [before, shown, heard.size, el.children.length];
        }""",
        record,
    )
    assert left == [1, 1, 0, 0]
