"""What all laws on the sphere share that an axis and one concentration describe."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import lazy_property

from vae_course.sphere.geometry import check_loc, check_nonnegative, unit_sphere
from vae_course.sphere.latitude import (
    Cumulant,
    Cumulants,
    Divergence,
    LatitudeFamily,
    Transport,
    working,
)
from vae_course.sphere.polar import place
from vae_course.sphere.uniform import (
    Shape,
    axial_variance,
    check_noise,
    fresh_noise,
    log_area,
)


class AxialDistribution(Distribution):
    """Base of ``VonMisesFisher`` and ``PowerSpherical``, each with its family of latitudes."""

    arg_constraints: dict[str, Any] = {
        "loc": unit_sphere,
        "concentration": constraints.nonnegative,
    }
    support = unit_sphere
    has_rsample = True
    _family: ClassVar[type[LatitudeFamily]]

    def __init__(
        self,
        loc: Float[Tensor, "*#batch d"],
        concentration: Float[Tensor, "*#batch"] | float,
        validate_args: bool | None = None,
    ) -> None:
        checked = Distribution._validate_args if validate_args is None else validate_args
        if checked:
            check_loc(loc)
        kappa = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        try:
            batch = torch.broadcast_shapes(loc.shape[:-1], kappa.shape)
        except RuntimeError as error:
            raise ValueError(
                f"concentration has shape {tuple(kappa.shape)}, which doesn't broadcast with the "
                f"batch {tuple(loc.shape[:-1])} of loc: give one concentration a direction"
            ) from error
        if checked:
            check_nonnegative(kappa, "concentration")
        self.loc = loc.expand(*batch, loc.shape[-1])
        self.concentration = kappa.expand(batch)
        super().__init__(batch, loc.shape[-1:], validate_args=False)
        self._validate_args = checked

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Any:
        """The same laws for a larger batch."""
        new = self._get_checked_instance(type(self), _instance)
        batch = torch.Size(batch_shape)
        new.loc = self.loc.expand(batch + self.event_shape)
        new.concentration = self.concentration.expand(batch)
        Distribution.__init__(new, batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def _coarse(self) -> bool:
        return self.loc.dtype != torch.float64

    @lazy_property
    def _cumulants(self) -> Cumulants:
        """What sampler and rate share."""
        kappa = working(self.concentration.detach())
        return self._family.cumulants(kappa, self.dim, self._coarse)

    @property
    def dim(self) -> int:
        """Ambient dimension d."""
        return self.event_shape[-1]

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
            ValueError: for an ``eps`` of another shape.
        """
        check_noise(eps, self.batch_shape, self.noise_dim)
        log_partition, mean, *_ = self._cumulants
        kappa, z = working(self.concentration), working(eps[..., -1])
        u = Transport.apply(self._family, kappa, z, self.dim, log_partition, mean, self._coarse)
        return place(eps[..., :-1], self.loc, u.to(self.loc.dtype))

    def rsample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """Exact samples with unbiased pathwise gradients: ``transport`` of fresh noise.

        float32: unit norm to 3e-7. The global generator is used unless one is given.
        """
        return self.transport(fresh_noise(self, self.loc, sample_shape, generator))

    def sample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """As ``rsample``, without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def log_prob(self, value: Float[Tensor, "*#shape d"]) -> Float[Tensor, "*shape"]:
        """Log density with respect to the area of the sphere, in nats."""
        if self._validate_args:
            self._validate_sample(value)
        kappa = working(self.concentration)
        statistic = working(self._statistic(value))
        log_partition = Cumulant.apply(self._family, kappa, self.dim, 0)
        return (kappa * statistic - log_partition - log_area(self.dim)).to(self.loc.dtype)

    @abstractmethod
    def _statistic(self, value: Tensor) -> Tensor:
        """What the concentration multiplies in the log density."""

    def kl_to_uniform(self) -> Float[Tensor, "*batch"]:
        """The rate: KL divergence from the uniform law, in nats."""
        kappa = working(self.concentration)
        *_, variance, _, rate = self._cumulants
        return Divergence.apply(self._family, kappa, self.dim, rate, variance).to(self.loc.dtype)

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Entropy with respect to the area of the sphere, in nats; negative when concentrated."""
        return log_area(self.dim) - self.kl_to_uniform()

    @property
    @abstractmethod
    def _cosine_moments(self) -> tuple[Tensor, Tensor]:
        """Mean cosine, and variance along a direction orthogonal to ``loc``; working dtype."""

    @property
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Mean of the cosine between a sample and ``loc``, in [0, 1)."""
        return self._cosine_moments[0].to(self.loc.dtype)

    @property
    def mean(self) -> Float[Tensor, "*batch d"]:
        """The centre of mass, ``mean_cosine`` times ``loc``, inside the ball, off the sphere."""
        return self.mean_cosine.unsqueeze(-1) * self.loc

    @property
    @abstractmethod
    def curvature(self) -> Float[Tensor, "*batch"]:
        """Minus the second derivative of the log density along a great circle at the mode."""

    @property
    def variance(self) -> Float[Tensor, "*batch d"]:
        """Variance of each coordinate; their sum is 1 minus the squared mean cosine."""
        return axial_variance(self.loc, *self._cosine_moments)
