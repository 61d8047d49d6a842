"""What all laws on the sphere share that an axis and one concentration describe."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_course.sphere.geometry import _orthogonal_part, check_loc, normalise, unit_sphere
from vae_course.sphere.latitude import Cumulant, Divergence, LatitudeFamily, Quantile, working
from vae_course.sphere.uniform import Shape, log_area


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
        if checked and not ((kappa >= 0) & kappa.isfinite()).all():
            raise ValueError(
                f"concentration must be finite and at least 0, got values in "
                f"[{kappa.min():.6g}, {kappa.max():.6g}]: use softplus"
            )
        self.loc = loc.expand(*batch, loc.shape[-1])
        self.concentration = kappa.expand(batch)
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

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
    def dim(self) -> int:
        """Ambient dimension d."""
        return self.event_shape[-1]

    def rsample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """Exact samples with unbiased pathwise gradients in both parameters.

        The latitude is the inverse of its distribution function at a uniform draw: no rejection,
        so with the draws held fixed a sample is a smooth function of ``loc`` and ``concentration``.
        float32: unit norm to 3e-7. The global generator is used unless one is given.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        kappa = working(self.concentration)
        p = torch.rand(shape[:-1], dtype=kappa.dtype, device=kappa.device, generator=generator)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=kappa.device, generator=generator)
        u = Quantile.apply(self._family, kappa, p.clamp_min(2.0**-54), self.dim)
        cosine = torch.tanh(u).to(self.loc.dtype).unsqueeze(-1)
        sine = (1 / torch.cosh(u)).to(self.loc.dtype).unsqueeze(-1)
        return normalise(cosine * self.loc + sine * normalise(_orthogonal_part(noise, self.loc)))

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
        return Divergence.apply(self._family, kappa, self.dim).to(self.loc.dtype)

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Entropy with respect to the area of the sphere, in nats; negative when concentrated."""
        return log_area(self.dim) - self.kl_to_uniform()

    @property
    @abstractmethod
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Mean of the cosine between a sample and ``loc``, in [0, 1)."""

    @property
    def mean(self) -> Float[Tensor, "*batch d"]:
        """The centre of mass, ``mean_cosine`` times ``loc``, inside the ball, off the sphere."""
        return self.mean_cosine.unsqueeze(-1) * self.loc
