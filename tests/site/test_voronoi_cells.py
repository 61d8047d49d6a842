"""The Voronoi cells, the browser side: cells, readings and controls, with no network."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.stats
import torch
from torch import Tensor, nn

from tests.site.contract import FigureContract
from tests.site.decoders import trained
from tests.site.readings import RING, cards, drag, said, shot
from vae_course.figures import VoronoiCells

CENTRES = torch.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 9.0]])  # the last one is dead


def codes(n: int = 60) -> Tensor:
    """Two thirds of the codes about (-2, 0), one third about (2, 0)."""
    generator = torch.Generator().manual_seed(0)
    z = 0.3 * torch.randn(n, 2, generator=generator)
    z[:, 0] += torch.where(torch.arange(n) < 2 * n // 3, -2.0, 2.0)
    return z


@pytest.fixture(scope="module")
def figure() -> VoronoiCells:
    z, decoder = codes(), trained(nn.SiLU)
    images = decoder(z).detach().clamp(0, 1).reshape(-1, 8, 8)
    labels = torch.where(z[:, 0] < 0, 3, 7)
    return VoronoiCells(CENTRES, z, labels, images, decoder, commitment=0.5)


class TestVoronoiCells(FigureContract):
    moves = {"Centre 3: ": {"centres": [[-2, 0], [2, 0], [2, 1]], "selected": 2}}


@pytest.fixture
def module(javascript) -> Callable:
    """Call JavaScript with the figure's module as ``m`` and an argument as ``a``."""
    return functools.partial(javascript, VoronoiCells)


def place(page, z: list[float], spec: dict) -> tuple[float, float]:
    """Where a code lies on the page, from the ring's place and the frame's scale."""
    ring = page.locator(RING).bounding_box()
    canvas = page.locator(".vf-plane canvas").bounding_box()
    low, high = spec["low"], spec["high"]
    side = min(canvas["width"] - 38, canvas["height"] - 34)
    x = canvas["x"] + canvas["width"] - side - 6 + (z[0] - low[0]) / (high[0] - low[0]) * side
    y = canvas["y"] + 6 + (high[1] - z[1]) / (high[1] - low[1]) * side
    assert ring["width"] == ring["height"] == 44
    return x, y


