"""Two rate-distortion curves in the browser: the library's numbers, and controls that answer."""

import pytest
import torch

from tests.site.contract import FigureContract
from tests.site.readings import cards, drag, said, shots, where
from vae_course.distortion import blahut_arimoto
from vae_course.figures.two_curves import TwoCurves, four_symbols


@pytest.fixture(scope="module")
def figure() -> TwoCurves:
    return TwoCurves()


class TestTwoCurves(FigureContract):
    moves = {"At β = 4 ": {"beta": 4.0}}


def optimum(which: int, beta: float) -> tuple[float, float, list[float]]:
    p = torch.full((4,), 0.25, dtype=torch.float64)
    found = blahut_arimoto(p, four_symbols()[which], beta)
    return found.rate.item(), found.distortion.item(), found.channel.flatten().tolist()


def test_the_browsers_points_and_channels_are_the_librarys(javascript, figure):
    def packed(data: bytes) -> list[int]:
        return list(data)

    got = javascript(
        figure,
        """const [points, channels] = a.slice(0, 2).map((data) => Uint8Array.from(data));
        return m.readCurves(points, channels, ...a.slice(2))""",
        [packed(figure.points), packed(figure.channels), len(figure.prices), figure.ends, 16],
    )
    first, last = figure.ends
    for which, curve in enumerate(got):
        assert len(curve) == len(figure.prices)
        for i in range(0, len(curve), 9):
            rate, distortion, channel = optimum(which, figure.prices[i])
            point = curve[i]
            assert point["rate"] == pytest.approx(rate, abs=1e-6)
            assert point["distortion"] == pytest.approx(distortion, abs=1e-6)
            assert ("channel" in point) == (first <= i <= last)
            if "channel" in point:
                assert point["channel"] == pytest.approx(channel, abs=1e-6)


@pytest.mark.parametrize("beta, gap", [(0.5, "0.1402 less"), (2.0, "0.0033 more")])
def test_the_weaker_distortion_is_cheaper_at_a_small_price_and_dearer_at_a_large_one(
    visit, beta, gap
):
    page = visit(TwoCurves(beta=beta))
    for which, name in enumerate("₁₂"):
        rate, distortion, _ = optimum(which, beta)
        assert cards(page)[f"R under d{name}"] == f"{rate:.4f} nats"
        assert cards(page)[f"D under d{name}"] == f"{distortion:.4f}"
        assert cards(page)[f"D + βR under d{name}"] == f"{distortion + beta * rate:.4f}"
    assert f"d₂ costs {gap}. The rates cross at β = 1.216." in said(page)


def test_keys_on_the_slider_and_on_the_ring_move_the_price_one_step(visit, figure):
    page = visit(figure)
    before = shots(page)
    page.get_by_label("Price β of a nat").focus()
    page.keyboard.press("ArrowRight")
    up = 0.5 * 2 ** (1 / 20)
    assert said(page).startswith(f"At β = {up:.3g} ")
    ring = page.locator(".vf-handle")
    ring.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert ring.get_attribute("aria-valuetext") == f"β = {0.5 * 2**0.5:.3g}"
    # Up the curve is down in price.
    page.keyboard.press("ArrowUp")
    assert ring.get_attribute("aria-valuetext") == f"β = {0.5 * 2 ** (9 / 20):.3g}"
    page.get_by_label("Price β of a nat").press("Home")
    assert said(page).startswith("At β = 0.25 ")
    page.keyboard.press("ArrowLeft")  # there is no lower one
    assert said(page).startswith("At β = 0.25 ")
    assert all(a != b for a, b in zip(before, shots(page), strict=True))


def test_dragging_takes_the_price_of_the_nearest_point(visit, figure):
    page = visit(figure)
    ring, canvas = page.locator(".vf-handle"), page.locator("canvas").first.bounding_box()
    right, foot = canvas["x"] + canvas["width"] - 2, canvas["y"] + canvas["height"] - 44
    drag(page, where(ring), (right, foot))
    assert said(page).startswith("At β = 8 ")
    page.mouse.click(canvas["x"] + 48, canvas["y"] + 8)
    assert said(page).startswith("At β = 0.25 ")


def test_dragging_over_the_prices_takes_the_price_under_the_pointer(visit, figure):
    page = visit(figure)
    canvas = page.locator(".vf-side canvas").bounding_box()
    left, width = canvas["x"] + 48, canvas["width"] - 56
    page.mouse.move(left, canvas["y"] + 50)
    page.mouse.down()
    page.mouse.move(left + 0.6 * width, canvas["y"] + 80, steps=3)
    assert said(page).startswith("At β = 2 ")  # 0.25 x 2^(0.6 x 5)
    page.mouse.up()
    page.mouse.move(left, canvas["y"] + 50)
    assert said(page).startswith("At β = 2 ")


def test_the_foot_of_the_curves_is_enlarged_where_asked(visit):
    page = visit(TwoCurves(beta=2.0))
    plane, prices = shots(page)
    top = page.locator(".vf-handle").bounding_box()["y"]
    page.get_by_label("enlarge the foot of the curves").check()
    after = shots(page)
    assert after[0] != plane and after[1] == prices
    assert page.locator(".vf-handle").bounding_box()["y"] < top - 50  # the same point, higher


def test_the_channels_blur_as_the_price_rises(visit):
    """Black is certain, so the darkest pixel grows paler towards a quarter."""
    darkest = "c => Math.min(...c.getContext('2d').getImageData(0, 0, 4, 4).data)"
    page, seen = visit(TwoCurves(beta=0.25)), []
    for beta in (0.25, 1.0, 8.0):
        page.get_by_label("Price β of a nat").fill(str(10 + 20 * {0.25: 0, 1.0: 2, 8.0: 5}[beta]))
        value = page.locator(".vf-image").nth(1).evaluate(darkest)
        assert value == pytest.approx(255 * (1 - max(optimum(0, beta)[2])), abs=1)
        seen.append(value)
    assert seen[0] < seen[1] < seen[2] < 0.75 * 255


def test_equal_distortions_are_said_to_cost_the_same_and_not_to_cross(visit):
    first, _ = four_symbols()
    page = visit(TwoCurves(first, first, betas=(0.5, 1.0), names=("one", "other")))
    assert "other costs as much. The rates do not cross" in said(page)
    assert "R under other" in cards(page)


def test_a_kernel_hears_where_the_reader_stops(told, figure):
    assert told(figure, [figure.ends[0] + 60]) == {"beta": pytest.approx(2)}
