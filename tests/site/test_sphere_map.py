"""The sphere's maps in the browser: areas are true, densities and images are the library's."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.site.contract import FigureContract
from tests.site.readings import RING, cards, drawn, said, shot, where
from vae_course.figures.sphere_map import SphereMap, _lattice
from vae_course.sphere import SphericalUniform, VonMisesFisher, angle, normalise

MIDDLES = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, -0.6, -0.8], [-0.48, 0.6, 0.64]]


def uniform(n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return SphericalUniform(3, dtype=torch.float64).sample((n,), generator)


def test_equal_areas_of_the_map_are_equal_areas_of_the_sphere(javascript):
    # The map of a hemisphere (area 2 pi) is the unit disk (area pi): 2 everywhere.
    got = javascript(
        SphereMap,
        """return a.middles.flatMap((f) => {
          const look = m.outlook(f), h = 1e-5, at = (p, q) => m.unlambert(look, [p, q]);
          return a.points.map(([p, q]) =>
            [at(p + h, q), at(p - h, q), at(p, q + h), at(p, q - h), h]);
        })""",
        {"middles": MIDDLES, "points": [[0, 0], [0.5, 0.1], [-0.3, 0.8], [0.6, -0.7]]},
    )
    for right, left, above, below, h in got:
        along = (np.array(right) - left) / (2 * h), (np.array(above) - below) / (2 * h)
        assert np.linalg.norm(np.cross(*along)) == pytest.approx(2, rel=1e-6)


def test_each_point_is_on_one_map_and_comes_back_from_there(javascript):
    points = uniform(50, seed=0)
    got = javascript(
        SphereMap,
        """return a.middles.map((f) => {
          const looks = [m.outlook(f), m.opposite(m.outlook(f))];
          return a.points.map((y) => {
            const maps = looks.map((l) => m.lambert(l, y)), k = maps[0] ? 0 : 1, at = maps[k];
            return [maps.filter(Boolean).length, k, ...at, ...m.unlambert(looks[k], at)];
          });
        })""",
        {"middles": MIDDLES, "points": points.tolist()},
    )
    for middle, rows in zip(MIDDLES, np.array(got), strict=True):
        assert (rows[:, 0] == 1).all()
        front = points @ torch.tensor(middle, dtype=torch.float64) > 0
        assert (rows[:, 1] == np.where(front, 0, 1)).all()
        assert (np.hypot(rows[:, 2], rows[:, 3]) <= 1).all()
        assert np.allclose(rows[:, 4:], points, atol=1e-12)


def test_the_maps_join_where_they_touch(javascript):
    # East of the front's right edge goes on at the back's left edge; north is up on both.
    front, back, north = javascript(
        SphereMap,
        """const f = m.outlook([0.6, 0, 0.8]), b = m.opposite(f);
        const tops = [f, b].map((l) => m.unlambert(l, [0, 1]));
        return [m.unlambert(f, [1, 0]), m.unlambert(b, [-1, 0]), tops]""",
    )
    assert np.allclose(front, back) and np.allclose(north[0], north[1])
    assert north[0][2] > 0


def test_the_density_is_the_librarys_mixture_over_the_uniform_one(javascript):
    codes, y, kappa = uniform(40, seed=1), uniform(20, seed=2), 1 / math.radians(10) ** 2
    laws = VonMisesFisher(codes, kappa)
    log_prob = laws.log_prob(y[:, None])  # (20, 40)
    exact = log_prob.exp().mean(1) * 4 * math.pi
    got = javascript(
        SphereMap,
        "return a.y.map((y) => m.density(y, a.codes, a.kappa))",
        {"y": y.tolist(), "codes": codes.flatten().tolist(), "kappa": kappa},
    )
    assert got == pytest.approx(exact.tolist(), rel=1e-9)


def test_the_table_holds_the_density_and_integrates_to_one(javascript):
    codes, y = uniform(300, seed=3), uniform(200, seed=4)
    mean, off, shares = javascript(
        SphereMap,
        """const codes = Float32Array.from(a.codes), k = (18 / Math.PI) ** 2;
        const t = m.table(codes, k), off = (y) => Math.abs(m.lookUp(t, y) - m.density(y, codes, k));
        const shares = [m.average(t, (v) => v < 0), m.average(t, (v) => v >= 0)];
        return [m.average(t, (v) => v), Math.max(...a.y.map(off)), shares]""",
        {"y": y.tolist(), "codes": codes.flatten().tolist()},
    )
    assert mean == pytest.approx(1, abs=1e-3)
    assert off < 0.06  # of densities up to 2.5, and no more than a tenth of the narrowest band
    assert shares == [0, 1]


def test_the_bare_area_is_the_share_of_the_sphere_below_a_quarter(javascript):
    # One code: its kernel falls below a quarter of the uniform density at a known height.
    kappa = 1 / math.radians(30) ** 2
    peak = 2 * kappa / -math.expm1(-2 * kappa)
    height = 1 + math.log(0.25 / peak) / kappa
    got = javascript(
        SphereMap, "return m.bare(m.table(Float32Array.from([0, 0.6, 0.8]), a))", kappa
    )
    assert got == pytest.approx((1 + height) / 2, abs=3e-3)


def test_a_rim_lies_at_its_angle_and_positions_come_back(javascript):
    centre = [-0.48, 0.6, 0.64]
    got, back = javascript(
        SphereMap,
        "return [m.rim(a, 0.7).map((y) => m.between(a, y)), m.onSphere(...m.position(a))]",
        centre,
    )
    assert np.allclose(got, 0.7, atol=1e-9) and np.allclose(back, centre, atol=1e-12)
    y, z = uniform(20, seed=5), uniform(20, seed=6)
    found = javascript(
        SphereMap,
        "return a.y.map((y, i) => m.between(y, a.z[i]))",
        {"y": y.tolist(), "z": z.tolist()},
    )
    assert np.allclose(found, angle(y, z), atol=1e-12)


HOLES = torch.tensor([[0.0, 0, 1], [0, 0.6, 0.8], [1, 0, 0], [0, 0, -1]])
ANGLES = torch.tensor([0.5, 0.6, 0.7, 0.4])


@pytest.fixture
def figure() -> SphereMap:
    """Three classes about three axes, and a decoder with a known image for each of them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(150) % 3
    noise = 0.3 * torch.randn(150, 3, generator=generator)
    torch.manual_seed(0)
    layers = [nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 4)]
    decoder = nn.Sequential(*layers, nn.Sigmoid())
    with torch.no_grad():
        for layer in layers[::2]:
            layer.weight.copy_((3 * layer.weight).half().float())
    made = SphereMap(
        normalise(torch.eye(3)[labels] + noise), labels, decoder, (2, 2), HOLES, ANGLES
    )
    made.oracle = (normalise(torch.eye(3)[labels] + noise), labels, decoder)
    return made


