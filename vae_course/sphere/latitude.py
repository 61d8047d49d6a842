r"""Laws of the latitude: exponential families on the axis from one pole of the sphere to the other.

With :math:`t = \mu^\top Y = \tanh u`, the latitude of a rotationally symmetric law is a point u of
the real line, minus the log tangent of half the angle to :math:`\mu`. The uniform law has density
:math:`\propto \cosh^{-(d-1)} u`, and the laws here

.. math:: f(u) \propto \exp(\kappa S(u)) \cosh^{-(d-1)} u, \qquad S \le 0.

Whatever :math:`\kappa`, such a density has one peak, of a standard deviation between
:math:`1/\sqrt{2(d-1)}` and :math:`1/\sqrt{d-1}`, and tails that fall at least like
:math:`\cosh^{-(d-1)}`: one Gauss-Legendre rule a dimension integrates all of them, and there is no
:math:`\kappa` at which anything overflows or cancels. Derived here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_course.arguments import visible
from vae_course.sphere.polar import Mapped
from vae_course.sphere.tables import table


class Cumulants(NamedTuple):
    r"""Derivatives of :math:`\Lambda(\kappa) = \log E_{t \sim U}\, e^{\kappa S}`, from the 0th,
    and the KL to the uniform law, :math:`\kappa \Lambda' - \Lambda`, to full relative accuracy.
    """

    log_partition: Tensor
    mean: Tensor
    variance: Tensor
    third: Tensor
    divergence: Tensor


class LatitudeFamily(ABC):
    """A statistic S and what follows from it; tensors in and out, no gradient needed."""

    @staticmethod
    @abstractmethod
    def statistic(y: Tensor, log1p_y: Tensor) -> Tensor:
        r"""S at :math:`y = e^{-2u} = (1 - t) / (1 + t)`, from 0 to infinity."""

    @staticmethod
    @abstractmethod
    def slope(y: Tensor) -> Tensor:
        """Derivative of S in u."""

    @staticmethod
    @abstractmethod
    def peak(kappa: Tensor, m: int) -> tuple[Tensor, Tensor]:
        """The mode in u, and minus the second derivative of the log density there."""

    @staticmethod
    @abstractmethod
    def cumulants(kappa: Tensor, dim: int, coarse: bool = False) -> Cumulants:
        """The cumulants of S; ``coarse`` where float32 is all that is made of them."""

    @staticmethod
    @abstractmethod
    def on_globe(kappa: Tensor, z: Tensor) -> Tensor:
        """For d = 3, y at the rank of the normal number z, in closed form."""

    @staticmethod
    @abstractmethod
    def drift_on_globe(kappa: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """For d = 3, the derivative of S in kappa at that rank, where y is."""


def either(
    near: Tensor, first: Callable[[], Cumulants], second: Callable[[], Cumulants]
) -> Cumulants:
    """The first where ``near``, else the second; one that no entry needs is not computed.

    But where asking would wait for a device, or can't be answered, both are.
    """
    if near.device.type == "cpu" and visible(near):
        if near.all():
            return first()
        if not near.any():
            return second()
    pairs = zip(first(), second(), strict=True)
    return Cumulants(*(torch.where(near, a, b) for a, b in pairs))


def working(value: Tensor) -> Tensor:
    """In float64, where the device has it: single numbers per example, so this costs little."""
    return value.to(torch.float32 if value.device.type == "mps" else torch.float64)


@cache
def _legendre(m: int, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, L], L where a tail has lost 38 nats (20), denser towards 0."""
    sizes = (56, 40, 28, 20) if coarse else (80, 60, 48, 40)
    nodes = sizes[sum(m >= edge for edge in (4, 20, 60))]
    reach, scale = math.acosh(math.exp((20 if coarse else 38) / m)), 2 / math.sqrt(m)
    x, weight = np.polynomial.legendre.leggauss(nodes)
    half = math.asinh(reach / scale) / 2
    v = half * (x + 1)
    return scale * np.sinh(v), scale * half * weight * np.cosh(v)


rule = table(_legendre)


class Point(NamedTuple):
    statistic: Tensor
    log_density: Tensor  # but for a constant
    y: Tensor