# ---------------------------------------------------------------------------- the numbers
def random_plane(n: int = 400, k: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    draw = torch.randn(n + k, 2, generator=generator)
    return draw[:k], draw[k:]


def test_codes_go_to_the_centre_that_is_nearest_in_float64(module):
    centres, z = random_plane()
    got = module(
        "return [...m.nearest(a.e, a.z)]", {"e": centres.tolist(), "z": z.flatten().tolist()}
    )
    expected, _ = scipy.cluster.vq.vq(z.double().numpy(), centres.double().numpy())
    assert got == expected.tolist()


def test_of_equal_centres_the_first_owns_all(module):
    body = """const e = [[0, 0], [0, 0], [9, 9]];
    return [[...m.nearest(e, [1, 1, -1, 0])], m.cell(e, 0, [-1, -1], [1, 1]).length,
            m.cell(e, 1, [-1, -1], [1, 1]).length]"""
    assert module(body) == [[0, 0], 4, 0]


def test_perplexity_error_and_means_are_those_of_scipy(module):
    centres, z = random_plane()
    centres[7] = 100.0  # dead
    index, gap = scipy.cluster.vq.vq(z.double().numpy(), centres.double().numpy())
    got = module(
        """const index = m.nearest(a.e, a.z), n = m.count(index, a.e.length);
        return [m.perplexity(n), m.squared(a.e, a.z, index), m.means(a.e, a.z, index), n]""",
        {"e": centres.tolist(), "z": z.flatten().tolist()},
    )
    counts = np.bincount(index, minlength=12)
    assert got[3] == counts.tolist() and counts[7] == 0
    assert got[0] == pytest.approx(np.exp(scipy.stats.entropy(counts)), rel=1e-12)
    assert got[1] == pytest.approx((gap**2).mean(), rel=1e-9)
    step = centres.double().numpy()
    for k in np.flatnonzero(counts):
        step[k] = z.double().numpy()[index == k].mean(0)
    assert np.allclose(got[2], step, rtol=1e-9)


def test_cells_tile_the_frame_and_hold_exactly_what_is_nearest(module):
    centres, z = random_plane()
    polygons = module(
        "return a.map((_, k) => m.cell(a, k, [-3, -3], [3, 3]))", centres.double().tolist()
    )
    areas, inside = [], []
    points = z[z.abs().amax(1) < 3].double().numpy()
    for polygon in polygons:
        p = np.array(polygon)
        q = np.roll(p, -1, 0)
        areas.append(0.5 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum())  # shoelace
        edge, to = q - p, points[:, None] - p
        side = edge[:, 0] * to[..., 1] - edge[:, 1] * to[..., 0]
        inside.append((side >= -1e-12).all(1))
    assert min(areas) > 0 and sum(areas) == pytest.approx(36, rel=1e-9)
    expected, _ = scipy.cluster.vq.vq(points, centres.double().numpy())
    assert (np.stack(inside).argmax(0) == expected).all() and np.stack(inside).sum() == len(points)


def test_the_dead_revive_on_codes_in_proportion_to_their_squared_error(module):
    # Codes at 1, 2 and 0 from the only centre in use: the dead one takes them as 1 : 4 : 0.
    taken = module(
        """const e = [[0, 0], [50, 50]], z = [1, 0, 0, 2, 0, 0], index = m.nearest(e, z);
        return Array.from({ length: 2000 }, (_, seed) => m.revived(e, z, index, [3, 0], seed))"""
    )
    assert all(first == [0, 0] for first, _ in taken)  # a centre in use stays
    places = [tuple(place) for _, place in taken]
    near, far = places.count((1, 0)), places.count((0, 2))
    assert near + far == 2000
    assert scipy.stats.binomtest(far, 2000, 0.8).pvalue > 0.01


def test_no_two_of_the_dead_revive_on_one_code(module):
    got = module(
        """const e = [[0, 0], [50, 50], [60, 60], [70, 70]], z = [1, 0, 0, 2, 3, 0];
        return m.revived(e, z, m.nearest(e, z), [3, 0, 0, 0], 4)"""
    )
    assert sorted(map(tuple, got[1:])) == [(0, 2), (1, 0), (3, 0)]


def test_the_readings_of_the_page_are_torchs(visit, figure):
    z, decoder = codes(), trained(nn.SiLU)
    squared = (z[:, None] - CENTRES).square().sum(2)
    index = squared.argmin(1)
    with torch.no_grad():
        images = decoder(z).clamp(0, 1)
        distortion = (images - decoder(CENTRES)[index]).square().sum(1).mean()
    shown = cards(visit(figure))
    counts = index.bincount(minlength=3).numpy()
    assert shown["perplexity"] == f"{np.exp(scipy.stats.entropy(counts)):.1f} of 3"
    assert shown["codes used"] == "2 of 3"
    error = squared.amin(1).mean().item()
    assert float(shown["quantisation error"]) == pytest.approx(error, rel=0.006)
    # float16 weights and 8-bit images: 4e-3 and 2e-3 of pixels of order 1
    assert float(shown["distortion of images"]) == pytest.approx(distortion.item(), rel=0.02)


# ---------------------------------------------------------------------------- the controls
def test_the_chosen_cell_is_described_and_a_dead_centre_is_called_dead(visit, figure):
    page = visit(figure)
    assert "Centre 1: 40 of 60 codes (67 %): 40 of class 3." in said(page)
    mean = (codes()[:40] - CENTRES[0]).square().sum(1).mean()
    assert f"0.5 × {float(f'{mean:.3g}'):g}" in said(page)
    page.get_by_role("slider", name="Centre", exact=True).fill("2")
    assert "Centre 3 is dead" in said(page)
    assert page.locator(".vf-members canvas:visible").count() == 0


def test_keys_move_the_chosen_centre(visit, figure):
    page = visit(figure)
    ring, image = page.locator(RING), page.locator(".vf-decoded canvas").first
    before = cards(page), shot(image)
    assert ring.get_attribute("aria-valuetext") == "centre 1 at (−2.00, 0.00)"
    ring.focus()
    page.keyboard.press("ArrowUp")
    width = figure.spec["high"][0] - figure.spec["low"][0]
    assert ring.get_attribute("aria-valuetext") == f"centre 1 at (−2.00, {width / 120:.2f})"
    page.keyboard.press("Shift+ArrowRight")
    x = -2 + width / 20
    assert ring.get_attribute("aria-valuetext").startswith(
        f"centre 1 at ({x:.2f}".replace("-", "−")
    )
    assert float(cards(page)["quantisation error"]) > float(before[0]["quantisation error"])
    assert shot(image) != before[1]
    for _ in range(21):  # more than the frame is wide: never out of it
        page.keyboard.press("Shift+ArrowLeft")
    assert f"({figure.spec['low'][0]:.2f}".replace("-", "−") in ring.get_attribute("aria-valuetext")


def test_a_click_chooses_a_cell_and_a_drag_moves_its_centre(visit, figure):
    page = visit(figure)
    page.mouse.click(*place(page, [2.6, -1.0], figure.spec))
    assert "Centre 2: 20 of 60 codes" in said(page)
    ring = page.locator(RING)
    assert ring.get_attribute("aria-valuetext") == "centre 2 at (2.00, 0.00)"  # chosen, not moved
    start, end = place(page, [-2.0, 0.0], figure.spec), place(page, [-3.0, 2.0], figure.spec)
    drag(page, start, end)
    text = ring.get_attribute("aria-valuetext").replace("−", "-")
    x, y = (float(v) for v in text.partition("at (")[2][:-1].split(","))
    assert text.startswith("centre 1") and abs(x + 3) < 0.05 and abs(y - 2) < 0.05
    page.mouse.move(*start)  # the hand is off
    assert ring.get_attribute("aria-valuetext").replace("−", "-") == text


def test_the_ring_itself_drags(visit, figure):
    page = visit(figure)
    x, y = place(page, [-2.0, 0.0], figure.spec)
    beside = x + 15, y  # within the ring, not on the centre
    drag(page, beside, place(page, [0.0, -1.0], figure.spec))
    assert "centre 1 at (0.0" in page.locator(RING).get_attribute("aria-valuetext").replace("−", "")


def test_a_step_of_k_means_lowers_the_error_leaves_the_dead_and_revival_revives(visit, figure):
    page = visit(figure)
    page.get_by_label("z₂").fill("1.5")
    worse = float(cards(page)["quantisation error"])
    page.get_by_role("button", name="Every centre to its cell's mean").click()
    better = float(cards(page)["quantisation error"])
    within = [codes()[:40], codes()[40:]]
    expected = sum((c - c.mean(0)).square().sum().item() for c in within) / 60
    assert better == pytest.approx(expected, rel=0.006) and better < worse
    assert cards(page)["codes used"] == "2 of 3"  # no mean moves a dead centre
    page.get_by_role("button", name="Revive the dead codes").click()
    assert cards(page)["codes used"] == "3 of 3"
    page.get_by_role("button", name="Back to the trained centres").click()
    assert cards(page)["codes used"] == "2 of 3"
    assert "(−2.00, 0.00)" in page.locator(RING).get_attribute("aria-valuetext")


def test_a_kernel_hears_where_the_reader_left_the_centres(by_hand, figure):
    told, saved = by_hand(
        figure,
        """for (const key of ["ArrowRight", "ArrowUp"])
          el.querySelector("[aria-roledescription]").dispatchEvent(
            new KeyboardEvent("keydown", { key }));
        await rest();
        return [told, model.saved];""",
    )
    step = (figure.spec["high"][0] - figure.spec["low"][0]) / 120
    centres = told.pop("centres")
    assert told == {"selected": 0} and saved == 1
    assert centres[0] == pytest.approx([-2 + step, step]) and centres[1:] == [[2, 0], [0, 9]]
