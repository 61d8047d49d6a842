r"""The spherical Cauchy law: the uniform law, stretched by a Möbius map.

Its parameter is the hyperbolic radius r rather than :math:`\rho = \tanh(r/2)`, which rounds to 1.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence, register_kl

from vae_course.arguments import visible
from vae_course.sphere.arguments import check_vectors, number_beside
from vae_course.sphere.axial import AxialLaw
from vae_course.sphere.cauchy_rate import MeanCosine, Rate, tangent_variance
from vae_course.sphere.geometry import poincare_distance, unit_sphere
from vae_course.sphere.latitude import working
from vae_course.sphere.law import check_same_sphere, log_area
from vae_course.sphere.polar import stretch
from vae_course.sphere.uniform import SphericalUniform


class SphericalCauchy(AxialLaw):
    r"""Spherical Cauchy distribution: uniform points, drawn towards ``loc`` by a Möbius map.

    .. math:: p(x) = \frac{\Gamma(d/2)}{2 \pi^{d/2}}
              \Big(\frac{1}{\cosh r - \mu^\top x \sinh r}\Big)^{d-1}, \qquad
              \rho = \tanh\tfrac r2

    Densities are with respect to the sphere's area. Parameters are the points of hyperbolic
    space: r = 0 is uniform, whatever ``loc``, and the KL between two laws depends on their
    hyperbolic distance alone, so it is symmetric.

    Args:
        loc: direction μ, unit vectors (..., d), d >= 2 the ambient dimension; also the mode.
        r: hyperbolic radius, finite and >= 0, a number or a tensor that broadcasts with the batch
            of ``loc``, in whose dtype all is computed and returned; make it with ``softplus``. Of
            r beyond 17 (float32) or 37 (float64) samples show little: they differ from ``loc`` by
            less than rounding.
        validate_args: as in ``torch.distributions``.

    Raises:
        TypeError: if ``loc`` is no floating point tensor or r no number.
        ValueError: for a ``loc`` off the sphere, a negative or infinite r, shapes that do not
            broadcast or devices that differ. An r (n, 1) beside ``loc`` (n, d) is refused:
            ``squeeze(-1)`` makes it one a direction, and ``loc.unsqueeze(-3)`` all pairs.

    Source: Kato and McCullagh 2020; as a posterior: Sablica and Hornik 2025.
    """

    arg_constraints: dict[str, Any] = {"loc": unit_sphere, "r": constraints.nonnegative}
    r: Tensor
    _number = "r"

    def __init__(
        self,
        loc: Float[Tensor, "*#batch d"],
        r: Float[Tensor, "*#batch"] | float,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self._take(loc, r, validate_args)

    @classmethod
    def from_rho(
        cls,
        loc: Float[Tensor, "*#batch d"],
        rho: Float[Tensor, "*#batch"] | float,
        *,
        validate_args: bool | None = None,
    ) -> "SphericalCauchy":
        """From the usual parameter, 0 <= rho < 1; ValueError outside, as r = 2 artanh rho."""
        check_vectors(2, loc=loc)
        rho = number_beside("rho", rho, "loc", loc)
        if Distribution._validate_args if validate_args is None else validate_args:
            if visible(rho) and not ((rho >= 0) & (rho < 1)).all():
                raise ValueError(
                    f"rho lies in [{rho.min():.9g}, {rho.max():.9g}]: must be in [0, 1); "
                    "where it rounds to 1, give r instead"
                )
        return cls(loc, 2 * torch.atanh(rho), validate_args=validate_args)

    @property
    def rho(self) -> Float[Tensor, "*batch"]:
        """Radius in the Poincaré ball, tanh(r/2); rounds to 1 beyond r = 18 in float32."""
        return torch.tanh(self.r / 2)

    def transport(self, eps: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape d"]:
        """The sample that the standard normal ``eps`` stands for, moved by ``moebius``.

        Smooth in ``loc``, r and ``eps``, whose shape ends in the batch's and d.

        Raises:
            TypeError: for an ``eps`` that is no floating point tensor.
            ValueError: for an ``eps`` of another shape or device, or not finite (in eager mode,
                with ``validate_args``).
        """
        return self._carry(self._noise(eps))

    def _carry(self, eps: Tensor) -> Tensor:
        return stretch(eps, self.loc, self.r)

    def log_prob(self, value: Float[Tensor, "*batch d"]) -> Float[Tensor, "..."]:
        """Log density with respect to the area, in nats, in the dtype of ``loc``.

        Finite for all unit vectors.
        """
        self._validate_sample(value)
        squared = (value.to(self.loc.dtype) - self.loc).square().sum(-1)
        log_stretch = _log_stretch(self.r, squared)
        return -(self.dim - 1) * log_stretch - log_area(self.dim)

    def kl_to_uniform(self) -> Float[Tensor, "*batch"]:
        """The rate, ``cauchy_kl``: KL divergence from the uniform law, in nats."""
        return Rate.call(self.r, self.dim)

    @property
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Mean of the cosine between a sample and ``loc``, in [0, 1)."""
        return MeanCosine.call(self.r, self.dim)

    @property
    def _moments(self) -> tuple[Tensor, Tensor]:
        r = working(self.r)
        return MeanCosine.call(r, self.dim), tangent_variance(r, self.dim)

    @property
    def curvature(self) -> Float[Tensor, "*batch"]:
        r"""Minus the second derivative of the log density along a great circle at the mode.

        .. math:: \frac{2 (d-1) \rho}{(1-\rho)^2} = \tfrac{d-1}2 (e^{2r} - 1)

        Infinite beyond r = 40 in float32 and 350 in float64.
        """
        return 0.5 * (self.dim - 1) * torch.expm1(2 * self.r)


def _log_stretch(r: Tensor, squared: Tensor) -> Tensor:
    """log(cosh r - t sinh r) for points whose squared distance to loc is 2 (1 - t)."""
    low = r.clamp_max(1)
    small = torch.log1p(2 * torch.sinh(low / 2).square() - (1 - squared / 2) * torch.sinh(low))
    # e^-r + (1 - t) sinh r, in logs: r may be large and t may be 1.
    high, away = r.clamp_min(1), torch.where(squared > 0, squared, 1)
    far = high + torch.log(-torch.expm1(-2 * high)) + torch.log(away / 4)
    large = torch.where(squared > 0, torch.logaddexp(-high, far), -high)
    return torch.where(r < 1, small, large)


@register_kl(SphericalCauchy, SphericalCauchy)
def _kl_cauchy_cauchy(p: SphericalCauchy, q: SphericalCauchy) -> Tensor:
    dim = check_same_sphere(p, q)
    return Rate.call(poincare_distance(p.loc, p.r, q.loc, q.r), dim)


@register_kl(SphericalUniform, SphericalCauchy)
def _kl_uniform_cauchy(p: SphericalUniform, q: SphericalCauchy) -> Tensor:
    # The uniform law is the centre of the ball, and the divergence is symmetric.
    return kl_divergence(q, p)
