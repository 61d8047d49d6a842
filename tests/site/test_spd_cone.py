"""The cone in the browser: the library's distances and ways, and rank 1 that only Bures reaches."""

import math

import pytest
import torch
from torch import Tensor

from tests.site.contract import FigureContract
from tests.site.readings import RING, cards, drag, drawn, said, shots, where
from vae_course import spd
from vae_course.figures.spd_cone import SpdCone

DISTANCES = {
    "log_euclidean": spd.log_euclidean_distance,
    "affine_invariant": spd.affine_invariant_distance,
    "bures": spd.bures_distance,
}
T = torch.linspace(0, 1, 6, dtype=torch.float64)


def covariances(count: int, seed: int, freedom: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, freedom, generator=generator, dtype=torch.float64)
    return x @ x.mT


def entries(s: Tensor) -> list:
    return s.flatten(-2)[..., [0, 1, 3]].tolist()


def full(listed: list) -> Tensor:
    return torch.tensor(listed, dtype=torch.float64)[..., [0, 1, 1, 2]].unflatten(-1, (2, 2))


def test_distances_and_ways_are_the_librarys(javascript):
    a, b = covariances(12, seed=0), covariances(12, seed=1)
    found, ways = javascript(
        SpdCone,
        """const found = a.a.map((s, i) => m.distances(s, a.b[i]));
        return [found, Object.fromEntries(a.metrics.map((k) => [k,
          a.a.map((s, i) => a.t.map(m.geodesic(k, s, a.b[i])))]))]""",
        {"a": entries(a), "b": entries(b), "t": T.tolist(), "metrics": list(DISTANCES)},
    )
    for metric, distance in DISTANCES.items():
        exact = distance(a, b).tolist()
        assert [one[metric] for one in found] == pytest.approx(exact, rel=1e-6)
        for i, way in enumerate(ways[metric]):
            exact = spd.geodesic(a[i], b[i], T, metric)
            assert torch.allclose(full(way), exact, rtol=1e-6, atol=1e-8)


def test_close_to_the_boundary_the_distances_keep_their_digits(javascript):
    """By closed forms: commuting matrices, with condition numbers up to 1e9."""
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    x = torch.tensor([3.0, 1e-7], dtype=torch.float64)
    y = torch.tensor([2.0, 4e-9], dtype=torch.float64)
    a, b = (turn @ v.diag() @ turn.T for v in (x, y))
    got = javascript(SpdCone, "return m.distances(a[0], a[1])", [entries(a), entries(b)])
    logs = (x.log() - y.log()).norm().item()
    assert got["log_euclidean"] == pytest.approx(logs, rel=1e-6)
    assert got["affine_invariant"] == pytest.approx(logs, rel=1e-6)
    assert got["bures"] == pytest.approx((x.sqrt() - y.sqrt()).norm().item(), rel=1e-6)


def test_at_rank_1_two_distances_are_infinite_and_the_third_is_the_librarys(javascript):
    thick, thin = covariances(1, seed=2)[0], covariances(2, seed=3, freedom=1)
    pairs = [(thick, thin[0]), (thin[0], thick), (thin[0], thin[1])]
    got = javascript(
        SpdCone,
        """return a.map(([s, t]) => {
          const d = m.distances(s, t), far = [d.log_euclidean, d.affine_invariant];
          const none = ["log_euclidean", "affine_invariant"].map((k) => m.geodesic(k, s, t));
          return [far.every((v) => v === Infinity), none.every((v) => v === null), d.bures,
            [0.25, 0.5, 0.75].map(m.geodesic("bures", s, t))];
        })""",
        [[entries(s), entries(t)] for s, t in pairs],
    )
    share = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    for (s, t), (infinite, none, bures, way) in zip(pairs, got, strict=True):
        assert infinite and none
        length = spd.bures_distance(s, t)
        assert bures == pytest.approx(length.item(), rel=1e-6)
        # no formula for the way between two lines in the library: it walks the distance evenly
        points = full(way)
        assert torch.allclose(spd.bures_distance(s, points), share * length, atol=1e-6)
        assert torch.allclose(spd.bures_distance(points, t), (1 - share) * length, atol=1e-6)


def test_eigenvalues_and_direction_make_the_matrix_again(javascript):
    s = torch.cat([covariances(20, seed=4), covariances(5, seed=5, freedom=1)])
    eigen, back = javascript(
        SpdCone, "return [a.map(m.eigen), a.map((s) => m.matrix(m.eigen(s)))]", entries(s)
    )
    assert torch.allclose(full(back), s, atol=1e-12)
    exact = torch.linalg.eigvalsh(s)
    got = torch.tensor([[e["small"], e["large"]] for e in eigen], dtype=torch.float64)
    assert torch.allclose(got, exact, atol=1e-12)
    assert all(e["small"] == 0 for e in eigen[20:])