class TestSphereMap(FigureContract):
    moves = {"class 1, which is left out": {"point": [0.0, 1.0, 0.0], "dropped": 1}}


def grey(page, k: int) -> np.ndarray:
    pixels = (
        page.locator(".vf-image")
        .nth(k)
        .evaluate("c => [...c.getContext('2d').getImageData(0, 0, 2, 2).data]")
    )
    return np.array(pixels).reshape(4, 4)[:, 0]


def test_the_pictures_are_the_decoders(visit, figure):
    page, (_, _, decoder) = visit(figure), figure.oracle
    page.get_by_label("Longitude of the point").fill("40")
    page.get_by_label("Latitude of the point").fill("25")
    east, up = math.radians(40), math.radians(25)
    point = [math.cos(up) * math.cos(east), math.cos(up) * math.sin(east), math.sin(up)]
    with torch.no_grad():
        # Longitude is -180 to 180 in whole degrees: the first slider's move kept a latitude of -90.
        images = 255 * decoder(torch.tensor([point, HOLES[3].tolist()]))
    assert np.abs(grey(page, 0) - images[0].numpy()).max() <= 1
    assert np.abs(grey(page, 1) - images[1].numpy()).max() <= 1
    assert np.ptp(images.numpy()) > 20  # else the test would see nothing


