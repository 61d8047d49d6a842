"""Bend and curvature on circles, tori and spheres, where both are known, and on what is flat."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.isometry.test_operator import SPATIAL, NoSecond, dense, mid_block
from tests.worlds import Circles, ConstantDecoder, Tanh, Tori, TurnedLinear, log_uniform, normal
from vae_course.isometry import bend, curvature

LINEAR = TurnedLinear(log_uniform(6, 10.0))


def circle(z: Tensor) -> Tensor:
    """Of radius 2, at twice the speed of its angle's."""
    return 2 * torch.cat([z.cos(), z.sin()], 1)


def steps(z: Tensor, sigma: float) -> Tensor:
    return torch.full_like(z, sigma)


# ---- bend


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_what_is_linear_does_not_bend(dtype, tol):
    z = normal(5, 6, seed=1).to(dtype)
    found = bend(lambda z: LINEAR.decode(z) + 1, z, steps(z, 0.3))
    assert 0 <= found.value < tol and found.high < 2 * tol


@pytest.mark.parametrize("sigma, wanted", [(0.2, 0.1738), (0.4, 0.3507)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_many_circles_bend_as_one_does_on_average(sigma, wanted, dtype):
    """4,096 circles: what a step draws varies by 2 % of the bend, and its mean by 1/4,096."""
    world = Circles(torch.linspace(0.5, 2, 4096).double())
    z = normal(8, 4096, seed=1).to(dtype)
    found = bend(world.decode, z, steps(z, sigma), draws=8)
    assert world.bend_exact(sigma) == pytest.approx(wanted, abs=1e-4)
    assert found.value == pytest.approx(wanted, rel=0.01)
    assert found.error < 0.01 * wanted and found.n == 8


def test_one_circle_bends_by_the_tangent_of_half_the_step():
    """E tan(sigma abs(e) / 2): the sagitta of an arc over half its chord, by quadrature."""
    z = torch.zeros(4000, 1).double()
    found = bend(circle, z, steps(z, 0.5))
    e = torch.linspace(0, 5, 20001).double()  # tan has a pole at 6.3, which no draw reaches
    density = math.sqrt(2 / math.pi) * (-e.square() / 2).exp()
    wanted = torch.trapezoid((0.5 * e / 2).tan() * density, e).item()
    assert found.low < wanted < found.high and found.error < 0.01 * wanted


def test_each_latent_has_its_own_ball():
    """Only the circle that is walked along bends, by the tangent of half its step."""
    world = Circles(torch.ones(2).double())
    z = torch.zeros(400, 2).double()
    sigma = torch.tensor([0.3, 1e-9]).double().expand_as(z)
    one = bend(circle, z[:, :1], sigma[:, :1])
    two = bend(world.decode, z, sigma)
    assert one.low < two.value < one.high


def test_kinks_are_seen():
    """Of a step s over the kink of relu: even part abs(s), odd part s."""
    z = torch.zeros(9, 1).double()
    assert bend(torch.relu, z, steps(z, 0.1)).value == pytest.approx(1, rel=1e-12)
    assert bend(torch.relu, z + 1, steps(z, 0.01)).value == pytest.approx(0, abs=1e-12)


def test_a_turn_and_a_scale_of_the_images_change_nothing():
    world, z = Tanh(6, 9, 12), normal(5, 6, seed=1)
    turn = torch.linalg.qr(normal(12, 12))[0]
    a = bend(world.decode, z, steps(z, 0.5))
    b = bend(lambda z: 7 * world.decode(z) @ turn + 1, z, steps(z, 0.5))
    assert a == pytest.approx(b, rel=1e-10)


def test_a_small_step_bends_by_half_its_curvature():
    """Sagitta over half a chord: for one latent, half the curvature times the step's length."""
    tori, z = Tori(), normal(500, 2, seed=1)
    v = torch.tensor([0.0, 1.0]).double().expand_as(z)  # around the tube, of radius 1
    found = bend(tori.decode, z, 1e-3 * v + 1e-12)
    wanted = curvature(tori.decode, z, v).mean().item() / 2 * 1e-3 * math.sqrt(2 / math.pi)
    assert found.value == pytest.approx(wanted, abs=4 * found.error)
    assert found.error < 0.02 * wanted


def test_seeds_chunks_and_errors_of_bend():
    decoder, z = mid_block(), normal(5, *SPATIAL, seed=1)
    sigma = steps(z, 0.2)
    whole = bend(decoder, z, sigma)
    assert whole == bend(decoder, z, sigma) and whole != bend(decoder, z, sigma, seed=1)
    for chunk in (1, 2, 9):
        assert bend(decoder, z, sigma, chunk=chunk) == pytest.approx(whole, rel=1e-10)
    assert whole.n == 5 and whole.low < whole.value < whole.high
    one = bend(decoder, z[:1], sigma[:1], draws=7)
    assert one.n == 7 and 0 < one.error < one.value
    assert bend(decoder, z[:1], sigma[:1], draws=1).error == math.inf
    with torch.no_grad():
        assert bend(decoder, z, sigma) == whole
    assert bend(torch.no_grad()(decoder.forward), z, sigma) == pytest.approx(whole)


# ---- curvature


@pytest.mark.parametrize("normal_only", [True, False])
def test_what_is_linear_is_not_curved(normal_only):
    z, v = normal(5, 6, seed=1), normal(5, 6, seed=2)
    found = curvature(LINEAR.decode, z, v, normal=normal_only)
    assert_close(found, torch.zeros(5).double(), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 2e-7), (torch.float32, 1e-3)])