@pytest.fixture
def figure() -> SpdCone:
    return SpdCone()


class TestSpdCone(FigureContract):
    moves = {"B has rank 1": {"b": [1.0, 0.0, 0.0], "metric": "bures"}}


def numbers(page) -> list[str]:
    shown = cards(page)
    return [shown[name] for name in ("log-Euclidean", "affine-invariant", "Bures")]


def test_the_page_shows_the_distances_and_the_swelling(visit, figure):
    page, a, b = visit(figure), full(figure.a), full(figure.b)
    assert numbers(page) == [f"{distance(a, b).item():.3f}" for distance in DISTANCES.values()]
    middle = spd.geodesic(a, b, torch.tensor([0.5]), "bures")[0]
    swell = (middle.det() / (a.det() * b.det()).sqrt()).sqrt().item()
    assert swell > 1.2 and f"and {swell:.2f} times that under Bures" in said(page)


def test_dividing_the_small_eigenvalue_makes_two_distances_grow_evenly_and_bures_settle(
    visit, figure
):
    page, rows = visit(figure), []
    press = page.get_by_role("button", name="Divide B’s small eigenvalue by 10")
    for _ in range(7):
        press.click()
        rows.append([float(v) for v in numbers(page)])
    log_euclidean, affine, bures = torch.tensor(rows, dtype=torch.float64).diff(dim=0).T
    assert (log_euclidean[2:] > 2).all() and (log_euclidean < math.log(10)).all()
    assert (affine[2:] > 2).all()
    assert (bures[-2:].abs() < 2e-3).all()
    for _ in range(3):
        if press.is_enabled():
            press.click()
    assert press.is_disabled() and numbers(page)[:2] == ["∞", "∞"]
    thin = full(figure.b)
    values, vectors = torch.linalg.eigh(thin)
    line = values[1] * vectors[:, 1:] @ vectors[:, 1:].T
    assert numbers(page)[2] == f"{spd.bures_distance(full(figure.a), line).item():.3f}"
    assert "B has rank 1" in said(page)
    page.get_by_role("button", name="Start again").click()
    assert "∞" not in numbers(page) and press.is_enabled()


def test_a_ring_dragged_out_of_the_cone_stops_at_the_boundary(visit, figure):
    page = visit(figure)
    ring, canvas = page.locator(RING).first, page.locator("canvas").first.bounding_box()
    before, (x, y) = shots(page), where(ring)
    drag(page, (x, y), (canvas["x"] + canvas["width"] - 1, y))
    assert "A has rank 1, a line: only Bures gets there." in said(page)
    assert "eigenvalues 4.50 and 0" in ring.get_attribute("aria-valuetext")  # its trace is kept
    assert all(one != other for one, other in zip(before, shots(page), strict=True))
    text = page.locator(".vae-figure").inner_text()
    assert not any(bad in text for bad in ("NaN", "Infinity", "undefined"))


def test_dragging_puts_the_ring_under_the_pointer_and_leaves_the_other(visit, figure):
    page = visit(figure)
    one, other = page.locator(RING).all()
    still, (x, y) = where(other), where(one)
    drag(page, (x, y), (x - 50, y + 8))
    drawn(page)
    assert where(one) == pytest.approx((x - 50, y + 8), abs=1)
    assert where(other) == still


def test_keys_move_an_end_at_its_height_and_sliders_keep_its_shape(visit, figure):
    page = visit(figure)
    ring = page.locator(RING).nth(1)
    ring.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    large, small = map(float, ring.get_attribute("aria-valuetext").split(",")[0].split(" ")[1::2])
    assert large + small == pytest.approx(4.3, abs=0.02) and small != pytest.approx(0.3, abs=0.01)
    page.get_by_role("button", name="Start again").click()
    page.get_by_label("Trace of B").fill("2.15")
    text = ring.get_attribute("aria-valuetext")
    assert text == "eigenvalues 2.00 and 0.15, turned by 60°"


def test_ellipses_follow_the_metric_and_the_cone_turns(visit, figure):
    page = visit(figure)
    cone, areas, row = shots(page)
    page.get_by_label("Turn cone").fill("40")
    after = shots(page)
    assert after[0] != cone and after[1:] == [areas, row]
    page.get_by_role("button", name="Bures").click()
    assert shots(page)[2] != row


def test_a_kernel_hears_where_the_reader_stops(told, figure):
    assert told(figure, [2.25], ("Bures",)) == {
        "a": pytest.approx([2, 0, 0.25]),
        "b": pytest.approx(figure.b),
        "metric": "bures",
    }
