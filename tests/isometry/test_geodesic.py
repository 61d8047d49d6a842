"""Geodesics on surfaces whose distances are known."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import Circles, LinearGaussian
from vae_course.isometry import geodesic, pullback_metric
from vae_course.models import networks


def tensor(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def sphere(z: Tensor) -> Tensor:
    """Longitude and latitude on the unit sphere."""
    lon, lat = z.unbind(1)
    return torch.stack([lon.cos() * lat.cos(), lon.sin() * lat.cos(), lat.sin()], 1)


def cylinder(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0].cos(), z[:, 0].sin(), z[:, 1]], 1)


def warped(z: Tensor) -> Tensor:
    """The plane in crooked coordinates."""
    return torch.stack([z[:, 0] + z[:, 1] ** 2 / 2, z[:, 1] + 0.3 * torch.sin(z[:, 0])], 1)


def half_plane(x: Tensor, v: Tensor) -> Tensor:
    """Poincaré's metric of curvature -1 on y > 0."""
    return v / x[:, 1:].square()


def hyperbolic_distance(a: Tensor, b: Tensor) -> Tensor:
    return torch.arccosh(1 + (a - b).square().sum(1) / (2 * a[:, 1] * b[:, 1]))


def test_in_a_linear_space_geodesics_are_straight():
    world = LinearGaussian(tensor([2.0, 0.9, 0.31])[0], beta=0.3)
    z0, z1 = tensor([0, 0, 0], [1, 2, 3]), tensor([1, -1, 2], [0, 0, 1])
    path = geodesic(world.decode, z0, z1, segments=8)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    assert_close(path.points, z0[:, None] + t * (z1 - z0)[:, None], rtol=0.0, atol=1e-7)
    squared = torch.einsum("ni,nij,nj->n", z1 - z0, world.metric_exact(z0), z1 - z0)
    assert_close(path.length, squared.sqrt(), rtol=1e-10, atol=0.0)


def test_flatness_is_found_in_crooked_coordinates():
    z0, z1 = tensor([-1, -1], [0, 1.5]), tensor([1, 1], [2, -1])
    path = geodesic(warped, z0, z1)
    straight = (warped(z1) - warped(z0)).norm(dim=1)
    assert_close(path.length, straight, rtol=1e-9, atol=0.0)
    images = warped(path.points.flatten(0, 1)).unflatten(0, (2, -1))
    t = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None]
    expected = torch.lerp(warped(z0)[:, None], warped(z1)[:, None], t)
    assert_close(images, expected, rtol=0.0, atol=1e-5)


def test_codes_that_are_images_have_paths_of_images():
    """Four turns of circles at once: each angle moves evenly, and the speeds add in quadrature."""
    world = Circles(tensor([1.0, 2.0, 0.5, 3.0])[0])
    z0, z1 = torch.zeros(2, 2, 2, dtype=torch.float64), tensor([1, 0.5, -2, 0.3], [0, 1, 1, 1])
    z1 = z1.view(2, 2, 2)
    path = geodesic(world.decode, z0, z1, segments=8)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None, None]
    assert_close(path.points, t * z1[:, None], rtol=0.0, atol=1e-6)
    chords = 2 * 8 * world.radii * torch.sin(z1.flatten(1) / 16)
    assert_close(path.length, chords.norm(dim=1), rtol=1e-9, atol=0.0)


def test_on_a_cylinder_geodesics_are_helices():
    z0, z1 = tensor([0, 0], [1, 1]), tensor([2, 1], [-1, 3])
    path = geodesic(cylinder, z0, z1, segments=64)
    turn, rise = (z1 - z0).unbind(1)
    chord = torch.hypot(64 * 2 * torch.sin(turn / 128), rise)  # of a helix, in 64 equal steps
    assert_close(path.length, chord, rtol=1e-9, atol=0.0)
    assert_close(path.length, torch.hypot(turn, rise), rtol=2e-4, atol=0.0)


