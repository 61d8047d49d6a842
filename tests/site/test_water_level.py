"""The water-filling figure in the browser: its numbers are the library's, its controls answer."""

import math

import pytest
import torch

from tests.site.contract import FigureContract
from tests.site.readings import cards, drag, drawn, said, shots, where
from vae_course.distortion import reverse_water_filling
from vae_course.figures import WaterLevel

SPECTRUM = torch.tensor([4.0, 1.0, 0.5, 0.05], dtype=torch.float64)


@pytest.fixture
def figure() -> WaterLevel:
    return WaterLevel(SPECTRUM, 1.0)


class TestWaterLevel(FigureContract):
    moves = {"1 of 4 axes": {"beta": 4.0}}  # there are 2 at 1


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.9, 1.0, 2.5, 8.0, 9.0])
def test_the_browsers_water_is_the_librarys(javascript, beta):
    rest = 0.3
    got = javascript(WaterLevel, "return m.fillWater(...a)", [SPECTRUM.tolist(), beta, rest])
    exact = reverse_water_filling(SPECTRUM, beta)
    assert got["variances"] == pytest.approx(exact.variances.tolist(), rel=1e-12)
    assert got["rates"] == pytest.approx(exact.rates.tolist(), rel=1e-12, abs=1e-15)
    assert got["rate"] == pytest.approx(exact.rates.sum().item(), rel=1e-12, abs=1e-15)
    assert got["distortion"] == pytest.approx(exact.distortion.item() + rest, rel=1e-12)
    assert got["active"] == int((exact.rates > 0).sum())


def test_the_slope_of_the_browsers_curve_is_minus_beta(javascript):
    # dD/dR = -beta, by central differences of the curve itself
    beta, h = 0.7, 1e-5
    low, high = (
        javascript(WaterLevel, "return m.fillWater(...a)", [SPECTRUM.tolist(), b, 0])
        for b in (beta - h, beta + h)
    )
    slope = (high["distortion"] - low["distortion"]) / (high["rate"] - low["rate"])
    assert slope == pytest.approx(-beta, rel=1e-6)


def test_the_slider_raises_the_water_to_collapse_and_keys_move_it(visit, figure):
    page = visit(figure)
    assert cards(page)["active axes"] == "2 of 4"  # 0.5 is at the level, not above it
    assert cards(page)["rate R"] == f"{0.5 * math.log(8) + 0.5 * math.log(2):.2f} nats"
    assert cards(page)["distortion D"] == "1.55"
    before = shots(page)
    slider = page.get_by_label("Water level")
    slider.focus()
    page.keyboard.press("End")
    assert cards(page)["active axes"] == "0 of 4" and cards(page)["rate R"] == "0.00 nats"
    assert "This is collapse" in said(page)
    page.keyboard.press("ArrowLeft")
    assert cards(page)["price β"] != "10"
    assert all(a != b for a, b in zip(before, shots(page), strict=True))


def test_an_axis_is_read_off_and_the_heights_change_their_scale(visit, figure):
    page = visit(figure)
    page.get_by_label("Axis to read off").fill("2")
    shown = cards(page)
    assert (shown["λ of axis 2"], shown["its σ²"], shown["its rate"]) == ("1", "0.5", "0.35 nats")
    bars, curve = shots(page)
    page.get_by_label("logarithmic heights").check()
    after = shots(page)
    assert after[0] != bars and after[1] == curve


@pytest.mark.parametrize("logarithmic", [False, True])
def test_dragging_puts_the_water_under_the_pointer(visit, figure, logarithmic):
    page = visit(figure)
    if logarithmic:
        page.get_by_label("logarithmic heights").check()
    grip, bars = page.locator(".vf-grip"), page.locator(".vf-bars").bounding_box()
    x, _ = where(grip)
    drag(page, where(grip), (x, bars["y"] + 60))
    drawn(page)
    assert abs(where(grip)[1] - (bars["y"] + 60)) <= 1
    assert float(cards(page)["price β"]) > 2


def test_trained_models_are_drawn(visit, figure):
    plain = shots(visit(figure))
    page = visit(WaterLevel(SPECTRUM, 1.0, trained={1.0: (1.5, 1.6)}, rest=0.1))
    assert shots(page)[1] != plain[1]
    note = page.locator(".vf-note").inner_text()
    assert "Squares: trained models" in note and "0.1 of axes left out" in note
