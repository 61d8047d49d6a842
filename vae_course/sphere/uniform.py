"""The uniform law on the unit sphere: the prior of every spherical code."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, register_kl

from vae_course.sphere.geometry import normalise, unit_sphere

Shape = torch.Size | list[int] | tuple[int, ...]


def log_area(dim: int) -> float:
    r"""Log of the area of the unit sphere in R^d, in nats.

    .. math:: \log\frac{2 \pi^{d/2}}{\Gamma(d/2)}

    For d >= 1; d = 2 is the circle of length 2π. Negative from d = 19 on: spheres get small.
    """
    return math.log(2) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


class SphericalUniform(Distribution):
    r"""Uniform distribution on the unit sphere of R^d.

    .. math:: p(x) = \frac{\Gamma(d/2)}{2 \pi^{d/2}}

    Densities on the sphere are with respect to its area. There is nothing to differentiate, so
    ``has_rsample`` is true and a sample has no gradient.

    Args:
        dim: ambient dimension d >= 2 (2 is the circle).
        dtype: of samples and values; the default dtype unless given.
        device: of samples and values.
        validate_args: as in ``torch.distributions``.

    Raises:
        TypeError: if ``dim`` is not an int.
        ValueError: if ``dim`` is below 2.
    """

    arg_constraints: dict[str, Any] = {}
    support = unit_sphere
    has_rsample = True

    def __init__(
        self,
        dim: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise TypeError(f"dim={dim!r}: must be an int, the ambient dimension")
        if dim < 2:
            raise ValueError(f"dim={dim}: the ambient dimension is at least 2 (2 is the circle)")
        self.dim = dim
        # All that is kept of dtype and device; expanding it costs no memory.
        self._zero = torch.zeros((), dtype=dtype, device=device)
        super().__init__(torch.Size(), torch.Size([dim]), validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "SphericalUniform":
        """The same law for a batch of that shape."""
        new = self._get_checked_instance(SphericalUniform, _instance)
        new.dim = self.dim
        new._zero = self._zero.expand(batch_shape)
        Distribution.__init__(new, torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """Directions of standard Gaussian vectors; the global generator unless one is given."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(
            shape, dtype=self._zero.dtype, device=self._zero.device, generator=generator
        )
        return normalise(noise)

    def sample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """As ``rsample``."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def log_prob(self, value: Float[Tensor, "*batch d"]) -> Float[Tensor, "..."]:
        """Log density with respect to the area, in nats: the same everywhere."""
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return (self._zero - log_area(self.dim)).expand(shape)

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Log area of the sphere, in nats: no law on the sphere has more."""
        return self._zero + log_area(self.dim)

    @property
    def mean(self) -> Float[Tensor, "*batch d"]:
        """Zero, the centre of the ball, which is no point of the sphere."""
        return self._zero.unsqueeze(-1).expand(self._extended_shape())

    @property
    def variance(self) -> Float[Tensor, "*batch d"]:
        """Variance of each coordinate, 1/d."""
        return self.mean + 1 / self.dim

    @property
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Zero, with respect to any direction."""
        return self._zero


def check_same_sphere(p: Distribution, q: Distribution) -> int:
    """The ambient dimension of two laws; ValueError if they live on different spheres."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"a law on the sphere of R^{p.event_shape[-1]} has no KL to one on the sphere of "
            f"R^{q.event_shape[-1]}: dim is the ambient dimension, the length of the vectors"
        )
    return p.event_shape[-1]


def check_noise(eps: Tensor, batch: torch.Size, noise_dim: int) -> None:
    """Raise ValueError unless ``eps`` makes samples of that batch."""
    wanted = tuple(batch) + (noise_dim,)
    if eps.ndim < len(wanted) or tuple(eps.shape[eps.ndim - len(wanted) :]) != wanted:
        raise ValueError(
            f"eps has shape {tuple(eps.shape)}, which doesn't end in {wanted}: draw it as "
            "torch.randn(*sample_shape, *law.batch_shape, law.noise_dim)"
        )


def fresh_noise(
    law: Any, like: Tensor, sample_shape: Shape, generator: torch.Generator | None
) -> Tensor:
    """Standard normal numbers for ``law.transport``, in the dtype and on the device of ``like``."""
    shape = torch.Size(sample_shape) + law.batch_shape + (law.noise_dim,)
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)


def axial_variance(loc: Tensor, cosine: Tensor, tangent: Tensor) -> Tensor:
    """Variance of each coordinate of a law symmetric about ``loc``."""
    cosine, tangent = cosine.to(tangent), tangent.unsqueeze(-1)
    # Along loc what the d - 1 other directions and the mean leave of the squared norm, 1.
    along = (1 - cosine.square()).unsqueeze(-1) - (loc.shape[-1] - 1) * tangent
    share = loc.to(tangent).square()
    return (share * along.clamp_min(0) + (1 - share) * tangent).to(loc.dtype)


@register_kl(SphericalUniform, SphericalUniform)
def _kl_uniform_uniform(p: SphericalUniform, q: SphericalUniform) -> Tensor:
    check_same_sphere(p, q)
    return p._zero.expand(torch.broadcast_shapes(p.batch_shape, q.batch_shape))