@pytest.mark.parametrize("segments", [2, 7, 32])
def test_on_the_sphere_geodesics_are_great_circles(segments):
    # Along the equator, over the shoulder of the sphere, and nearly to the other side.
    z0 = tensor([0, 0], [0, 0.8], [0.1, -1.2], [0, 1.2])
    z1 = tensor([1.5, 0], [2, 0.6], [0.9, 0.9], [2.6, 0.9])
    path = geodesic(sphere, z0, z1, segments=segments)
    angle = torch.arccos((sphere(z0) * sphere(z1)).sum(1))
    chords = 2 * segments * torch.sin(angle / (2 * segments))
    assert_close(path.length, chords, rtol=1e-9, atol=0.0)
    assert_close(path.energy, chords.square(), rtol=1e-9, atol=0.0)  # at constant speed
    # All points lie in the plane of the great circle.
    normal = torch.linalg.cross(sphere(z0), sphere(z1))
    images = sphere(path.points.flatten(0, 1)).unflatten(0, (4, -1))
    assert (images @ normal[:, :, None]).abs().max() < 1e-5


def test_in_negative_curvature_the_distance_is_hyperbolic_to_second_order():
    z0, z1 = tensor([0, 1], [-1, 0.5], [0, 0.3]), tensor([1, 1], [1, 0.8], [0, 3.0])
    exact = hyperbolic_distance(z0, z1)
    errors = []
    for segments in (32, 64):
        path = geodesic(lambda z: z, z0, z1, metric=half_plane, segments=segments)
        errors.append((path.length - exact).abs() / exact)
    assert errors[1].max() < 1e-3
    assert_close(errors[0] / errors[1], torch.full((3,), 4.0).double(), rtol=0.1, atol=0.0)
    centre = (path.points[0, :, 0] - 0.5).square() + path.points[0, :, 1].square()
    assert_close(centre, torch.full_like(centre, 1.25), rtol=1e-3, atol=0.0)  # a half circle


@pytest.mark.parametrize("curvature", [1, -1])
def test_angles_of_a_geodesic_triangle_add_up_to_pi_plus_curvature_times_area(curvature):
    if curvature == 1:  # an octant's part: corners at the pole's side
        corners = tensor([0.0, 0.1], [1.2, 0.1], [0.5, 1.1])
        decoder, metric, sides = sphere, None, _spherical_sides
    else:
        corners = tensor([0.0, 1.0], [1.0, 1.2], [0.4, 2.0])
        decoder, metric, sides = (lambda z: z), half_plane, _hyperbolic_sides
    start, end = corners, corners.roll(-1, 0)
    path = geodesic(decoder, start, end, metric=metric, segments=200)
    out, back = path.points[:, 1] - start, path.points.roll(1, 0)[:, -2] - start
    form = pullback_metric(decoder, start, metric)
    inner = torch.einsum("na,nab,nb->n", out, form, back)
    norms = [torch.einsum("na,nab,nb->n", v, form, v).sqrt() for v in (out, back)]
    angles = torch.arccos(inner / norms[0] / norms[1]).sum()
    excess = sides(corners)
    assert abs(excess) > 0.1
    assert_close(angles - math.pi, excess, rtol=0.0, atol=0.02)


def _spherical_sides(corners: Tensor) -> Tensor:
    """Spherical excess, by the solid angle of three unit vectors (Oosterom and Strackee 1983)."""
    a, b, c = sphere(corners)
    volume = torch.linalg.det(torch.stack([a, b, c])).abs()
    return 2 * torch.atan2(volume, 1 + a @ b + b @ c + c @ a)


def _hyperbolic_sides(corners: Tensor) -> Tensor:
    """Minus the area, by the hyperbolic law of cosines."""
    a, b, c = hyperbolic_distance(corners, corners.roll(-1, 0))
    total = torch.zeros(())
    for x, y, z in ((a, b, c), (b, c, a), (c, a, b)):
        total = total + torch.arccos((y.cosh() * z.cosh() - x.cosh()) / (y.sinh() * z.sinh()))
    return total - math.pi


