"""The unit sphere itself: unit vectors, great circles, the Möbius stretch, hyperbolic distance.

``d`` is always the ambient dimension: points are unit vectors of R^d.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Transform, constraints, transform_to

from vae_course.arguments import check_finite, visible
from vae_course.sphere.arguments import check_nonnegative, check_vectors, number_beside
from vae_course.sphere.polar import stretch


class _UnitSphere(constraints.Constraint):
    """Unit vectors along the last dimension, to the square root of the dtype's precision."""

    event_dim = 1

    def check(self, value: Float[Tensor, "*batch d"]) -> Bool[Tensor, "*batch"]:
        norm = torch.linalg.vector_norm(value, dim=-1)
        return (norm - 1).abs() <= _room(value.dtype)


def _room(dtype: torch.dtype) -> float:
    """By how much a unit vector's norm may be off 1."""
    return math.sqrt(torch.finfo(dtype).eps)


unit_sphere: Any = _UnitSphere()


@transform_to.register(unit_sphere)
class Direction(Transform):
    """``normalise``, as ``transform_to(unit_sphere)``; any length stands for a point, so there is
    no ``biject_to``.
    """

    domain = constraints.real_vector
    codomain = unit_sphere

    def __init__(self, constraint: constraints.Constraint = unit_sphere) -> None:
        super().__init__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Direction)

    def _call(self, x: Tensor) -> Tensor:
        return normalise(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return y

    def forward_shape(self, shape: torch.Size) -> torch.Size:
        """The shape itself."""
        return shape

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        """The shape itself."""
        return shape


def check_loc(loc: Any, name: str = "loc") -> None:
    """Raise unless ``loc`` is a floating tensor (..., d >= 2) of finite unit vectors.

    A norm may be off by the square root of the dtype's precision: 3e-4 in float32, 1.5e-8 in
    float64. Norms are not for ``torch.func``, ``torch.compile`` or ``torch.export`` to look at: the
    rest is checked there.

    Raises:
        TypeError: for anything but a floating point tensor.
        ValueError: for a wrong shape, entries that are not finite, or norms that are not 1.
    """
    check_vectors(2, **{name: loc})
    if loc.numel() == 0 or not visible(loc):
        return
    norm = torch.linalg.vector_norm(loc.detach(), dim=-1)
    least, most = (bound.item() for bound in norm.aminmax())  # NaN goes through
    room = _room(loc.dtype)
    if not (1 - least <= room and most - 1 <= room):
        if not loc.isfinite().all():
            raise ValueError(f"{name} has entries that are not finite: check what computed it")
        raise ValueError(
            f"{name} has norms in [{least:.6g}, {most:.6g}], up to "
            f"{max(1 - least, most - 1):.2g} off 1: it must hold unit vectors, to {room:.2g} in "
            f"{loc.dtype}; sphere.normalise({name}) makes them"
        )


def normalise(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    r"""Direction of each vector: the usual last layer of an encoder to the sphere.

    .. math:: x \mapsto x / \|x\|

    Any finite x: entries are scaled before squaring, so 1e30 does not overflow in float32. A
    vector with no entry above the root of the smallest normal number (1e-19 in float32, 1e-154
    in float64) has no direction: it becomes the first axis, with gradient 0. One with an entry
    that is not finite becomes NaN. Elsewhere the gradient grows like :math:`1/\|x\|`. float32:
    unit norm to 2e-7.

    Raises:
        TypeError: for anything but a floating point tensor.
        ValueError: for a number or vectors of no entries.
    """
    check_vectors(1, x=x)
    largest = x.detach().abs().amax(-1, keepdim=True)
    lost = largest <= math.sqrt(torch.finfo(x.dtype).tiny)  # not so where it is NaN
    axis = torch.zeros_like(x)
    axis[..., 0] = 1
    scaled = torch.where(lost, axis, x) / torch.where(lost, 1, largest)
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)


def angle(a: Float[Tensor, "*#batch d"], b: Float[Tensor, "*#batch d"]) -> Float[Tensor, "*batch"]:
    r"""Angle between unit vectors, in radians, in [0, π].

    .. math:: \theta = 2 \operatorname{atan2}(\|a - b\|, \|a + b\|)

    Accurate near 0 and π, where the arc cosine keeps half of the digits. Gradient 0 at both ends.
    TypeError or ValueError for what are no unit vectors (norms are looked at in eager mode only),
    or dtypes, devices and shapes that do not go together.
    Source: Kahan 2006, *How futile are mindless assessments of roundoff?*
    """
    _check_points(a=a, b=b)
    return _angle(a, b)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    apart = torch.linalg.vector_norm(a - b, dim=-1)
    return 2 * torch.atan2(apart, torch.linalg.vector_norm(a + b, dim=-1))


def slerp(
    a: Float[Tensor, "*#batch d"],
    b: Float[Tensor, "*#batch d"],
    t: float | Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch d"]:
    r"""Point at the fraction t of the great circle's shorter arc from a to b, at constant speed.

    .. math:: \cos(t\theta)\, a + \sin(t\theta)\, w, \qquad
              w = \frac{b - (a^\top b) a}{\|b - (a^\top b) a\|}

    Nothing is divided by :math:`\sin\theta`. Identical points stay where they are. Antipodes have
    no shortest arc but many: the one that sets out towards the coordinate axis least aligned with
    a is taken (the first of equals), so the path is deterministic, half a circle long, and ends
    at b; go by a third point for another.

    Args:
        a: unit vectors (..., d), the points at t = 0.
        b: unit vectors, broadcast with a, the points at t = 1.
        t: fraction of the way, broadcast with a's batch: ``(steps, 1)`` for paths of a batch.
            Outside [0, 1] the arc goes on around the circle.

    Raises:
        TypeError: for an a or b that is no floating point tensor, or a t that is no number.
        ValueError: if a or b does not hold unit vectors or t is not finite (looked at in eager mode
            only), or dtypes, devices or shapes do not go together.

    float32: unit norm to 3e-7, ends met to 1e-6. Source: Shoemake 1985.
    """
    _check_points(a=a, b=b)
    a, b = torch.broadcast_tensors(a, b)
    t = number_beside("t", t, "a", a, grid=True)
    check_finite(t=t)
    turn = (t * _angle(a, b)).unsqueeze(-1)
    tangent = _orthogonal_part(b, a)
    # Below this, what is left of b beside a is rounding: the pair is one point or two antipodes.
    noise = 4 * torch.finfo(a.dtype).eps
    lost = torch.linalg.vector_norm(tangent.detach(), dim=-1, keepdim=True) <= noise
    axis = torch.zeros_like(a).scatter(-1, a.detach().abs().argmin(-1, keepdim=True), 1.0)
    tangent = normalise(torch.where(lost, _orthogonal_part(axis, a), tangent))
    return normalise(turn.cos() * a + turn.sin() * tangent)


def moebius(
    x: Float[Tensor, "*#batch d"],
    loc: Float[Tensor, "*#batch d"],
    r: Float[Tensor, "*#batch"] | float,
) -> Float[Tensor, "*batch d"]:
    r"""Möbius map of the sphere that draws all points towards ``loc`` by the hyperbolic length r.

    .. math:: y = \cos\varphi\, \mu + \sin\varphi\, w, \qquad
              \tan\tfrac\varphi2 = e^{-r} \tan\tfrac\theta2

    where θ is the angle from μ to x and w the direction of x seen from μ: the stereographic plane
    shrinks by :math:`e^{-r}`. The same as
    :math:`(1 - \rho^2)(x + \rho\mu) / \|x + \rho\mu\|^2 + \rho\mu` with
    :math:`\rho = \tanh(r/2)`. ``loc`` and its antipode stay put; r = 0 is the identity; a
    negative r undoes a positive one.

    No division by the sine of θ, so values and gradients are finite at x = ±``loc``; the gradient
    in ``loc`` is right along the sphere, and arbitrary across it, by either mode alike. float32:
    unit norm to 3e-7.

    Args:
        x: any vectors (..., d): directions count, a zero vector stands for ``loc``.
        loc: unit vectors, broadcast with x.
        r: finite and at least -40, a number or of the batch's shape, in the dtype of ``loc``.

    Raises:
        TypeError: for an x or ``loc`` that is no floating point tensor, or an r that is no number.
        ValueError: for an x or r that is not finite, or a ``loc`` off the sphere (looked at in
            eager mode only); for dtypes, devices or shapes that do not go together, or r (n, 1)
            beside ``loc`` (n, d).

    Source: Kato and McCullagh 2020; this form derived here.
    """
    check_vectors(2, x=x, loc=loc)
    check_loc(loc)
    r = number_beside("r", r, "loc", loc, other=x)
    check_finite(x=x, r=r)
    return stretch(x, loc, r)


def hyperbolic_distance(
    loc1: Float[Tensor, "*#batch d"],
    r1: Float[Tensor, "*#batch"] | float,
    loc2: Float[Tensor, "*#batch d"],
    r2: Float[Tensor, "*#batch"] | float,
) -> Float[Tensor, "*batch"]:
    r"""Distance in the Poincaré ball of two points given by direction and hyperbolic radius.

    .. math:: \sinh^2\tfrac D2 = \sinh^2\tfrac{r_1 - r_2}2
              + \sinh r_1 \sinh r_2\, \tfrac14 \|\mu_1 - \mu_2\|^2

    Directions are unit vectors (..., d), radii finite and >= 0, numbers or of the batch's shape, in
    the dtype of the directions. Finite to radii of 1e4 in both dtypes; gradient 0 at D = 0, where
    the distance has a cusp and its square has none. float32: relative error 1e-6.

    Raises:
        TypeError: for directions that are no floating point tensors, or radii that are no numbers.
        ValueError: for directions off the sphere, or radii that are negative or not finite (looked
            at in eager mode only); for dtypes, devices or shapes that do not go together, or radii
            (n, 1) beside directions (n, d).

    Source: hyperbolic law of cosines, by half angles.
    """
    _check_points(loc1=loc1, loc2=loc2)
    r1 = number_beside("r1", r1, "loc1", loc1, other=loc2)
    r2 = number_beside("r2", r2, "loc2", loc2, other=loc1)
    check_nonnegative(r1, "r1")
    check_nonnegative(r2, "r2")
    return poincare_distance(loc1, r1, loc2, r2)


def poincare_distance(loc1: Tensor, r1: Tensor, loc2: Tensor, r2: Tensor) -> Tensor:
    """``hyperbolic_distance`` of what has been checked."""
    tiny = torch.finfo(loc1.dtype).tiny
    h = 0.25 * (loc1 - loc2).square().sum(-1)
    total, gap = r1 + r2, (r1 - r2).abs()
    # scaled = 4 exp(-r1 - r2) sinh^2(D/2): nothing in it can overflow.
    near = torch.exp(-2 * torch.minimum(r1, r2)) * torch.expm1(-gap).square()
    scaled = (near + torch.expm1(-2 * r1) * torch.expm1(-2 * r2) * h).clamp_min(tiny)
    quarter = 0.25 * scaled * torch.exp(total.clamp_max(80))  # sinh^2(D/2) where that is small
    small = 2 * torch.asinh(quarter.clamp(tiny, 1).sqrt())
    root = scaled.sqrt() + (scaled + 4 * torch.exp(-total)).sqrt()
    large = total + 2 * torch.log(root / 2)
    return torch.where(h > 0, torch.where(quarter < 1, small, large), gap)


def _check_points(**points: Tensor) -> None:
    check_vectors(2, **points)
    for name, value in points.items():
        check_loc(value, name)


def _orthogonal_part(x: Tensor, loc: Tensor) -> Tensor:
    """What is left of x beside the unit vector ``loc``; projected twice, against rounding."""
    for _ in range(2):
        x = x - (x * loc).sum(-1, keepdim=True) * loc
    return x
