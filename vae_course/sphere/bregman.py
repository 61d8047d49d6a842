r"""KL between two laws of one latitude family about one axis: the Bregman divergence of Λ.

With :math:`\Lambda(\kappa) = \log E_{t \sim U}\, e^{\kappa S}` the density relative to the uniform
law's is :math:`e^{\kappa S - \Lambda(\kappa)}`, so that

.. math:: \mathrm{KL} = \Lambda(\kappa_2) - \Lambda(\kappa_1)
              - (\kappa_2 - \kappa_1) \Lambda'(\kappa_1)
          = (\kappa_2 - \kappa_1)^2 \int_0^1 (1 - x)\,
              \mathrm{Var}_{\kappa_1 + x (\kappa_2 - \kappa_1)}(S)\, dx

The integral, of what is positive, keeps its digits where the two are near; the difference where
they are not. Derived here.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_course.sphere.latitude import Cumulant, LatitudeFamily
from vae_course.sphere.polar import Mapped
from vae_course.sphere.tables import table


@table
def _rule() -> tuple[np.ndarray, ...]:
    """Gauss-Legendre on [0, 1], and its weights times 1 - x."""
    x, weight = np.polynomial.legendre.leggauss(12)
    x, weight = (1 + x) / 2, weight / 2
    return x, weight, (1 - x) * weight


def _between(
    family: type[LatitudeFamily], kappa1: Tensor, kappa2: Tensor, dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Whether the two are near, by how much then, and the variances of S on the way.

    Near is within half of the distance to where the variance has poles: right to rounding.
    """
    gap = kappa2 - kappa1
    near = gap.abs() <= 0.25 * (kappa1 + kappa2 + dim - 1)
    step = torch.where(near, gap, 0)
    x, *_ = _rule(gap.dtype, gap.device)
    way = kappa1.unsqueeze(-1) + step.unsqueeze(-1) * x
    return near, step, Cumulant.call(family, way, dim, 2)


def _rise(family: type[LatitudeFamily], kappa1: Tensor, kappa2: Tensor, dim: int) -> Tensor:
    """By how much E[S] is larger at the second."""
    near, step, variances = _between(family, kappa1, kappa2, dim)
    _, weight, _ = _rule(step.dtype, step.device)
    far = Cumulant.call(family, kappa2, dim, 1) - Cumulant.call(family, kappa1, dim, 1)
    return torch.where(near, step * (variances * weight).sum(-1), far)


class Bregman(Mapped):
    """The KL of the second concentration's law from the first's, twice differentiable in both."""

    @staticmethod
    def forward(
        family: type[LatitudeFamily], kappa1: Tensor, kappa2: Tensor, dim: int
    ) -> tuple[Tensor]:
        near, step, variances = _between(family, kappa1, kappa2, dim)
        *_, weight = _rule(step.dtype, step.device)
        one, two = (family.cumulants(kappa, dim) for kappa in (kappa1, kappa2))
        far = two.log_partition - one.log_partition - (kappa2 - kappa1) * one.mean
        return (torch.where(near, step.square() * (variances * weight).sum(-1), far),)

    @staticmethod
    def keep(ctx: Any, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        family, kappa1, kappa2, dim = inputs
        ctx.arguments = family, dim
        return kappa1, kappa2

    @staticmethod
    def push(ctx: Any, saved: tuple[Tensor, ...], tangents: tuple[Any, ...]) -> Tensor:
        given = zip(tangents[1:3], _slopes(*ctx.arguments, *saved), strict=True)
        parts = [tangent * slope for tangent, slope in given if tangent is not None]
        return parts[0] + parts[1] if len(parts) == 2 else parts[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        kappas = ctx.saved_tensors
        slopes = _slopes(*ctx.arguments, *kappas)
        first, second = (
            (gradient * slope).sum_to_size(kappa.shape)
            for slope, kappa in zip(slopes, kappas, strict=True)
        )
        return None, first, second, None


def _slopes(
    family: type[LatitudeFamily], dim: int, kappa1: Tensor, kappa2: Tensor
) -> tuple[Tensor, Tensor]:
    variance = Cumulant.call(family, kappa1, dim, 2)
    return (kappa1 - kappa2) * variance, _rise(family, kappa1, kappa2, dim)
