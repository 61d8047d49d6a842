"""Laws on the sphere that an axis and one number describe."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import lazy_property

from vae_course.sphere.arguments import check_nonnegative, check_vectors, number_beside
from vae_course.sphere.bregman import Bregman
from vae_course.sphere.geometry import check_loc, unit_sphere
from vae_course.sphere.latitude import (
    Cumulant,
    Cumulants,
    Divergence,
    LatitudeFamily,
    working,
)
from vae_course.sphere.law import Shape, SphericalLaw, check_same_sphere, log_area
from vae_course.sphere.polar import place
from vae_course.sphere.transport import Transport
from vae_course.sphere.uniform import SphericalUniform


class AxialLaw(SphericalLaw):
    """A law that is symmetric about ``loc``, with one number for how concentrated it is.

    That number is the attribute ``_number`` names. ``_moments`` gives the mean cosine, and the
    variance along a direction orthogonal to ``loc``, in the working dtype.
    """

    loc: Tensor
    _number: str

    def _take(self, loc: Tensor, number: Tensor | float, validate_args: bool | None) -> None:
        """Check both and set them; ``loc`` decides dtype and device."""
        checked = Distribution._validate_args if validate_args is None else validate_args
        if checked:
            check_loc(loc)
        else:
            check_vectors(2, loc=loc)
        value = number_beside(self._number, number, "loc", loc)
        if checked:
            check_nonnegative(value, self._number)
        self._place(loc, value, checked)

    def _place(self, loc: Tensor, number: Tensor, checked: bool) -> None:
        """Set both for their common batch."""
        batch = number.shape
        if loc.shape[:-1] != batch:
            batch = torch.broadcast_shapes(loc.shape[:-1], batch)
            loc, number = loc.expand(*batch, loc.shape[-1]), number.expand(batch)
        self.loc = loc
        setattr(self, self._number, number)
        super().__init__(batch, loc.shape[-1:], validate_args=False)
        self._validate_args = checked

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Any:
        """The same laws, broadcast to that batch shape."""
        new = self._get_checked_instance(type(self), _instance)
        batch = torch.Size(batch_shape)
        number = getattr(self, self._number).expand(batch)
        new._place(self.loc.expand(batch + self.event_shape), number, self._validate_args)
        return new

    @property
    def _parameters(self) -> str:  # type: ignore[override]
        return f"loc and {self._number}"

    @property
    def mode(self) -> Float[Tensor, "*batch d"]:
        """The densest point, ``loc``: in high dimension no sample is near it."""
        return self.loc

    @property
    @abstractmethod
    def curvature(self) -> Float[Tensor, "*batch"]:
        """Minus the second derivative of the log density along a great circle at the mode."""

    @property
    @abstractmethod
    def _moments(self) -> tuple[Tensor, Tensor]: ...

    @property
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Mean of the cosine between a sample and ``loc``, in [0, 1)."""
        return self._moments[0].to(self.loc.dtype)

    @property
    def variance(self) -> Float[Tensor, "*batch d"]:
        """Variance of each coordinate; their sum is 1 minus the squared mean cosine."""
        cosine, tangent = self._moments
        tangent = tangent.unsqueeze(-1)
        # Along loc what the d - 1 other directions and the mean leave of the squared norm, 1.
        along = (1 - cosine.square()).unsqueeze(-1) - (self.dim - 1) * tangent
        share = self.loc.to(tangent).square()
        return (share * along.clamp_min(0) + (1 - share) * tangent).to(self.loc.dtype)


class LatitudeLaw(AxialLaw):
    """Base of ``VonMisesFisher`` and ``PowerSpherical``, each with its family of latitudes."""

    arg_constraints: dict[str, Any] = {
        "loc": unit_sphere,
        "concentration": constraints.nonnegative,
    }
    concentration: Tensor
    _number = "concentration"
    _family: ClassVar[type[LatitudeFamily]]

    def __init__(
        self,
        loc: Float[Tensor, "*#batch d"],
        concentration: Float[Tensor, "*#batch"] | float,
        validate_args: bool | None = None,
    ) -> None:
        self._take(loc, concentration, validate_args)

    @property
    def _coarse(self) -> bool:
        return self.loc.dtype != torch.float64

    @lazy_property
    def _cumulants(self) -> Cumulants:
        """What sampler and rate share."""
        kappa = working(self.concentration.detach())
        return self._family.cumulants(kappa, self.dim, self._coarse)

    @property
    def noise_dim(self) -> int:
        """How many standard normal numbers ``transport`` makes a sample of, d + 1."""
        return self.dim + 1

    def transport(self, eps: Float[Tensor, "*shape noise_dim"]) -> Float[Tensor, "*shape d"]:
        r"""The sample that the standard normal ``eps`` stands for.

        .. math:: y = \cos\theta\, \mu + \sin\theta\, w, \qquad F(\cos\theta) = \Phi(\epsilon_{d+1})

        with w the direction of the first d numbers beside :math:`\mu`. Exact: no rejection, no
        approximation. Smooth in ``loc``, ``concentration`` and ``eps``, whose shape ends in the
        batch's and d + 1.

        Raises:
            TypeError: for an ``eps`` that is no floating point tensor.
            ValueError: for an ``eps`` of another shape or device, or not finite (in eager mode,
                with ``validate_args``).
        """
        return self._carry(self._noise(eps))

    def _carry(self, eps: Tensor) -> Tensor:
        log_partition, mean, *_ = self._cumulants
        kappa, z = working(self.concentration), working(eps[..., -1])
        u = Transport.call(self._family, kappa, z, self.dim, log_partition, mean, self._coarse)
        return place(eps[..., :-1], self.loc, u.to(self.loc.dtype))

    def log_prob(self, value: Float[Tensor, "*#shape d"]) -> Float[Tensor, "*shape"]:
        """Log density with respect to the area of the sphere, in nats, in the dtype of ``loc``."""
        self._validate_sample(value)
        kappa = working(self.concentration)
        statistic = working(self._statistic(value))
        log_partition = Cumulant.call(self._family, kappa, self.dim, 0)
        return (kappa * statistic - log_partition - log_area(self.dim)).to(self.loc.dtype)

    @abstractmethod
    def _statistic(self, value: Tensor) -> Tensor:
        """What the concentration multiplies in the log density."""

    def kl_to_uniform(self) -> Float[Tensor, "*batch"]:
        """The rate: KL divergence from the uniform law, in nats."""
        kappa = working(self.concentration)
        *_, variance, _, rate = self._cumulants
        return Divergence.call(self._family, kappa, self.dim, rate, variance).to(self.loc.dtype)


def kl_from_uniform(p: SphericalUniform, q: LatitudeLaw) -> Tensor:
    """KL from the uniform law, which is the one of concentration 0 in every family, to ``q``."""
    kappa = working(q.concentration)
    dim = check_same_sphere(p, q)
    value = Bregman.call(q._family, torch.zeros_like(kappa), kappa, dim).to(q.loc.dtype)
    return value.expand(torch.broadcast_shapes(value.shape, p.batch_shape))