def test_no_path_is_longer_than_the_straight_line_nor_shorter_than_the_chord():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = networks.conv_decoder(4, (1, 8, 8), width=4).double()
    generator = torch.Generator().manual_seed(1)
    z0, z1 = 2 * torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    path = geodesic(decoder, z0, z1)
    t = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None]
    line = decoder((z0[:, None] + t * (z1 - z0)[:, None]).flatten(0, 1)).unflatten(0, (3, 33))
    straight = line.diff(dim=1).flatten(2).norm(dim=2).sum(1)
    chord = (decoder(z1) - decoder(z0)).flatten(1).norm(dim=1)
    assert (chord < path.length).all() and (path.length < straight).all()
    assert (path.length / straight).min() < 0.99
    back = geodesic(decoder, z1, z0)
    assert_close(back.length, path.length, rtol=1e-6, atol=0.0)
    assert_close(back.points.flip(1), path.points, rtol=0.0, atol=1e-2)


def test_each_pair_of_a_batch_gets_its_own_path():
    z0, z1 = tensor([0, 0.8], [0, 0.1], [1, 1]), tensor([2, 0.6], [0.01, 0.1], [1, 1])
    together = geodesic(sphere, z0, z1)
    for i in range(3):
        alone = geodesic(sphere, z0[i : i + 1], z1[i : i + 1])
        assert_close(together.length[i], alone.length[0], rtol=1e-8, atol=1e-12)
    assert together.length[2] == 0 and together.points.isfinite().all()  # from a code to itself
    assert torch.equal(together.points[:, 0], z0) and torch.equal(together.points[:, -1], z1)


def test_geodesics_hold_in_float32():
    z0, z1 = tensor([0, 0.8], [0.1, -1.2]).float(), tensor([2, 0.6], [0.9, 0.9]).float()
    path = geodesic(sphere, z0, z1)
    angle = torch.arccos((sphere(z0) * sphere(z1)).sum(1))
    assert path.points.dtype == torch.float32
    assert_close(path.length, angle, rtol=1e-3, atol=0.0)


def test_inputs_and_weights_are_left_alone():
    decoder = networks.mlp_decoder(2, (5,), (8,))
    weights = [p.clone() for p in decoder.parameters()]
    z0, z1 = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 2)
    with torch.no_grad():
        path = geodesic(decoder, z0, z1)
    assert not path.points.requires_grad and z0.grad is None
    for p, before in zip(decoder.parameters(), weights, strict=True):
        assert p.grad is None and p.requires_grad and torch.equal(p, before)
    assert torch.equal(z0, torch.zeros(1, 2)) and torch.equal(z1, torch.ones(1, 2))


def test_an_unfinished_search_says_so():
    with pytest.warns(RuntimeWarning, match="derivative .* after 1 iterations"):
        geodesic(sphere, tensor([0, 1.0]), tensor([2.0, 1.0]), iterations=1)


ONE = torch.ones(1, 2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"z1": torch.ones(2, 2)}, r"z0 has shape \(1, 2\), z1 \(2, 2\)"),
        ({"z1": ONE.double()}, "z1 is torch.float64"),
        ({"z0": ONE[0]}, r"z0 has shape \(2,\)"),
        ({"z1": math.nan * ONE}, "z1 must be finite"),
        ({"segments": 1}, "segments must be at least 2"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"decoder": torch.no_grad()(lambda z: 2 * z)}, "blocks gradients"),
        ({"decoder": lambda z: z / 0}, "energy of the straight line is not finite"),
        ({"decoder": lambda z: z.sum()}, r"decoder gave shape \(\)"),
    ],
)
def test_what_has_no_geodesic_is_refused(unchecked, change, message):
    arguments = dict(decoder=lambda z: 2 * z, z0=0 * ONE, z1=ONE) | change
    with pytest.raises(ValueError, match=message):
        geodesic(**arguments)
