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
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_course.sphere.polar import Mapped, constants

CHUNK = 1 << 16  # samples whose quantiles are sought at a time: 25 MB a rule of 48 nodes


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

    But where asking would wait for a device, or under ``vmap``, both are.
    """
    if near.device.type == "cpu" and not torch._C._are_functorch_transforms_active():
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


@cache
def _rule(m: int, coarse: bool, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    with constants():
        step, weight = (torch.from_numpy(values) for values in _legendre(m, coarse))
        return step.to(device, dtype), weight.to(device, dtype)


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


def integrate(
    family: type[LatitudeFamily], kappa: Tensor, dim: int, coarse: bool = False
) -> Cumulants:
    """The cumulants of S by quadrature, for any kappa >= 0 of the working dtype."""
    m = dim - 1
    step, weight = _rule(m, coarse, kappa.dtype, kappa.device)
    mode, _ = family.peak(kappa, m)
    u = mode.unsqueeze(-1) + torch.cat([step, -step])
    point = _at(family, u, kappa.unsqueeze(-1), m)
    top = point.log_density.amax(-1, keepdim=True)
    mass = torch.cat([weight, weight]) * torch.exp(point.log_density - top)
    total = mass.sum(-1, keepdim=True)
    share = mass / total
    mean = (share * point.statistic).sum(-1, keepdim=True)
    centred = point.statistic - mean
    weighted = share * centred.square()
    log_partition = (top + total.log()).squeeze(-1) - _log_uniform(m, coarse)
    mean = mean.squeeze(-1)
    return Cumulants(
        log_partition,
        mean,
        weighted.sum(-1),
        (weighted * centred).sum(-1),
        kappa * mean - log_partition,
    )


@cache
def _log_uniform(m: int, coarse: bool) -> float:
    """Log of the integral of (2 cosh u)^-m: by the same rule, whose rounding then cancels."""
    step, weight = _legendre(m, coarse)
    return math.log(2 * float(weight @ np.exp(-m * (step + np.log1p(np.exp(-2 * step))))))


class Cumulant(Mapped):
    """One cumulant of S: its derivative in kappa is the next one, up to the third."""

    @staticmethod
    def forward(family: type[LatitudeFamily], kappa: Tensor, dim: int, order: int) -> tuple[Tensor]:
        return (family.cumulants(kappa, dim)[order],)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
        family, kappa, *rest = inputs
        ctx.arguments = family, *rest
        ctx.save_for_backward(kappa)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        family, dim, order = ctx.arguments
        if order == 3:
            raise RuntimeError("log_prob has three derivatives in the concentration, no fourth")
        (kappa,) = ctx.saved_tensors
        return None, gradient * Cumulant.call(family, kappa, dim, order + 1), None, None


class Divergence(Mapped):
    r"""KL to the uniform law, given its value; its derivative is kappa times the variance of S."""

    @staticmethod
    def forward(
        family: type[LatitudeFamily], kappa: Tensor, dim: int, value: Tensor, variance: Tensor
    ) -> tuple[Tensor]:
        return (value.clone(),)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
        family, kappa, dim, _, variance = inputs
        ctx.arguments = family, dim
        ctx.save_for_backward(kappa, variance)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kappa, variance = ctx.saved_tensors
        if torch.is_grad_enabled():  # for the derivative of the derivative
            family, dim = ctx.arguments
            variance = Cumulant.call(family, kappa, dim, 2)
        return None, gradient * kappa * variance, None, None, None


class Transport(Mapped):
    r"""The latitude u of the same rank as the normal number z, differentiable in both and kappa.

    .. math:: F_\kappa(u) = \Phi(z), \qquad
              \frac{du}{d\kappa} = -\frac{\partial_\kappa F(u)}{f(u)}, \qquad
              \frac{du}{dz} = \frac{\varphi(z)}{f(u)}

    In closed form for d = 3. Else Halley's method on the log of the smaller tail, to rounding: a
    fixed number of operations, so nothing waits for a device; the derivative in kappa is an
    integral over the tail on the side of u where S - E[S] keeps its sign, so that nothing cancels,
    and the normaliser drops out of it. Takes the first two cumulants at kappa.
    """

    @staticmethod
    def forward(
        family: type[LatitudeFamily],
        kappa: Tensor,
        z: Tensor,
        dim: int,
        log_partition: Tensor,
        mean: Tensor,
        coarse: bool,
    ) -> tuple[Tensor]:
        if dim == 3:
            return (-0.5 * family.on_globe(kappa, z).log(),)
        log_mass = log_partition + _log_uniform(dim - 1, coarse)
        parts = [_solve(family, dim - 1, coarse, *flat) for flat in _chunks(z, kappa, log_mass)]
        return ((parts[0] if len(parts) == 1 else torch.cat(parts)).view_as(z),)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
        family, kappa, z, dim, log_partition, mean, coarse = inputs
        ctx.arguments = family, dim, coarse
        ctx.save_for_backward(kappa, z, log_partition, mean, *outputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        family, dim, coarse = ctx.arguments
        kappa, z, log_partition, mean, u = ctx.saved_tensors
        if torch.is_grad_enabled():  # for the derivative of the derivative
            log_partition, mean = (Cumulant.call(family, kappa, dim, order) for order in (0, 1))
        by_kappa = by_z = None
        if ctx.needs_input_grad[1]:
            if dim == 3:
                y = torch.exp(-2 * u)
                slope = family.drift_on_globe(kappa, z, y) / family.slope(y)
            else:
                parts = [_slope(family, dim - 1, coarse, *flat) for flat in _chunks(u, kappa, mean)]
                slope = (parts[0] if len(parts) == 1 else torch.cat(parts)).view_as(u)
            by_kappa = (gradient * slope).sum_to_size(kappa.shape)
        if ctx.needs_input_grad[2]:
            log_density = _at(family, u, kappa, dim - 1).log_density - log_partition
            log_normal = -0.5 * (z.square() + math.log(2 * math.pi))
            by_z = gradient * torch.exp(log_normal - log_density + _log_uniform(dim - 1, coarse))
        return None, by_kappa, by_z, None, None, None, None


def tail_of(z: Tensor) -> Tensor:
    """The chance that a normal variable exceeds z; ``ndtr(-z)`` rounds what is below 1e-16 to 0."""
    return 0.5 * torch.erfc(z / math.sqrt(2))


def log_tail(z: Tensor) -> Tensor:
    """Its log, for z >= 0; ``vmap`` maps no ``log_ndtr``."""
    return (0.5 * torch.special.erfcx(z / math.sqrt(2))).log() - 0.5 * z.square()


def _chunks(values: Tensor, *others: Tensor) -> Iterator[Any]:
    tensors = (values, *(other.expand(values.shape) for other in others))
    return zip(*(tensor.reshape(-1).split(CHUNK) for tensor in tensors), strict=True)


def _solve(
    family: type[LatitudeFamily], m: int, coarse: bool, z: Tensor, kappa: Tensor, log_mass: Tensor
) -> Tensor:
    step, weight = _rule(m, coarse, kappa.dtype, kappa.device)
    side = torch.where(z < 0, -1.0, 1.0).to(z)
    lower, z = z < 0, z.abs()
    target = log_tail(z) + log_mass
    mode, curvature = family.peak(kappa, m)
    # A first guess: Gaussian, but for the lower tail of a concentrated law, which falls like the
    # exponential of an exponential (y is then nearly a gamma variable).
    gamma = 0.5 * torch.log1p(z * math.sqrt(2 / m) + z * z / m)
    lean = torch.where(lower, curvature / m - 1, 0)
    u = mode + side * torch.lerp(z / curvature.sqrt(), gamma, lean)
    for _ in range(2 if coarse and m > 6 else 5):
        here = _at(family, u, kappa, m)
        tail = _at(family, u[:, None] + side[:, None] * step, kappa[:, None], m)
        ratio = 1 / (torch.exp(tail.log_density - here.log_density[:, None]) @ weight)
        error = here.log_density - ratio.log() - target
        first = -side * ratio
        rise = kappa * family.slope(here.y) - m * torch.tanh(u)  # of the log density
        second = first * (rise + side * ratio)
        square = first.square()
        # At most twice Newton's step: on the plateau of a lower tail Halley's may go astray.
        u = u - 2 * error * first / torch.maximum(2 * square - error * second, square)
    return u


def _slope(
    family: type[LatitudeFamily], m: int, coarse: bool, u: Tensor, kappa: Tensor, mean: Tensor
) -> Tensor:
    step, weight = _rule(m, coarse, kappa.dtype, kappa.device)
    here = _at(family, u, kappa, m)
    side = torch.where(here.statistic < mean, -1.0, 1.0).to(u)
    tail = _at(family, u[:, None] + side[:, None] * step, kappa[:, None], m)
    density = torch.exp(tail.log_density - here.log_density[:, None])
    return side * ((density * (tail.statistic - mean[:, None])) @ weight)
