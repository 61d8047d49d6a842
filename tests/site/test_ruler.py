"""The ruler in the browser: equal steps of y are equal distances where sigma says so."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.site.contract import FigureContract
from tests.site.readings import RING, cards, drag, said, shots
from vae_course.figures import Ruler

BETA = 0.02


def test_the_table_is_read_linearly_and_goes_on_beyond_its_ends(javascript):
    x, y = [-2.0, -1.0, 0.5, 3.0], [-3.0, 0.0, 1.0, 9.0]
    inside = np.linspace(-2, 3, 51)
    got = javascript(Ruler, "return a.at.map((v) => m.lookUp(a.x, a.y, v))", _at(x, y, inside))
    assert np.allclose(got, np.interp(inside, x, y))
    got = javascript(Ruler, "return a.at.map((v) => m.lookUp(a.x, a.y, v))", _at(x, y, [-3, 4]))
    assert np.allclose(got, [-6, 12.2])


def _at(x, y, at) -> dict:
    return {"x": x, "y": y, "at": list(map(float, at))}


def test_codes_that_coincide_do_not_break_the_table(javascript):
    x, y = [0.0, 1.0, 1.0, 1.0, 2.0], [0.0, 1.0, 1.0, 1.0, 3.0]
    got = javascript(Ruler, "return a.at.map((v) => m.lookUp(a.x, a.y, v))", _at(x, y, [1, 1.5]))
    assert np.allclose(got, [1, 2])
    assert javascript(Ruler, "return m.lookUp([1, 1, 1], [2, 2, 2], 1)") == 2


def test_a_path_on_a_circle_has_its_arcs_length(javascript):
    body = """const at = ([s]) => [Math.cos(s), Math.sin(s)];
              return m.carry(at, [0, 0], [Math.PI, 0], a).length"""
    for pieces in (1, 6, 100):
        chords = 2 * pieces * math.sin(math.pi / (2 * pieces))
        assert javascript(Ruler, body, pieces) == pytest.approx(chords, rel=1e-12)


def test_equal_strides_are_equal_in_z_or_in_y(javascript):
    # y = sinh z: the strides of y, mapped by sinh, are equal
    z = np.linspace(-3, 3, 6001)
    table = [z.tolist(), np.sinh(z).tolist()]
    for kind, map_ in (("z", np.asarray), ("y", np.sinh)):
        places = javascript(Ruler, "return m.stride(...a)", [table, kind, -2, 1])
        assert np.allclose(places[::8], [-2, 1]) and len(places) == 9
        assert np.allclose(np.diff(map_(places)), np.ptp(map_([-2, 1])) / 8, rtol=1e-5)


def test_the_grid_has_one_step_for_both_latents(javascript):
    z = np.linspace(-3, 3, 601)
    tables = [[z.tolist(), (3 * z).tolist()], [z.tolist(), z.tolist()]]
    wide, narrow = javascript(Ruler, "return m.gridLines(...a)", [tables, "y", 12])
    step = 3 * 4.9 / 12  # of y
    assert np.allclose(np.diff(wide), step / 3) and np.allclose(np.diff(narrow), step)
    assert len(wide) == 13 and len(narrow) == 5  # both symmetric
    for lines in javascript(Ruler, "return m.gridLines(...a)", [tables, "z", 12]):
        assert np.allclose(lines, np.linspace(-2.45, 2.45, 13))


def isometric_decoder() -> tuple[nn.Module, Tensor, Tensor]:
    """A curved decoder of two independent latents, and the sigma that isometricity asks for.

    x_j = a_j tanh(z_j / 2), so (2/beta) sigma_j² x_j'² = 1 at sigma_j = sqrt(beta/2) / x_j'.
    """
    scale = torch.tensor([4.0, 2.0])
    decoder = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 4))
    with torch.no_grad():
        decoder[0].weight.copy_(torch.eye(2) / 2)
        decoder[2].weight.copy_(torch.eye(4)[:, :2] * scale)
        decoder[0].bias.zero_()
        decoder[2].bias.zero_()
    mu = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    slope = scale / 2 / (mu / 2).cosh().square()
    return decoder, mu, math.sqrt(BETA / 2) / slope


@pytest.fixture(scope="module")
def flat() -> Ruler:
    return Ruler(*isometric_decoder(), BETA, image_shape=(2, 2))


@pytest.fixture(scope="module")
def figure() -> Ruler:
    """Without pictures, and with a manifold that one can turn."""
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5))
    return Ruler(decoder, torch.randn(200, 2), torch.full((200, 2), 0.3), BETA)


class TestRuler(FigureContract):
    moves = {"the longest of eight steps": {"z": [1.0, -1.5]}}

    @pytest.fixture
    def looks(self, flat) -> tuple[Ruler, ...]:
        return (flat,)


def test_equal_steps_of_y_are_equal_distances_on_the_manifold(visit, flat):
    page = visit(flat)
    shown = cards(page)
    assert float(shown["walk in y, longest / shortest"]) <= 1.03
    assert shown["grid in y, edge lengths vary by"] in ("0 %", "1 %")
    # in z, the steps are as long as tanh makes them: the middle one against the last of eight
    z = np.linspace(-2.45, 2.45, 9)
    steps = np.diff(np.tanh(z / 2))
    ratio = float(shown["walk in z, longest / shortest"])
    assert ratio == pytest.approx(steps.max() / steps.min(), abs=0.01)


def test_switches_keys_and_pointer_redraw_what_they_should(visit, flat):
    page = visit(flat)
    ring, first = page.locator(RING), shots(page)
    page.get_by_role("button", name="Equal steps in y").press("Enter")
    assert "Equal steps in y: the grid's edges" in said(page)
    second = shots(page)
    assert [a != b for a, b in zip(first, second, strict=True)] == [True, True, False, False]
    page.get_by_role("button", name="Walk along z₂").press("Space")
    third = shots(page)
    assert all(a != b for a, b in zip(second, third, strict=True))
    ring.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert ring.get_attribute("aria-valuetext") == "z₁ = 0.10, z₂ = −0.50"
    page.get_by_label("Point z₁").fill("-1")
    assert ring.get_attribute("aria-valuetext") == "z₁ = −1.00, z₂ = −0.50"
    page.get_by_label("Steps across").fill("4")
    assert shots(page)[0] != third[0]
    box = page.locator(".vf-plane canvas").bounding_box()
    shares = (0.5, 0.4), (0.7, 0.3)
    drag(page, *((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares))
    z1, z2 = ring.get_attribute("aria-valuetext").replace("−", "-").split(", ")
    assert 1 < float(z1.split("= ")[1]) < 1.6 and 0.9 < float(z2.split("= ")[1]) < 1.5


def test_a_flat_manifold_has_no_angles_and_a_curved_one_turns(visit, flat, figure):
    assert visit(flat).get_by_label("Turn the manifold").count() == 0
    page = visit(figure)
    before = shots(page)
    page.get_by_label("Turn the manifold").fill("40")
    page.get_by_label("Tilt the manifold").fill("-30")
    after = shots(page)
    assert after[1] != before[1] and after[0] == before[0]
    assert page.locator(".vf-image").count() == 0


def test_the_walks_pictures_begin_and_end_alike(visit, flat):
    rows = (
        visit(flat)
        .locator(".vf-thumbs")
        .evaluate_all("rows => rows.map(r => [...r.children].map(c => c.toDataURL()))")
    )
    in_z, in_y = rows
    assert len(in_z) == len(in_y) == 9
    assert in_z[0] == in_y[0] and in_z[-1] == in_y[-1] and in_z[5] != in_y[5]