def at(family: type[LatitudeFamily], u: Tensor, kappa: Tensor, m: int) -> Point:
    y = torch.exp(-2 * u)
    log1p_y = torch.log1p(y)
    statistic = family.statistic(y, log1p_y)
    cosh = u + log1p_y  # log(2 cosh u)
    return Point(statistic, kappa * statistic - m * cosh, y)


def integrate(
    family: type[LatitudeFamily], kappa: Tensor, dim: int, coarse: bool = False
) -> Cumulants:
    """The cumulants of S by quadrature, for any kappa >= 0 of the working dtype."""
    m = dim - 1
    step, weight = rule(kappa.dtype, kappa.device, m, coarse)
    mode, _ = family.peak(kappa, m)
    u = mode.unsqueeze(-1) + torch.cat([step, -step])
    point = at(family, u, kappa.unsqueeze(-1), m)
    top = point.log_density.amax(-1, keepdim=True)
    mass = torch.cat([weight, weight]) * torch.exp(point.log_density - top)
    total = mass.sum(-1, keepdim=True)
    share = mass / total
    mean = (share * point.statistic).sum(-1, keepdim=True)
    centred = point.statistic - mean
    weighted = share * centred.square()
    log_partition = (top + total.log()).squeeze(-1) - log_uniform(m, coarse)
    mean = mean.squeeze(-1)
    return Cumulants(
        log_partition,
        mean,
        weighted.sum(-1),
        (weighted * centred).sum(-1),
        kappa * mean - log_partition,
    )


@torch.compiler.assume_constant_result
def log_uniform(m: int, coarse: bool) -> float:
    return _log_mass_of_uniform(m, coarse)


@cache
def _log_mass_of_uniform(m: int, coarse: bool) -> float:
    """Log of the integral of (2 cosh u)^-m: by the same rule, whose rounding then cancels."""
    step, weight = _legendre(m, coarse)
    return math.log(2 * float(weight @ np.exp(-m * (step + np.log1p(np.exp(-2 * step))))))


class Cumulant(Mapped):
    """One cumulant of S: its derivative in kappa is the next one, up to the third."""

    @staticmethod
    def forward(family: type[LatitudeFamily], kappa: Tensor, dim: int, order: int) -> tuple[Tensor]:
        return (family.cumulants(kappa, dim)[order],)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        family, kappa, *rest = inputs
        ctx.arguments = family, *rest
        return (kappa,)

    @staticmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor:
        return tangents[1] * Cumulant.next(ctx, *saved)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        return None, gradient * Cumulant.next(ctx, *ctx.saved_tensors), None, None

    @staticmethod
    def next(ctx: Any, kappa: Tensor) -> Tensor:
        family, dim, order = ctx.arguments
        if order == 3:
            raise RuntimeError("log_prob has three derivatives in the concentration, no fourth")
        return Cumulant.call(family, kappa, dim, order + 1)


class Divergence(Mapped):
    r"""KL to the uniform law, given its value; its derivative is kappa times the variance of S."""

    @staticmethod
    def forward(
        family: type[LatitudeFamily], kappa: Tensor, dim: int, value: Tensor, variance: Tensor
    ) -> tuple[Tensor]:
        return (value.clone(),)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        family, kappa, dim, _, variance = inputs
        ctx.arguments = family, dim
        return kappa, variance

    @staticmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor | None:
        (family, dim), kappa, dkappa = ctx.arguments, saved[0], tangents[1]
        if dkappa is None:
            return None
        return dkappa * kappa * Cumulant.call(family, kappa, dim, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        kappa, variance = ctx.saved_tensors
        if torch.is_grad_enabled():  # for the derivative of the derivative
            family, dim = ctx.arguments
            variance = Cumulant.call(family, kappa, dim, 2)
        return None, gradient * kappa * variance, None, None, None


def tail_of(z: Tensor) -> Tensor:
    """The chance that a normal variable exceeds z; ``ndtr(-z)`` rounds what is below 1e-16 to 0."""
    return 0.5 * torch.erfc(z / math.sqrt(2))


def log_tail(z: Tensor) -> Tensor:
    """Its log, for z >= 0; ``vmap`` maps no ``log_ndtr``."""
    return (0.5 * torch.special.erfcx(z / math.sqrt(2))).log() - 0.5 * z.square()
