"""The sphere's geometry: great circles, the Möbius stretch, the hyperbolic ball, unit vectors."""

import math

import mpmath
import pytest
import torch
from torch.distributions import biject_to, transform_to
from torch.testing import assert_close

from tests.sphere.contract import FORWARD, axis, rotation
from vae_course.isometry import pullback_metric
from vae_course.sphere import (
    angle,
    check_loc,
    hyperbolic_distance,
    moebius,
    normalise,
    slerp,
    unit_sphere,
)

DTYPES = {torch.float32: 1e-6, torch.float64: 1e-13}


def points(*shape, seed=0, dtype=torch.float64):
    """Uniform unit vectors, made in float64."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x / x.norm(dim=-1, keepdim=True)).to(dtype)


@pytest.mark.parametrize("dtype, tol", DTYPES.items())
@pytest.mark.parametrize("d", [2, 3, 64])
def test_slerp_walks_the_great_circle_at_constant_speed(d, dtype, tol):
    a, b = points(5, d, seed=1, dtype=dtype), points(5, d, seed=2, dtype=dtype)
    t = torch.linspace(0, 1, 9, dtype=dtype)[:, None]
    path = slerp(a, b, t)
    assert path.shape == (9, 5, d)
    assert_close(path.norm(dim=-1), torch.ones(9, 5, dtype=dtype), rtol=0, atol=tol)
    assert_close(path[0], a, rtol=0, atol=2 * tol)
    assert_close(path[-1], b, rtol=0, atol=2 * tol)
    whole = torch.acos((a.double() * b.double()).sum(-1))
    assert_close(angle(a, path).double(), t.double() * whole, rtol=0, atol=10 * tol)
    assert_close(angle(path, b).double(), (1 - t.double()) * whole, rtol=0, atol=10 * tol)


def test_slerp_is_shoemakes_formula_away_from_its_poles():
    a, b = points(20, 5, seed=3), points(20, 5, seed=4)
    theta = torch.acos((a * b).sum(-1, keepdim=True))
    shoemake = (torch.sin(0.7 * theta) * a + torch.sin(0.3 * theta) * b) / torch.sin(theta)
    assert_close(slerp(a, b, 0.3), shoemake)


@pytest.mark.parametrize("dtype, tol", DTYPES.items())
@pytest.mark.parametrize("d", [2, 3, 512])
@pytest.mark.parametrize("start", ["axis", "minus axis", "random"])
def test_slerp_between_antipodes_takes_half_a_circle(start, d, dtype, tol):
    a = {"axis": axis(d), "minus axis": -axis(d), "random": points(d, seed=5)}[start].to(dtype)
    a.requires_grad_()
    t = torch.linspace(0, 1, 7, dtype=dtype)
    path = slerp(a, -a, t)
    assert_close(path[-1], -a, rtol=0, atol=2 * tol)
    assert_close(angle(a, path), math.pi * t, rtol=0, atol=4 * tol)
    assert torch.equal(path, slerp(a, -a, t))
    (grad,) = torch.autograd.grad(path.sum(), a)
    assert grad.isfinite().all()


@pytest.mark.parametrize("dtype, tol", DTYPES.items())
@pytest.mark.parametrize("d", [2, 3, 512])
def test_slerp_between_identical_points_stays(d, dtype, tol):
    a = points(6, d, seed=6, dtype=dtype).requires_grad_()
    b = a.detach().clone().requires_grad_()
    path = slerp(a, b, 0.3)
    assert_close(path, a, rtol=0, atol=tol)
    for grad in torch.autograd.grad(path.square().sum() + path.sum(), [a, b]):
        assert grad.isfinite().all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("gap", [1e-3, 1e-7, 1e-12, 1e-15, 1e-16, 1e-30])
def test_slerp_ends_are_met_however_close_to_a_pole(gap, sign):
    b = sign * normalise(axis(3) + gap * axis(3, 1))
    path = slerp(axis(3), b, torch.linspace(0, 1, 5, dtype=torch.float64))
    assert_close(path[-1], b, rtol=0, atol=1e-14)
    assert_close(path.norm(dim=-1), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-15)


def test_angle_keeps_its_digits_near_zero_and_pi():
    for small in (1e-3, 1e-8, 1e-12):
        b = math.cos(small) * axis(4) + math.sin(small) * axis(4, 2)
        assert angle(axis(4), b).item() == pytest.approx(small, rel=1e-13, abs=0)
        assert math.pi - angle(-axis(4), b).item() == pytest.approx(small, abs=1e-15)


LAWS = [(2, 0.5), (3, 1.0), (3, 4.0), (8, 2.0), (64, 0.1)]


@pytest.mark.parametrize("d, r", LAWS)
def test_moebius_is_the_textbook_map(d, r):
    x, loc, rho = points(50, d, seed=7), points(50, d, seed=8), math.tanh(r / 2)
    shifted = x + rho * loc
    textbook = (1 - rho**2) * shifted / shifted.square().sum(-1, keepdim=True) + rho * loc
    assert_close(
        moebius(x, loc, torch.tensor(r, dtype=torch.float64)), textbook, rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("d, r", LAWS)
def test_moebius_shrinks_the_stereographic_plane(d, r):
    x, loc = points(50, d, seed=9), points(50, d, seed=10)

    def plane(y):  # seen from the antipode of loc
        t = (y * loc).sum(-1, keepdim=True)
        return (y - t * loc) / (1 + t)

    y = moebius(x, loc, torch.tensor(r, dtype=torch.float64))
    assert_close(plane(y), math.exp(-r) * plane(x), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("d, r", LAWS)
def test_moebius_maps_add_up_and_undo(d, r):
    x, loc = points(50, d, seed=11), points(50, d, seed=12)
    r, s = torch.tensor(r, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    assert_close(moebius(moebius(x, loc, r), loc, s), moebius(x, loc, r + s))
    assert_close(moebius(moebius(x, loc, r), loc, -r), x)
    assert_close(moebius(x, loc, 0 * r), x)


@pytest.mark.parametrize("dtype, tol", DTYPES.items())
@pytest.mark.parametrize("d", [2, 3, 4096])
def test_moebius_is_finite_and_on_the_sphere_at_all_extremes(d, dtype, tol):
    loc = torch.stack([axis(d), -axis(d), axis(d, d - 1), points(d, seed=13)]).to(dtype)
    bent = normalise(loc + 1e-7 * points(4, d, seed=14, dtype=dtype))
    x = torch.stack([loc, -loc, bent, -bent, points(4, d, seed=15, dtype=dtype)])
    for r in (0.0, 1e-30, 1e-3, 1.0, 10.0, 40.0, 90.0, 200.0):
        leaf, radius = loc.clone().requires_grad_(), torch.tensor(r, dtype=dtype).requires_grad_()
        y = moebius(x, leaf, radius)
        assert_close(y.norm(dim=-1), torch.ones(5, 4, dtype=dtype), rtol=0, atol=tol)
        for grad in torch.autograd.grad((y * points(d, seed=16).to(dtype)).sum(), [leaf, radius]):
            assert grad.isfinite().all()
        assert_close(y[0], loc, rtol=0, atol=tol)
        if r <= 1:  # beyond, the rounding of -loc itself is what the map enlarges
            assert_close(y[1], -loc, rtol=0, atol=10 * tol)


def test_moebius_turns_with_the_sphere():
    turn = rotation(6)
    x, loc, r = points(30, 6, seed=17), points(30, 6, seed=18), torch.linspace(0, 5, 30).double()
    assert_close(moebius(x @ turn.T, loc @ turn.T, r), moebius(x, loc, r) @ turn.T)


def test_moebius_passes_gradcheck():
    x = points(4, 3, seed=19).requires_grad_()
    loc = points(4, 3, seed=20).requires_grad_()
    r = torch.tensor([0.0, 0.3, 2.0, 6.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: moebius(x.detach(), normalise(a), b), (loc, r))
    assert torch.autograd.gradcheck(lambda a: moebius(a, loc.detach(), r.detach()), x)
    assert torch.autograd.gradgradcheck(lambda a, b: moebius(x.detach(), normalise(a), b), (loc, r))


@pytest.mark.filterwarnings(FORWARD)
@pytest.mark.parametrize("d", [2, 3, 12])
def test_moebius_pushes_tangents_forward_as_it_pulls_gradients_back(d):
    """In any direction, off the sphere too, at its fixed points, and one inside the other."""
    loc = points(4, d, seed=25)
    x = torch.stack([points(d, seed=26), loc[1], -loc[2], 0.1 * points(d, seed=27)])
    r = torch.tensor([0.0, 0.7, 2.0, -1.0], dtype=torch.float64)
    back = torch.func.jacrev(moebius, argnums=(0, 1, 2))(x, loc, r)
    ahead = torch.func.jacfwd(moebius, argnums=(0, 1, 2))(x, loc, r)
    assert_close(ahead, back, rtol=1e-9, atol=1e-9)

    def total(r):
        return moebius(x[:2], loc[:2], r).pow(3).sum()

    exact = torch.autograd.functional.hessian(total, r[:2])
    twice = torch.func.jacfwd(torch.func.jacfwd(total))(r[:2])
    assert_close(twice, exact, rtol=1e-8, atol=1e-9)


@pytest.mark.filterwarnings(FORWARD)
def test_a_decoder_that_calls_moebius_has_a_metric():
    loc, r = axis(3), torch.tensor(0.8, dtype=torch.float64)
    z = points(5, 3, seed=28)
    metric = pullback_metric(lambda z: moebius(z, loc, r), z)
    # A conformal map: tangents stretch by 1 / (cosh r + t sinh r), whatever their direction.
    stretch = 1 / (r.cosh() + z[:, 0] * r.sinh())
    for v in (normalise(points(5, 3, seed=29)), axis(3, 1).expand(5, 3)):
        v = normalise(v - (v * z).sum(-1, keepdim=True) * z)
        squared = torch.einsum("bi,bij,bj->b", v, metric, v)
        assert_close(squared, stretch.square(), rtol=1e-9, atol=0)


def test_maps_of_the_sphere_are_mapped_whichever_argument_has_the_axis():
    x, loc, r = points(4, 1, 3, seed=30), points(5, 3, seed=31), torch.tensor(0.4).double()
    whole = moebius(x, loc, r)
    for dims, given in (
        ((0, None, None), (x, loc, r)),
        ((1, None, None), (x.movedim(0, 1), loc, r)),
        ((0, None, 0), (x, loc, r.expand(4))),
    ):
        assert_close(torch.func.vmap(moebius, dims)(*given), whole)
    assert_close(torch.func.vmap(moebius, (None, 0, None), 1)(x[:, 0], loc, r), whole)
    assert_close(torch.func.vmap(moebius, (None, None, 0))(x, loc, r.expand(2))[1], whole)


def test_any_vector_transforms_to_the_sphere():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    transform = transform_to(unit_sphere)
    y = transform(x)
    assert torch.equal(y, normalise(x)) and unit_sphere.check(y).all()
    assert_close(transform(transform.inv(y)), y)
    assert transform.domain.event_dim == transform.codomain.event_dim == 1
    assert not transform.bijective
    with pytest.raises(NotImplementedError):
        biject_to(unit_sphere)


def ball_distance(loc1, r1, loc2, r2):
    """Poincaré distance in 200 digits, from the points of the ball."""
    with mpmath.workdps(400):
        a, b = ([mpmath.tanh(mpmath.mpf(r) / 2) * mpmath.mpf(v) for v in loc.tolist()]
                for loc, r in ((loc1, r1), (loc2, r2)))  # fmt: skip
        # loc is unit only to rounding: normalise in full precision.
        a, b = (
            [mpmath.tanh(mpmath.mpf(r) / 2) * v / mpmath.norm(p) for v in p] if any(p) else p
            for p, r in ((a, r1), (b, r2))
        )
        apart = sum((u - v) ** 2 for u, v in zip(a, b, strict=True))
        room = (1 - sum(u * u for u in a)) * (1 - sum(v * v for v in b))
        return float(mpmath.acosh(1 + 2 * apart / room))


PAIRS = [(0.0, 0.0), (0.0, 3.0), (1e-5, 2e-5), (0.5, 0.5), (1.0, 2.5), (8.0, 8.0), (30.0, 1.0),
         (50.0, 50.0), (200.0, 200.0), (200.0, 0.1)]  # fmt: skip


@pytest.mark.parametrize("dtype, tol", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("r1, r2", PAIRS)
def test_hyperbolic_distance_is_that_of_the_poincare_ball(r1, r2, dtype, tol):
    r1, r2 = torch.tensor(r1, dtype=dtype), torch.tensor(r2, dtype=dtype)
    loc = axis(3, dtype=dtype)
    for other in (loc, -loc, axis(3, 1, dtype), normalise(loc + 1e-3 * axis(3, 1, dtype))):
        measured = hyperbolic_distance(loc, r1, other, r2).item()
        truth = ball_distance(loc, r1.item(), other.double(), r2.item())
        assert measured == pytest.approx(truth, rel=tol, abs=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("r1, r2", PAIRS)
def test_hyperbolic_distance_has_finite_gradients(r1, r2, dtype):
    for other in (axis(3), -axis(3), points(3, seed=21), normalise(axis(3) + 1e-30)):
        leaves = [axis(3, dtype=dtype), torch.tensor(r1, dtype=dtype)]
        leaves += [other.to(dtype), torch.tensor(r2, dtype=dtype)]
        leaves = [leaf.clone().requires_grad_() for leaf in leaves]
        for grad in torch.autograd.grad(hyperbolic_distance(*leaves), leaves):
            assert grad.isfinite().all()


def test_distance_from_the_centre_starts_along_the_direction():
    """At r1 = 0 the derivative in r1 is minus the cosine: the direction counts already there."""
    loc1, loc2 = points(5, 4, seed=22), points(5, 4, seed=23)
    r1 = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    distance = hyperbolic_distance(loc1, r1, loc2, torch.full((5,), 2.0, dtype=torch.float64))
    (grad,) = torch.autograd.grad(distance.sum(), r1)
    assert_close(grad, -(loc1 * loc2).sum(-1))


@pytest.mark.parametrize("dtype, tol", DTYPES.items())
@pytest.mark.parametrize("scale", [0.0, 1e-45, 1e-30, 1e-10, 1.0, 1e30, 3e38])
def test_normalise_gives_unit_vectors_at_every_scale(scale, dtype, tol):
    x = (scale * points(4, 7, seed=24)).to(dtype).requires_grad_()
    y = normalise(x)
    assert_close(y.norm(dim=-1), torch.ones(4, dtype=dtype), rtol=0, atol=tol)
    (grad,) = torch.autograd.grad(y[..., 0].sum(), x)
    assert grad.isfinite().all()
    if scale == 0:
        assert_close(y, axis(7, dtype=dtype).expand(4, 7))
    elif scale >= 1e-10:
        assert_close(y.double(), points(4, 7, seed=24), rtol=0, atol=tol)
        along = (grad * x.detach()).sum(-1)  # the norm does not matter
        assert_close(along, torch.zeros_like(along), rtol=0, atol=10 * tol)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_normalise_hides_no_entry_that_is_not_finite(bad):
    y = normalise(torch.tensor([[0.0, bad, 1.0], [0.0, 2.0, 0.0]]))
    assert y[0].isnan().any() and torch.equal(y[1], axis(3, 1, torch.float32))


@pytest.mark.parametrize(
    "loc, error, words",
    [
        (torch.tensor([1, 0]), TypeError, "floating"),
        ([1.0, 0.0], TypeError, "list"),
        (torch.tensor(1.0), ValueError, "shape"),
        (torch.ones(3, 1), ValueError, "d >= 2"),
        (torch.tensor([math.nan, 1.0]), ValueError, "finite"),
        (torch.tensor([[1.0, 0.0], [0.0, 0.999]]), ValueError, r"\[0.999, 1\]"),
        (torch.tensor([[1.0, 0.0], [0.0, 1.001]]), ValueError, r"\[1, 1.001\]"),
        (torch.tensor([1.0005, 0.0]), ValueError, "1.0005"),
        (torch.tensor([1.0, 1.0]), ValueError, "1.41421"),
        (torch.zeros(2, 3), ValueError, "normalise"),
        (torch.tensor([1.0, 3e-4]).double(), ValueError, r"4.5e-08 off 1.*to 1.5e-08 in .*float64"),
    ],
)
def test_a_wrong_direction_is_named(loc, error, words):
    with pytest.raises(error, match=words):
        check_loc(loc)


def test_directions_off_the_sphere_by_rounding_or_none_at_all_pass():
    check_loc(torch.tensor([[1.0002, 0.0], [0.0, 0.9998]]))
    check_loc(torch.ones(0, 3))


def test_slerp_names_the_end_that_is_off_the_sphere():
    with pytest.raises(ValueError, match="^b has norms"):
        slerp(axis(3), 2 * axis(3), 0.5)


A, B = points(4, 3, seed=32), points(4, 3, seed=33)
R = torch.ones(4).double()


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: angle(A, B.float()), ValueError, "b is torch.float32 and a torch.float64"),
        (lambda: angle(A, B[:, :2]), ValueError, r"a \(4, 3\), b \(4, 2\)"),
        (lambda: angle(A, B[:3]), ValueError, r"a \(4, 3\), b \(3, 3\)"),
        (lambda: angle(A, 2 * B), ValueError, r"b has norms.*normalise\(b\)"),
        (lambda: angle(A, B.numpy()), TypeError, "b must be a tensor, got ndarray"),
        (lambda: angle(A.to("meta"), B), ValueError, "b is on cpu and a on meta"),
        (lambda: slerp(A, B, "half"), TypeError, "t must be a number or a tensor"),
        (lambda: slerp(A, B, math.nan), ValueError, "t must be finite"),
        (lambda: slerp(A, B, torch.ones(3)), ValueError, "t has shape"),
        (lambda: moebius(A, B, R[:, None]), ValueError, r"r.squeeze\(-1\)"),
        (lambda: moebius(A, B, R * math.inf), ValueError, "r must be finite"),
        (lambda: moebius(A * math.nan, B, R), ValueError, "x must be finite"),
        (lambda: moebius(A, 2 * B, R), ValueError, "loc has norms"),
        (lambda: moebius(A.long(), B, R), TypeError, "x is torch.int64"),
        (lambda: hyperbolic_distance(A, R, B, -R), ValueError, "r2 lies in"),
        (lambda: hyperbolic_distance(A, R[:, None], B, R), ValueError, r"r1.squeeze\(-1\)"),
        (lambda: hyperbolic_distance(A, R, B[:, 0], R), ValueError, "loc2"),
        (lambda: normalise([1.0, 0.0]), TypeError, "x must be a tensor, got list"),
        (lambda: normalise(torch.ones(2).cfloat()), TypeError, "x is torch.complex64"),
        (lambda: normalise(torch.tensor(1.0)), ValueError, "x has shape"),
    ],
)
def test_what_goes_not_together_is_named(call, error, words, unchecked):
    with pytest.raises(error, match=words):
        call()


def test_numbers_and_other_dtypes_are_radii_too():
    whole = hyperbolic_distance(A, R, B, 0.5 * R)
    assert torch.equal(hyperbolic_distance(A, 1.0, B, torch.tensor(0.5)), whole)
    assert torch.equal(moebius(A, B, 1), moebius(A, B, R.float()))
    assert moebius(A.float(), B.float(), 1.0).dtype == torch.float32
    # A path of as many steps as pairs is a grid, not a mistake.
    assert slerp(A, B, R[:, None]).shape == (4, 4, 3)
