"""The uniform law on the unit sphere: the prior of every spherical code."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, register_kl

from vae_course.sphere.arguments import check_dim
from vae_course.sphere.geometry import normalise
from vae_course.sphere.law import Shape, SphericalLaw, check_same_sphere, log_area


class SphericalUniform(SphericalLaw):
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

    def __init__(
        self,
        dim: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        validate_args: bool | None = None,
    ) -> None:
        dim = check_dim(dim)
        # All that is kept of dtype and device; expanding it costs no memory.
        self._zero = torch.zeros((), dtype=dtype, device=device)
        super().__init__(torch.Size(), torch.Size([dim]), validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "SphericalUniform":
        """The same law for a batch of that shape."""
        new = self._get_checked_instance(SphericalUniform, _instance)
        new._zero = self._zero.expand(batch_shape)
        Distribution.__init__(new, torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def transport(self, eps: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape d"]:
        """The direction of the standard normal ``eps``, whose shape ends in the batch's and d.

        Raises:
            TypeError: for an ``eps`` that is no floating point tensor.
            ValueError: for an ``eps`` of another shape or device, or not finite (in eager mode,
                with ``validate_args``).
        """
        return self._carry(self._noise(eps))

    def _carry(self, eps: Tensor) -> Tensor:
        return normalise(eps)

    def log_prob(self, value: Float[Tensor, "*batch d"]) -> Float[Tensor, "..."]:
        """Log density with respect to the area, in nats: the same everywhere."""
        self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return (self._zero - log_area(self.dim)).expand(shape)

    def kl_to_uniform(self) -> Float[Tensor, "*batch"]:
        """Zero: this is the uniform law."""
        return self._zero

    @property
    def mode(self) -> Float[Tensor, "*batch d"]:
        """The first axis; all points are as dense, and ``normalise`` takes this one too."""
        axis = torch.zeros(self.dim, dtype=self._zero.dtype, device=self._zero.device)
        axis[0] = 1
        return axis.expand(self._extended_shape())

    @property
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Zero, with respect to any direction."""
        return self._zero

    @property
    def variance(self) -> Float[Tensor, "*batch d"]:
        """Variance of each coordinate, 1/d."""
        return self.mean + 1 / self.dim


@register_kl(SphericalLaw, SphericalUniform)
def _kl_to_uniform(p: SphericalLaw, q: SphericalUniform) -> Tensor:
    check_same_sphere(p, q)
    rate = p.kl_to_uniform()
    return rate.expand(torch.broadcast_shapes(rate.shape, q.batch_shape)) if q.batch_shape else rate
