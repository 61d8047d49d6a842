"""The figure of two balls in the browser: its numbers are the library's, its sliders answer."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scipy.stats
import torch

from vae_course.figures import TwoBalls, fragment, state
from vae_course.gaussian import bhattacharyya_distance

LOADER = Path(__file__).parents[2] / "book/static/widgets-static.js"


@pytest.fixture
def visit(browser, tmp_path) -> Iterator[Callable]:
    """Open a page with the figure from a file; no request may leave it, no error may be logged."""
    contexts, faults = [], []

    def open_page(figure: TwoBalls, *, width: int = 1000, theme: str = "light") -> object:
        style = (
            "html{--pst-color-background:#fff;--pst-color-text-base:#222}"
            "html[data-theme=dark]{--pst-color-background:#121212;--pst-color-text-base:#ddd}"
            "body{margin:0 16px;background:var(--pst-color-background)}"
        )
        path = tmp_path / "page.html"
        path.write_text(
            f'<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">'
            '<title>t</title><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<style>{style}</style><script defer src="{LOADER.as_uri()}"></script>'
            f"<main>{fragment(state(figure))}</main>",
            encoding="utf-8",
        )
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: faults.append(str(e)))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-figures=mounted]", state="attached", timeout=20_000)
        page.wait_for_timeout(100)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, faults


@pytest.fixture
def module(browser) -> Iterator[Callable]:
    """Call JavaScript with the figure's module as ``m``."""
    page = browser.new_page()

    def call(body: str, argument: object = None) -> object:
        script = """async ([source, body, a]) => {
          const blob = new Blob([source], {type: "text/javascript"});
          const m = await import(URL.createObjectURL(blob));
          return new Function("m", "a", body)(m, a);
        }"""
        return page.evaluate(script, [TwoBalls._esm, body, argument])

    yield call
    page.close()


def test_the_browsers_overlap_is_the_librarys(module):
    cases = [
        (spacing, sigma, d)
        for spacing in (0.0, 0.05, 1.0, 3.0)
        for sigma in (0.05, 0.5, 1.0)
        for d in TwoBalls().dimensions
    ]
    got = module("return a.map(([s, sigma, d]) => d * m.logOverlap(s, sigma))", cases)
    for (spacing, sigma, d), log in zip(cases, got, strict=True):
        direction = torch.randn(d, generator=torch.Generator().manual_seed(d)).double()
        mu = spacing * d**0.5 * direction / direction.norm()  # any direction: the balls are round
        radius = torch.full_like(mu, sigma)
        distance = bhattacharyya_distance(torch.zeros_like(mu), radius, mu, radius).item()
        assert -log == pytest.approx(distance, rel=1e-6, abs=0)


def test_the_browsers_mean_overlap_is_the_integral_over_random_pairs(module):
    # Centres N(0, (1 - s^2) I): squared distance 2 (1 - s^2) chi2_d. SciPy integrates.
    cases = [(sigma, d) for sigma in (0.2, 3**-0.5, 0.9) for d in (2, 8, 64)]
    got = module("return a.map(([sigma, d]) => m.logMeanOverlap(sigma, d))", cases)
    for (sigma, d), log in zip(cases, got, strict=True):
        rate = 2 * (1 - sigma**2) / (8 * sigma**2)
        mean = scipy.stats.chi2(d).expect(lambda s, rate=rate: math.exp(-rate * s), epsabs=0)
        assert math.exp(log) == pytest.approx(mean, rel=1e-6, abs=0)


def test_touching_is_at_twice_sigma_and_typical_pairs_touch_at_one_third(module):
    assert module("return m.touching(0.35)") == pytest.approx(0.7)
    touching, typical = module("return [m.touching(a), m.typical(a)]", 3**-0.5)
    assert touching == pytest.approx(typical, rel=1e-12)


@pytest.mark.parametrize(
    "value, said",
    [(1.0, "1.00"), (0.0183156, "0.0183"), (2.9e-4, "2.9 × 10⁻⁴"), (9.99e-15, "1.0 × 10⁻¹⁴")],
)
def test_an_overlap_is_said_in_two_or_three_digits(module, value, said):
    assert module("return m.spokenOverlap(Math.log(a))", value) == said


def image(page: object, number: int) -> str:
    return page.locator(".vf-two-balls canvas").nth(number).evaluate("c => c.toDataURL()")


def test_the_sliders_move_balls_plot_and_readings(visit):
    page = visit(TwoBalls())
    text = page.locator(".vf-readout")
    assert "In 2 dimensions these balls touch" in text.inner_text()
    assert "0.368" in text.inner_text()  # e^-1
    before = image(page, 0), image(page, 1)
    page.get_by_label("Dimension d").fill("10")
    page.wait_for_timeout(100)
    assert "In 64 dimensions these balls touch" in text.inner_text()
    assert "1.3 × 10⁻¹⁴" in text.inner_text()  # e^-32
    assert image(page, 0) != before[0] and image(page, 1) != before[1]
    page.get_by_label("Distance Δ").fill("0.5")
    assert "interpenetrate (Δ is 0.50 times" in text.inner_text()
    page.get_by_label("Radius σ").fill("0.1")
    assert "are apart (Δ is 2.50 times" in text.inner_text()
    page.get_by_role("button", name="Let them touch").click()
    assert "touch (Δ is 1.00 times" in text.inner_text()
    page.get_by_role("button", name="A typical pair").click()
    assert page.get_by_label("Distance Δ").input_value() == "1.41"


@pytest.mark.parametrize("width", [320, 360, 700, 1200])
def test_nothing_overflows_and_every_target_is_large_enough(visit, width):
    page = visit(TwoBalls(d=64), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, input").all():
        box = target.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8


def test_colours_follow_the_theme(visit):
    page = visit(TwoBalls())
    light = image(page, 1)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(100)
    assert image(page, 1) != light