@pytest.mark.parametrize("normal_only", [True, False])
def test_circles_and_tori_have_their_curvature(normal_only, dtype, tol):
    circles, tori = Circles(torch.linspace(0.5, 2, 256).double()), Tori()
    z, v = normal(8, 2, 128, seed=1), normal(8, 2, 128, seed=2)
    given = z.to(dtype), v.to(dtype)
    found = curvature(circles.decode, *given, normal=normal_only)
    assert found.dtype == dtype
    assert_close(found.double(), circles.curvature_exact(v), rtol=tol, atol=0.0)
    found = curvature(tori.decode, *given, normal=normal_only)
    wanted = tori.curvature_exact(z, v, normal_only)
    assert_close(found.double(), wanted, rtol=tol, atol=0.0)


@pytest.mark.parametrize("condition", [1e2, 1e4])
def test_the_tangent_part_is_found_at_a_bad_condition(condition):
    """Circles whose speeds differ, walked at an uneven pace: the pace is tangential, and goes."""
    radii = log_uniform(40, condition).sqrt()
    world = Circles(radii)
    z, v = normal(4, 40, seed=1), normal(4, 40, seed=2)
    pace = 1 + 0.9 * z.cos()  # derivative of what follows

    def uneven(z: Tensor) -> Tensor:
        return world.decode(z + 0.9 * z.sin())

    found = curvature(uneven, z, v)
    assert_close(found, world.curvature_exact(pace * v), rtol=2e-7, atol=0.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_sphere_is_curved_alike_everywhere(axis):
    def sphere(z: Tensor) -> Tensor:
        lon, lat = z.unbind(1)
        return 5 * torch.stack([lon.cos() * lat.cos(), lon.sin() * lat.cos(), lat.sin()], 1)

    z, v = 0.5 * normal(9, 2, seed=1), normal(9, 2, seed=2)
    v[:, axis] = 0
    fifth = torch.full((9,), 0.2, dtype=torch.float64)
    assert_close(curvature(sphere, z, v), fifth, rtol=1e-7, atol=0.0)
    straight = curvature(sphere, z, v, normal=False)
    # Meridians are great circles; circles of latitude are tighter.
    wanted = fifth if axis == 0 else fifth / z[:, 1].cos()
    assert_close(straight, wanted, rtol=1e-10, atol=0.0)


def test_other_coordinates_of_the_same_manifold_change_nothing():
    world, z, v = Tanh(6, 9, 12, gain=2.0), normal(5, 6, seed=1), normal(5, 6, seed=2)
    mixing = normal(6, 6, seed=3) / 3

    def crooked(z: Tensor) -> Tensor:
        return z + 0.5 * (z @ mixing).sin()

    there, moved = torch.func.jvp(crooked, (z,), (v,))
    wanted = curvature(world.decode, there, moved)
    assert_close(curvature(lambda z: world.decode(crooked(z)), z, v), wanted, rtol=1e-6, atol=0.0)
    along = curvature(world.decode, there, moved, normal=False)
    other = curvature(lambda z: world.decode(crooked(z)), z, v, normal=False)
    assert ((other - along).abs() > 1e-3 * along).any() and (wanted < along).all()


@pytest.mark.parametrize("normal_only", [True, False])
def test_the_length_of_a_direction_changes_nothing_and_a_scale_divides(normal_only):
    world, z, v = Tanh(6, 9, 12, gain=2.0), normal(5, 6, seed=1), normal(5, 6, seed=2)
    one = curvature(world.decode, z, v, normal=normal_only)
    for factor in (-1.0, 1e-3, 1e4):
        found = curvature(world.decode, z, factor * v, normal=normal_only)
        assert_close(found, one, rtol=1e-7, atol=0.0)
    larger = curvature(lambda z: 7 * world.decode(z), z, v, normal=normal_only)
    assert_close(7 * larger, one, rtol=1e-7, atol=0.0)


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_attention_and_normalisation_against_dense_derivatives(dtype, tol):
    decoder, z = mid_block(), normal(3, *SPATIAL, seed=1)
    v = normal(*z.shape, seed=2)
    with torch.no_grad():
        h = 1e-3  # a central difference of second order, with its next term taken off
        second = [
            (decoder(z + s * v) + decoder(z - s * v) - 2 * decoder(z)) / s**2 for s in (h, 2 * h)
        ]
        acceleration = ((4 * second[0] - second[1]) / 3).flatten(1)
    j = dense(decoder, z)
    tangent = torch.linalg.lstsq(j, acceleration[:, :, None]).solution
    rest = acceleration - (j @ tangent)[:, :, 0]
    squared = (j @ v.flatten(1)[:, :, None]).square().sum((1, 2))
    decoder, z, v = decoder.to(dtype), z.to(dtype), v.to(dtype)
    found = curvature(decoder, z, v, normal=False).double()
    assert_close(found, acceleration.norm(dim=1) / squared, rtol=tol, atol=0.0)
    assert_close(curvature(decoder, z, v).double(), rest.norm(dim=1) / squared, rtol=tol, atol=0.0)
    for chunk in (1, 2):
        assert_close(curvature(decoder, z, v, chunk=chunk).double(), rest.norm(dim=1) / squared,
                     rtol=tol, atol=0.0)  # fmt: skip


def test_curvature_without_a_graph_around_it():
    """Where PyTorch's SiLU takes a way that has no second derivative."""
    decoder, z = mid_block(), normal(2, *SPATIAL, seed=1)
    v = normal(*z.shape, seed=2)
    expected = curvature(decoder, z, v)
    with torch.no_grad():
        assert torch.equal(curvature(decoder, z, v), expected)
    assert torch.equal(curvature(decoder.requires_grad_(False), z, v), expected)


def test_too_few_steps_warn_and_bound_from_above():
    world = Circles(log_uniform(40, 1e6).sqrt())
    z, v = normal(4, 40, seed=1), normal(4, 40, seed=2)
    pace = 1 + 0.9 * z.cos()

    def uneven(z: Tensor) -> Tensor:
        return world.decode(z + 0.9 * z.sin())

    with pytest.warns(RuntimeWarning, match="curvature: 2 steps did not find .* upper bounds"):
        found = curvature(uneven, z, v, steps=2)
    assert (found > world.curvature_exact(pace * v)).all()
    assert (found < curvature(uneven, z, v, normal=False)).all()


# ---- what is refused

Z = torch.zeros(4, 6)
CALLS = {
    "bend": lambda f, z=Z, **given: bend(f, z, torch.ones_like(Z), **given),
    "curvature": lambda f, z=Z, **given: curvature(f, z, torch.ones_like(Z), **given),
}


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: bend(LINEAR.decode, Z, Z[:2]), ValueError, r"sigma has shape \(2, 6\)"),
        (lambda: bend(LINEAR.decode, Z, Z[0]), ValueError, r"sigma has shape \(6,\)"),
        (lambda: bend(LINEAR.decode, Z, Z), ValueError, "sigma must be positive.*got 0: .*not its"),
        (lambda: bend(LINEAR.decode, Z, Z - 1), ValueError, "sigma must be positive.*got -1"),
        (lambda: bend(LINEAR.decode, Z, Z / 0), ValueError, "sigma must be positive.*got nan"),
        (lambda: bend(LINEAR.decode, Z, (Z + 1).double()), ValueError, "sigma is torch.float64"),
        (lambda: bend(LINEAR.decode, Z, 0.1), TypeError, "sigma must be a tensor, got float"),
        (lambda: bend(LINEAR.decode, Z, Z + 1, draws=0), ValueError, "draws must be at least 1"),
        (lambda: bend(LINEAR.decode, Z, Z + 1, seed=-1), ValueError, "seed must be at least 0"),
        (lambda: curvature(LINEAR.decode, Z, Z[:2]), ValueError, r"v has shape \(2, 6\)"),
        (lambda: curvature(LINEAR.decode, Z, Z), ValueError, "decoder does not move.*|v "),
        (lambda: curvature(LINEAR.decode, Z, Z / 0), ValueError, "v must be finite, got nan"),
        (lambda: curvature(LINEAR.decode, Z, Z.double()), ValueError, "v is torch.float64"),
        (lambda: curvature(LINEAR.decode, Z, Z + 1, steps=0), ValueError, "steps must be at least"),
        (
            lambda: curvature(lambda z: z.abs().sqrt(), Z, Z + 1),
            ValueError,
            "(Jacobian|derivative) is not finite",
        ),
        (
            lambda: curvature(NoSecond.apply, Z, Z + 1),
            ValueError,
            "no second derivative in forward mode.*bend",
        ),
    ],
)
def test_arguments_are_named(unchecked, call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("call", CALLS)
def test_what_both_refuse(unchecked, call):
    for given, error, message in (
        ({"chunk": 0}, ValueError, "chunk must be at least 1, got 0"),
        ({"z": Z[0]}, ValueError, r"z has shape \(6,\)"),
        ({"z": Z / 0}, ValueError, "z must be finite, got nan"),
        ({"f": Z}, TypeError, "decoder must be a callable or a module, got Tensor"),
        ({"f": lambda z: z.sum(1)}, ValueError, r"decoder gave shape \(\d,\)"),
    ):
        with pytest.raises(error, match=message):
            CALLS[call](**({"f": LINEAR.decode} | given))


@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_move_has_no_bend(call):
    with pytest.raises(ValueError, match="decoder does not move with its code"):
        CALLS[call](ConstantDecoder(d=6).decode)


@pytest.mark.parametrize("call", CALLS)
def test_what_mixes_rows_is_refused(call):
    for mixing in (lambda z: z - z.mean(0), lambda z: z.cumsum(0), lambda z: z.flip(0).cumsum(0)):
        with pytest.raises(ValueError, match="decoder mixes rows"):
            CALLS[call](mixing, normal(4, 6).float())


@pytest.mark.parametrize("call", CALLS)
def test_layers_in_training_mode_are_refused(call):
    with pytest.raises(ValueError, match=r"Dropout .*training.*eval\(\)"):
        CALLS[call](nn.Sequential(nn.Linear(6, 6), nn.Dropout()))


@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_fit_the_memory_says_which_chunk_does(call):
    def small(z: Tensor) -> Tensor:
        if len(z) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return LINEAR.decode(z)

    if call == "curvature":  # which asks the decoder for one code at a time, in a map over them
        assert CALLS[call](small, chunk=2, normal=False).shape == (4,)
        with pytest.raises(MemoryError, match="4 codes at once do not fit .*: give chunk=2"):
            CALLS[call](small, chunk=4)
        return
    with pytest.raises(MemoryError, match="4 codes at once do not fit the memory: give chunk=2"):
        CALLS[call](small, chunk=4)
    CALLS[call](small, chunk=2)
