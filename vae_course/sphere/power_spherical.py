"""The Power Spherical law: a power of 1 + cosine, so that every formula is closed."""

import math

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial.legendre import leggauss
from torch import Tensor
from torch.distributions import register_kl

from vae_course.sphere.axial import LatitudeLaw, kl_from_uniform
from vae_course.sphere.latitude import Cumulants, LatitudeFamily, log_tail, tail_of, working
from vae_course.sphere.tables import table
from vae_course.sphere.uniform import SphericalUniform


class PowerSphericalLatitude(LatitudeFamily):
    """S = log((1 + t) / 2), the log of a Beta variable."""

    @staticmethod
    def statistic(y: Tensor, log1p_y: Tensor) -> Tensor:
        return -log1p_y

    @staticmethod
    def slope(y: Tensor) -> Tensor:
        return 2 * (1 + y.reciprocal()).reciprocal()

    @staticmethod
    def peak(kappa: Tensor, m: int) -> tuple[Tensor, Tensor]:
        return 0.5 * torch.log1p(2 * kappa / m), m * (1 + kappa / (m + kappa))

    @staticmethod
    def cumulants(kappa: Tensor, dim: int, coarse: bool = False) -> Cumulants:
        half = (dim - 1) / 2
        ab = torch.stack([half + kappa, 2 * half + kappa])  # of the Beta: alpha, alpha + beta
        log_partition = _difference(torch.lgamma(ab)) + math.lgamma(2 * half) - math.lgamma(half)
        mean = _difference(torch.digamma(ab))
        variance = _difference(torch.polygamma(1, ab))
        # Of two nearly equal terms while kappa is small: there the integral of its derivative,
        # s Var_s(S) from 0 to kappa. Nodes are few because the variance varies over (d - 1) / 2.
        short = kappa.clamp_max(half / 2).unsqueeze(-1)
        x, weight = _rule(kappa.dtype, kappa.device, 6 if coarse else 12)
        s = short * x
        along = _difference(torch.polygamma(1, torch.stack([half + s, 2 * half + s])))
        near = short.squeeze(-1) * ((s * along) @ weight)
        rate = torch.where(kappa <= half / 2, near, kappa * mean - log_partition)
        third = _difference(torch.polygamma(2, ab))
        return Cumulants(log_partition, mean, variance, third, rate)

    @staticmethod
    def on_globe(kappa: Tensor, z: Tensor) -> Tensor:
        # (1 + t) / 2 is a power of a uniform variable, here of the normal distribution function.
        far = z.abs()
        log = torch.where(z < 0, log_tail(far), torch.log1p(-tail_of(far)))
        return torch.expm1(-log / (1 + kappa)).clamp_min(1e-300)

    @staticmethod
    def drift_on_globe(kappa: Tensor, z: Tensor, y: Tensor) -> Tensor:
        return torch.log1p(y) / (1 + kappa)


@table
def _rule(nodes: int) -> tuple[np.ndarray, ...]:
    """Gauss-Legendre on [0, 1]."""
    x, weight = leggauss(nodes)
    return 0.5 * (x + 1), 0.5 * weight


def _difference(pair: Tensor) -> Tensor:
    return pair[0] - pair[1]


class PowerSpherical(LatitudeLaw):
    r"""Power Spherical distribution on the unit sphere of R^d.

    .. math:: p(y) = \frac{\Gamma(\alpha + \beta)}{2^{\alpha+\beta} \pi^\beta \Gamma(\alpha)}
              (1 + \mu^\top y)^\kappa, \qquad \beta = \tfrac{d-1}2, \quad \alpha = \beta + \kappa

    :math:`(1 + \mu^\top Y)/2` is a Beta(:math:`\alpha, \beta`) variable, so the mean is
    :math:`\frac{\kappa}{d - 1 + \kappa}\mu` and the rate, its KL from the uniform law,
    :math:`\kappa(\psi(\alpha) - \psi(\alpha+\beta)) -
    \log\frac{\Gamma(\alpha)\Gamma(2\beta)}{\Gamma(\beta)\Gamma(\alpha+\beta)}`. Numbers per example
    are computed in float64 and returned in the dtype of ``loc``.

    Densities are with respect to the area; the density of the antipode of ``loc`` is 0. Relative
    error of the rate: 1e-9 in float64 for kappa up to 1e6, rounding of the result in float32,
    however small kappa is. Beyond, two nearly equal numbers are subtracted: 1e-6 at 1e10.

    Args:
        loc: mean directions (..., d >= 2), unit vectors.
        concentration: kappa >= 0, finite, a number or a tensor that broadcasts with the batch of
            ``loc``, in whose dtype all is computed and returned; 0 is the uniform
            law, 2/kappa the variance of each tangent coordinate when large.
        validate_args: as in ``torch.distributions``.

    Raises:
        TypeError: if ``loc`` is no floating point tensor or ``concentration`` no number.
        ValueError: for a ``loc`` off the sphere, a negative or infinite ``concentration``, shapes
            that do not broadcast or devices that differ. A ``concentration`` (n, 1) beside ``loc``
            (n, d) is refused: ``squeeze(-1)`` makes it one a direction, and
            ``loc.unsqueeze(-3)`` all pairs.

    Source: De Cao and Aziz 2020; formulas derived here from the Beta law.
    """

    _family = PowerSphericalLatitude

    def _statistic(self, value: Tensor) -> Tensor:
        half = 0.25 * (value + self.loc).square().sum(-1)  # (1 + t) / 2
        tiny = torch.finfo(value.dtype).tiny
        # The nearer pole's distance is the accurate one.
        rest = 0.25 * (value - self.loc).square().sum(-1)
        return torch.where(
            rest < 0.5, torch.log1p(-rest.clamp_max(0.5)), half.clamp_min(tiny).log()
        )

    @property
    def _moments(self) -> tuple[Tensor, Tensor]:
        kappa, m = working(self.concentration), self.dim - 1
        return kappa / (m + kappa), (m + 2 * kappa) / ((m + kappa) * (m + kappa + 1))

    @property
    def curvature(self) -> Float[Tensor, "*batch"]:
        """Minus the second derivative of the log density at the mode, half the concentration."""
        return 0.5 * self.concentration


@register_kl(SphericalUniform, PowerSpherical)
def _kl_uniform_power(p: SphericalUniform, q: PowerSpherical) -> Tensor:
    return kl_from_uniform(p, q)
