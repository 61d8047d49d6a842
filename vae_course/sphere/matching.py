"""Laws of different families made alike: in their rate, their mean cosine or their curvature."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vae_course.sphere.arguments import check_nonnegative, check_vectors, number_beside
from vae_course.sphere.cauchy import SphericalCauchy
from vae_course.sphere.geometry import check_loc
from vae_course.sphere.power_spherical import PowerSpherical
from vae_course.sphere.von_mises_fisher import VonMisesFisher

StretchedLaw = SphericalCauchy | VonMisesFisher | PowerSpherical

FAMILIES: dict[str, type[StretchedLaw]] = {
    "cauchy": SphericalCauchy,
    "vmf": VonMisesFisher,
    "power": PowerSpherical,
}

TOLERANCE = 1e-10  # of the property, relative
ENOUGH = 1e-13  # where Newton's method stops; rounding may keep it from getting there


def check_family(family: str) -> None:
    """Raise ValueError unless ``family`` is a key of ``FAMILIES``."""
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(f"family={family!r} is unknown; choose one of {sorted(FAMILIES)}")


def from_stretch(
    family: str,
    loc: Float[Tensor, "*#batch d"],
    u: Float[Tensor, "*#batch"] | float,
    *,
    validate_args: bool | None = None,
) -> StretchedLaw:
    r"""The law of that family whose latitude has its mode at u: one scale for all families.

    .. math:: r = u \ \text{(cauchy)}, \qquad \kappa = \tfrac{d-1}2 \sinh 2u\ \text{(vmf)},
              \qquad \kappa = \tfrac{d-1}2 (e^{2u} - 1)\ \text{(power)}

    where the latitude of y is :math:`-\log\tan\tfrac\varphi2`, with φ the angle to ``loc``. u = 0
    is the uniform law, :math:`e^{-u}` the half-angle tangent where latitudes are densest, and the
    rate of each family grows like (d - 1) u. An encoder that gives u therefore moves all families
    at one speed, as one that gives :math:`\log\sigma` moves a Gaussian.

    loc (..., d) holds unit vectors, u, a number or a tensor, is finite and >= 0 and broadcasts with
    the batch; u beyond 44 overflows a float32 kappa. ValueError or TypeError else, from the laws
    too; with ``validate_args=False``, as in an encoder, values are not looked at. Derived here.
    """
    check_family(family)
    check_vectors(2, loc=loc)
    u = number_beside("u", u, "loc", loc)
    if Distribution._validate_args if validate_args is None else validate_args:
        check_nonnegative(u, "u")
    half = (loc.shape[-1] - 1) / 2
    if family == "cauchy":
        return SphericalCauchy(loc, u, validate_args=validate_args)
    if family == "vmf":
        return VonMisesFisher(loc, half * torch.sinh(2 * u), validate_args=validate_args)
    return PowerSpherical(loc, half * torch.expm1(2 * u), validate_args=validate_args)


def matched(
    family: str,
    loc: Float[Tensor, "*#batch d"],
    *,
    rate: Float[Tensor, "*#batch"] | float | None = None,
    mean_cosine: Float[Tensor, "*#batch"] | float | None = None,
    curvature: Float[Tensor, "*#batch"] | float | None = None,
) -> StretchedLaw:
    r"""The law of a family that has a given rate, mean cosine or curvature at its mode.

    The *rate* is the KL from the uniform law in nats; the *curvature* is minus the second
    derivative of the log density along a great circle through the mode. Laws matched by one of
    them differ in the other two.

    Args:
        family: ``"cauchy"``, ``"vmf"`` or ``"power"``.
        loc: mean directions (..., d >= 2), unit vectors; gradients pass through them.
        rate: nats, >= 0 and finite. Of the three exactly one is given, a number or a tensor that
            broadcasts with the batch of ``loc``; no gradient passes through it.
        mean_cosine: in [0, 1).
        curvature: per squared radian, >= 0 and finite.

    Returns:
        The law, its property met to 1e-10 (relative) in float64, and else as well as its
        parameter can be written in the dtype of ``loc``.

    Raises:
        TypeError: for a ``loc`` or a property that is no floating point tensor and no number.
        ValueError: for an unknown family, none or several properties, a value out of range, or
            one that takes a concentration beyond the range of ``loc``'s dtype; a ``loc`` off the
            sphere, or shapes or devices that do not go together.

    It searches, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Newton's method in float64 on the logs, where the slope lies between 1/2 and 2. Derived here.
    """
    check_family(family)
    check_loc(loc)
    given = {
        name: value
        for name, value in dict(rate=rate, mean_cosine=mean_cosine, curvature=curvature).items()
        if value is not None
    }
    if len(given) != 1:
        raise ValueError(
            f"{sorted(given) or 'no property'} given: give exactly one of rate, mean_cosine and "
            "curvature; laws of two families rarely agree in two"
        )
    ((name, value),) = given.items()
    # Shape, type and device as the law has it; digits as they were given.
    kept = number_beside(name, value, "loc", loc)
    device = "cpu" if loc.device.type == "mps" else loc.device  # Apple's GPUs have no float64
    exact = value.detach() if isinstance(value, Tensor) else value
    target = torch.as_tensor(exact, device=device, dtype=torch.float64)
    _check_range(name, target)
    dim = loc.shape[-1]
    parameter = _parameter(family, _solve(family, name, target, dim), dim).to(kept)
    if not parameter.isfinite().all():
        more = "" if loc.dtype == torch.float64 else ", or normalise(loc.double()) for loc"
        raise ValueError(
            f"{name} up to {target.max():.6g}: in family {family!r} a law that concentrated is out "
            f"of the reach of {loc.dtype}; give less{more}"
        )
    return FAMILIES[family](loc, parameter)


def _check_range(name: str, target: Tensor) -> None:
    top = 1.0 if name == "mean_cosine" else math.inf
    if not ((target >= 0) & (target < top)).all():
        bound = "at least 0 and less than 1" if name == "mean_cosine" else "finite and at least 0"
        raise ValueError(
            f"{name} lies in [{target.min():.6g}, {target.max():.6g}]: must be {bound}"
        )


def _parameter(family: str, u: Tensor, dim: int) -> Tensor:
    law = _law(family, u, dim)
    return law.r if isinstance(law, SphericalCauchy) else law.concentration


def _solve(family: str, name: str, target: Tensor, dim: int) -> Tensor:
    """The stretch u at which the property has its target, in float64."""
    if name == "curvature":  # of the latitude's laws, in closed form
        ratio = 2 * target / (dim - 1)
        if family == "vmf":
            return 0.5 * torch.asinh(ratio)
        return 0.5 * torch.log1p(ratio if family == "cauchy" else 2 * ratio)
    if name == "mean_cosine":
        # atanh: like u where both are large, and like its multiple where both are small.
        return _newton(lambda u: torch.atanh(_law(family, u, dim).mean_cosine), torch.atanh(target))
    return _newton(lambda u: _law(family, u, dim).kl_to_uniform(), target)


def _law(family: str, u: Tensor, dim: int) -> StretchedLaw:
    loc = torch.eye(dim, dtype=u.dtype, device=u.device)[0]
    return from_stretch(family, loc, u, validate_args=False)


def _newton(value_of: Callable[[Tensor], Tensor], target: Tensor) -> Tensor:
    """Solve value_of(u) = target for u >= 0, by log value over log u; NaN where it fails."""
    with torch.inference_mode(False), torch.enable_grad():
        positive = target > 0
        goal = torch.where(positive, target, 1).clone().log()
        log_u = torch.zeros_like(goal)
        for _ in range(60):
            u = log_u.exp().requires_grad_()
            value = value_of(u)
            (slope,) = torch.autograd.grad(value.sum(), u)
            value, u = value.detach(), u.detach()
            error = value.log() - goal
            if error.abs().max() < ENOUGH:
                break
            log_u = log_u - error * value / (u * slope)
        met = error.abs() < TOLERANCE
        return torch.where(positive, torch.where(met, u, math.nan), 0)
