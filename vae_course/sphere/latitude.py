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
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

CHUNK = 1 << 16  # samples whose quantiles are sought at a time: 25 MB a rule of 48 nodes


class Cumulants(NamedTuple):
    r"""Derivatives of :math:`\Lambda(\kappa) = \log E_{t \sim U}\, e^{\kappa S}`, from the 0th."""

    log_partition: Tensor
    mean: Tensor
    variance: Tensor
    third: Tensor


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
    def cumulants(kappa: Tensor, dim: int) -> Cumulants:
        """The cumulants of S."""

    @staticmethod
    @abstractmethod
    def divergence(kappa: Tensor, dim: int) -> Tensor:
        r"""KL to the uniform law, :math:`\kappa \Lambda' - \Lambda`, to full relative accuracy."""


def working(value: Tensor) -> Tensor:
    """In float64, where the device has it: single numbers per example, so this costs little."""
    return value.to(torch.float32 if value.device.type == "mps" else torch.float64)


@cache
def _legendre(m: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes and weights on [0, L], L where a tail has lost 38 nats, denser towards 0."""
    nodes = 80 if m < 4 else 60 if m < 20 else 48 if m < 60 else 40
    reach, scale = math.acosh(math.exp(38 / m)), 2 / math.sqrt(m)
    x, weight = np.polynomial.legendre.leggauss(nodes)
    half = math.asinh(reach / scale) / 2
    v = half * (x + 1)
    step = scale * np.sinh(v)
    return tuple(step.tolist()), tuple((scale * half * weight * np.cosh(v)).tolist())


def _rule(m: int, like: Tensor) -> tuple[Tensor, Tensor]:
    step, weight = _legendre(m)
    return like.new_tensor(step), like.new_tensor(weight)


class _Point(NamedTuple):
    statistic: Tensor
    log_density: Tensor  # but for a constant
    y: Tensor


def _at(family: type[LatitudeFamily], u: Tensor, kappa: Tensor, m: int) -> _Point:
    y = torch.exp(-2 * u)
    log1p_y = torch.log1p(y)
    statistic = family.statistic(y, log1p_y)
    cosh = u + log1p_y  # log(2 cosh u)
    return _Point(statistic, kappa * statistic - m * cosh, y)


def integrate(family: type[LatitudeFamily], kappa: Tensor, dim: int) -> Cumulants:
    """The cumulants of S by quadrature, for any kappa >= 0 of the working dtype."""
    m = dim - 1
    step, weight = _rule(m, kappa)
    mode, _ = family.peak(kappa, m)
    u = mode.unsqueeze(-1) + torch.cat([-step.flip(0), step])
    point = _at(family, u, kappa.unsqueeze(-1), m)
    top = point.log_density.amax(-1, keepdim=True)
    mass = torch.cat([weight.flip(0), weight]) * torch.exp(point.log_density - top)
    total = mass.sum(-1, keepdim=True)
    mean = (mass * point.statistic).sum(-1, keepdim=True) / total
    centred = point.statistic - mean
    variance = (mass * centred.square()).sum(-1) / total.squeeze(-1)
    third = (mass * centred.pow(3)).sum(-1) / total.squeeze(-1)
    log_partition = (top + total.log()).squeeze(-1) - _log_uniform(m)
    return Cumulants(log_partition, mean.squeeze(-1), variance, third)


@cache
def _log_uniform(m: int) -> float:
    """Log of the integral of (2 cosh u)^-m: by the same rule, whose rounding then cancels."""
    step, weight = (np.array(values) for values in _legendre(m))
    return math.log(2 * float(weight @ np.exp(-m * (step + np.log1p(np.exp(-2 * step))))))


class Cumulant(torch.autograd.Function):
    """One cumulant of S: its derivative in kappa is the next one, up to the third."""

    @staticmethod
    def forward(
        ctx: Any, family: type[LatitudeFamily], kappa: Tensor, dim: int, order: int
    ) -> Tensor:
        ctx.arguments = family, dim, order
        ctx.save_for_backward(kappa)
        return family.cumulants(kappa, dim)[order]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        family, dim, order = ctx.arguments
        if order == 3:
            raise RuntimeError("log_prob has three derivatives in the concentration, no fourth")
        (kappa,) = ctx.saved_tensors
        return None, gradient * Cumulant.apply(family, kappa, dim, order + 1), None, None


class Divergence(torch.autograd.Function):
    r"""KL to the uniform law; its derivative in kappa is kappa times the variance of S."""

    @staticmethod
    def forward(ctx: Any, family: type[LatitudeFamily], kappa: Tensor, dim: int) -> Tensor:
        ctx.arguments = family, dim
        ctx.save_for_backward(kappa)
        return family.divergence(kappa, dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        family, dim = ctx.arguments
        (kappa,) = ctx.saved_tensors
        return None, gradient * kappa * Cumulant.apply(family, kappa, dim, 2), None


class Quantile(torch.autograd.Function):
    r"""The latitude u below which lies the probability p, differentiable in kappa.

    Halley's method on the log of the smaller tail, five steps to rounding: a fixed number
    of operations, so nothing waits for a device. The gradient is implicit,
    :math:`du/d\kappa = -\partial_\kappa F(u) / f(u)`: an integral over the tail on the side of u
    where S - E[S] keeps its sign, so that nothing cancels. The normaliser drops out of it.
    """

    @staticmethod
    def forward(
        ctx: Any, family: type[LatitudeFamily], kappa: Tensor, p: Tensor, dim: int
    ) -> Tensor:
        cumulants = family.cumulants(kappa, dim)
        parts = [
            _solve(family, dim - 1, *flat)
            for flat in _chunks(p, kappa, cumulants.log_partition + _log_uniform(dim - 1))
        ]
        u = torch.cat(parts).view_as(p)
        ctx.arguments = family, dim
        ctx.save_for_backward(kappa, cumulants.mean, u)
        return u

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        family, dim = ctx.arguments
        kappa, mean, u = ctx.saved_tensors
        parts = [_slope(family, dim - 1, *flat) for flat in _chunks(u, kappa, mean)]
        slope = torch.cat(parts).view_as(u)
        return None, (gradient * slope).sum_to_size(kappa.shape), None, None


def _chunks(values: Tensor, *others: Tensor) -> Iterator[Any]:
    tensors = (values, *(other.expand(values.shape) for other in others))
    return zip(*(tensor.reshape(-1).split(CHUNK) for tensor in tensors), strict=True)


def _solve(
    family: type[LatitudeFamily], m: int, p: Tensor, kappa: Tensor, log_mass: Tensor
) -> Tensor:
    step, weight = _rule(m, kappa)
    side = torch.where(p < 0.5, -1.0, 1.0).to(p)
    smaller = torch.minimum(p, 1 - p)
    target = smaller.log() + log_mass
    mode, curvature = family.peak(kappa, m)
    z = -torch.special.ndtri(smaller)
    # A first guess: Gaussian, but for the lower tail of a concentrated law, which falls like the
    # exponential of an exponential (y is then nearly a gamma variable).
    gamma = 0.5 * torch.log1p(z * math.sqrt(2 / m) + z * z / m)
    lean = torch.where(p < 0.5, curvature / m - 1, 0)
    u = mode + side * torch.lerp(z / curvature.sqrt(), gamma, lean)
    for _ in range(5):
        here = _at(family, u, kappa, m)
        tail = _at(family, u[:, None] + side[:, None] * step, kappa[:, None], m)
        ratio = 1 / (weight * torch.exp(tail.log_density - here.log_density[:, None])).sum(-1)
        error = here.log_density - ratio.log() - target
        first = -side * ratio
        rise = kappa * family.slope(here.y) - m * torch.tanh(u)  # of the log density
        second = first * (rise + side * ratio)
        u = u - 2 * error * first / (2 * first.square() - error * second)
    return u


def _slope(family: type[LatitudeFamily], m: int, u: Tensor, kappa: Tensor, mean: Tensor) -> Tensor:
    step, weight = _rule(m, kappa)
    here = _at(family, u, kappa, m)
    side = torch.where(here.statistic < mean, -1.0, 1.0).to(u)
    tail = _at(family, u[:, None] + side[:, None] * step, kappa[:, None], m)
    mass = weight * torch.exp(tail.log_density - here.log_density[:, None])
    return side * (mass * (tail.statistic - mean[:, None])).sum(-1)