def test_readings_are_the_librarys_and_follow_the_class_left_out(visit, figure):
    page, (codes, labels, _) = visit(figure), figure.oracle

    def inside(kept: Tensor, k: int) -> int:
        return int((angle(kept, HOLES[k]) < ANGLES[k]).sum())

    def fair(kept: Tensor, k: int) -> str:
        return f"{len(kept) * (1 - math.cos(ANGLES[k])) / 2:.0f}"

    assert cards(page)["codes in the hole"] == str(inside(codes, 3))
    assert cards(page)["uniform codes there"] == fair(codes, 3)
    assert page.get_by_label("show the codes left out").is_disabled()
    before = shot(page.locator("canvas"))
    page.get_by_label("Class left out").fill("2")
    assert shot(page.locator("canvas")) != before
    kept = codes[labels != 2]
    assert inside(kept, 2) < inside(codes, 2)
    counts = f"{inside(kept, 2)}, of {inside(codes, 2)} with class 2"
    assert cards(page)["codes in the hole"] == counts
    assert cards(page)["uniform codes there"] == fair(kept, 2)
    middle = normalise(codes[labels == 2].sum(0))
    apart = math.degrees(angle(middle, HOLES[2]).item())
    assert f"and {apart:.0f}° from the middle of class 2" in said(page)
    # The codes that are gone do not count: neither in the density nor as the nearest.
    page.get_by_role("button", name="Point at the hole").click()
    kappa = 1 / math.radians(10) ** 2
    density = VonMisesFisher(kept, kappa).log_prob(HOLES[2]).exp().mean().item() * 4 * math.pi
    assert cards(page)["density at the point"] == f"{density:.2f} × uniform"
    gaps = angle(kept, HOLES[2])
    nearest = labels[labels != 2][gaps.argmin()]
    near = f"the nearest is {math.degrees(gaps.min()):.0f}° away, of class {nearest}"
    assert near in said(page)


def test_gone_codes_are_drawn_where_asked(visit, figure):
    page = visit(figure)
    page.get_by_label("Class left out").fill("0")
    canvas = page.locator("canvas")
    without = shot(canvas)
    page.get_by_label("show the codes left out").check()
    with_them = shot(canvas)
    assert with_them != without
    page.get_by_label("show the codes", exact=True).uncheck()
    assert shot(canvas) not in (without, with_them)


def test_pointer_and_keys_move_the_point_over_both_maps(visit, figure):
    page = visit(figure)
    ring, box = page.locator(RING), page.locator("canvas").first.bounding_box()
    # The front's middle is the hole's centre, the south pole; north on the map is +y there.
    assert ring.get_attribute("aria-valuetext").endswith("latitude −90°")
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    assert ring.get_attribute("aria-valuetext").endswith("latitude 90°")
    drawn(page)
    x, _ = where(ring)
    assert x == pytest.approx(box["x"] + 0.75 * box["width"], abs=1.5)
    ring.focus()
    page.keyboard.press("ArrowUp")
    assert ring.get_attribute("aria-valuetext") == "longitude 90°, latitude 88°"
    page.keyboard.press("Shift+ArrowUp")
    assert ring.get_attribute("aria-valuetext") == "longitude 90°, latitude 78°"
    page.get_by_role("button", name="Centre the map on the point").click()
    drawn(page)
    x, _ = where(ring)
    assert x == pytest.approx(box["x"] + 0.25 * box["width"], abs=1.5)


def test_arrows_cross_from_one_map_to_the_other(visit, figure):
    page = visit(figure)
    ring = page.locator(RING)
    ring.focus()
    for _ in range(36):  # once around the sphere, in steps of ten degrees
        page.keyboard.press("Shift+ArrowRight")
    assert ring.get_attribute("aria-valuetext").endswith("latitude −90°")


def test_narrow_pages_stack_the_maps(visit, figure):
    boxes = [visit(figure, width=w).locator("canvas").first.bounding_box() for w in (360, 900)]
    assert boxes[0]["height"] == pytest.approx(2 * boxes[0]["width"], rel=0.01)
    assert boxes[1]["height"] == pytest.approx(0.5 * boxes[1]["width"], rel=0.01)


def test_without_holes_it_works_too(visit):
    codes = normalise(_lattice(50))
    bare = SphereMap(codes, torch.arange(50) % 2, nn.Sequential(nn.Linear(3, 4)), (2, 2))
    page = visit(bare)
    assert page.get_by_role("button", name="Point at the hole").is_disabled()
    assert "codes in the hole" not in cards(page)
    assert page.locator(".vf-image").nth(1).is_hidden()
