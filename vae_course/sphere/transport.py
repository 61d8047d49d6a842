"""From a normal number to the latitude of the same rank: how laws of the latitude are sampled."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vae_course.sphere.latitude import Cumulant, LatitudeFamily, at, log_tail, log_uniform, rule
from vae_course.sphere.polar import Mapped

CHUNK = 1 << 16  # samples whose quantiles are sought at a time: 25 MB a rule of 48 nodes


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
        log_mass = log_partition + log_uniform(dim - 1, coarse)
        parts = [_solve(family, dim - 1, coarse, *flat) for flat in _chunks(z, kappa, log_mass)]
        return ((parts[0] if len(parts) == 1 else torch.cat(parts)).view_as(z),)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        family, kappa, z, dim, log_partition, mean, coarse = inputs
        ctx.arguments = family, dim, coarse
        return kappa, z, log_partition, mean, *outputs

    @staticmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor:
        (family, dim, coarse), (kappa, z, _, _, u) = ctx.arguments, saved
        _, dkappa, dz, *_ = tangents
        du = torch.zeros_like(u)
        if dkappa is not None:
            mean = Cumulant.call(family, kappa, dim, 1)
            du = du + dkappa * _by_kappa(family, dim, coarse, kappa, z, mean, u)
        if dz is not None:
            log_partition = Cumulant.call(family, kappa, dim, 0)
            du = du + dz * _by_z(family, dim, coarse, kappa, z, log_partition, u)
        return du

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        family, dim, coarse = ctx.arguments
        kappa, z, log_partition, mean, u = ctx.saved_tensors
        if torch.is_grad_enabled():  # for the derivative of the derivative
            log_partition, mean = (Cumulant.call(family, kappa, dim, order) for order in (0, 1))
        by_kappa = by_z = None
        if ctx.needs_input_grad[1]:
            slope = _by_kappa(family, dim, coarse, kappa, z, mean, u)
            by_kappa = (gradient * slope).sum_to_size(kappa.shape)
        if ctx.needs_input_grad[2]:
            by_z = gradient * _by_z(family, dim, coarse, kappa, z, log_partition, u)
        return None, by_kappa, by_z, None, None, None, None


def _by_kappa(
    family: type[LatitudeFamily], dim: int, coarse: bool, kappa: Tensor, z: Tensor, mean: Tensor,
    u: Tensor,
) -> Tensor:  # fmt: skip
    """Derivative of the latitude in kappa."""
    if dim == 3:
        y = torch.exp(-2 * u)
        return family.drift_on_globe(kappa, z, y) / family.slope(y)
    parts = [_slope(family, dim - 1, coarse, *flat) for flat in _chunks(u, kappa, mean)]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).view_as(u)


def _by_z(
    family: type[LatitudeFamily], dim: int, coarse: bool, kappa: Tensor, z: Tensor,
    log_partition: Tensor, u: Tensor,
) -> Tensor:  # fmt: skip
    """Derivative of the latitude in the normal number."""
    log_density = at(family, u, kappa, dim - 1).log_density - log_partition
    log_normal = -0.5 * (z.square() + math.log(2 * math.pi))
    return torch.exp(log_normal - log_density + log_uniform(dim - 1, coarse))


def _chunks(values: Tensor, *others: Tensor) -> Iterator[Any]:
    tensors = (values, *(other.expand(values.shape) for other in others))
    return zip(*(tensor.reshape(-1).split(CHUNK) for tensor in tensors), strict=True)


def _solve(
    family: type[LatitudeFamily], m: int, coarse: bool, z: Tensor, kappa: Tensor, log_mass: Tensor
) -> Tensor:
    step, weight = rule(kappa.dtype, kappa.device, m, coarse)
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
        here = at(family, u, kappa, m)
        tail = at(family, u[:, None] + side[:, None] * step, kappa[:, None], m)
        ratio = (torch.exp(tail.log_density - here.log_density[:, None]) @ weight).reciprocal()
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
    step, weight = rule(kappa.dtype, kappa.device, m, coarse)
    here = at(family, u, kappa, m)
    side = torch.where(here.statistic < mean, -1.0, 1.0).to(u)
    tail = at(family, u[:, None] + side[:, None] * step, kappa[:, None], m)
    density = torch.exp(tail.log_density - here.log_density[:, None])
    return side * ((density * (tail.statistic - mean[:, None])) @ weight)
