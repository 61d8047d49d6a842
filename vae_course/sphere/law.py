"""What all laws on the sphere share: samples made of given noise, moments, and entropy."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vae_course.arguments import check_finite
from vae_course.sphere.arguments import check_dim, check_vectors, fit
from vae_course.sphere.geometry import check_loc, unit_sphere

Shape = torch.Size | list[int] | tuple[int, ...]


def log_area(dim: int) -> float:
    r"""Log of the area of the unit sphere in R^d, in nats.

    .. math:: \log\frac{2 \pi^{d/2}}{\Gamma(d/2)}

    For d >= 1; d = 2 is the circle of length 2π. Negative from d = 19 on: spheres get small.
    TypeError or ValueError for another dimension.
    """
    check_dim(dim, 1)
    return math.log(2) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


class SphericalLaw(Distribution):
    """A law on the unit sphere of R^d: the base of all of them.

    A subclass gives ``transport``, ``log_prob``, ``kl_to_uniform``, ``mode``, ``mean_cosine``,
    ``variance`` and ``expand``; the rest follows.
    """

    support = unit_sphere
    has_rsample = True
    _parameters = "the law"

    @property
    def dim(self) -> int:
        """Ambient dimension d."""
        return self.event_shape[0]

    @property
    def noise_dim(self) -> int:
        """How many standard normal numbers ``transport`` makes a sample of."""
        return self.dim

    @abstractmethod
    def transport(self, eps: Float[Tensor, "*shape noise_dim"]) -> Float[Tensor, "*shape d"]:
        """The sample that the standard normal ``eps`` stands for."""

    @abstractmethod
    def _carry(self, eps: Tensor) -> Tensor:
        """``transport`` of noise that is known to be right."""

    def rsample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """Exact samples with unbiased pathwise gradients: ``transport`` of fresh noise.

        float32: unit norm to 3e-7. The global generator is used unless one is given.
        """
        like = self.mode
        shape = (*sample_shape, *self.batch_shape, self.noise_dim)
        eps = torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)
        return self._carry(eps)

    def sample(
        self,
        sample_shape: Shape = (),
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*shape d"]:
        """As ``rsample``, without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    @abstractmethod
    def kl_to_uniform(self) -> Float[Tensor, "*batch"]:
        """The rate: KL divergence from the uniform law, in nats."""

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Entropy with respect to the area of the sphere, in nats; negative when concentrated."""
        return log_area(self.dim) - self.kl_to_uniform()

    @property
    @abstractmethod
    def mode(self) -> Float[Tensor, "*batch d"]:
        """The densest point, which in high dimension no sample is near."""

    @property
    @abstractmethod
    def mean_cosine(self) -> Float[Tensor, "*batch"]:
        """Mean of the cosine between a sample and the mode, in [0, 1)."""

    @property
    def mean(self) -> Float[Tensor, "*batch d"]:
        """The centre of mass, ``mean_cosine`` times ``mode``, inside the ball, off the sphere."""
        return self.mean_cosine.unsqueeze(-1) * self.mode

    def _noise(self, eps: Tensor) -> Tensor:
        """``eps`` in the dtype of the law; raises unless it makes samples of the batch."""
        like = self.mode
        check_vectors(1, eps=eps)
        wanted = self.batch_shape + (self.noise_dim,)
        if eps.shape[max(0, eps.ndim - len(wanted)) :] != wanted:
            raise ValueError(
                f"eps has shape {tuple(eps.shape)}, which doesn't end in {tuple(wanted)}, the "
                f"batch of {self._parameters} and law.noise_dim: draw it as "
                "torch.randn(*sample_shape, *law.batch_shape, law.noise_dim)"
            )
        if eps.device != like.device:
            raise ValueError(f"eps is on {eps.device} and the law on {like.device}: move one")
        if self._validate_args:
            check_finite(eps=eps)
        return eps.to(like.dtype)

    def _validate_sample(self, value: Tensor) -> None:
        """Raise unless ``value`` holds unit vectors that broadcast with the batch."""
        check_vectors(1, value=value)
        if value.shape[-1] != self.dim:
            raise ValueError(f"value has shape {tuple(value.shape)}: it must end in d = {self.dim}")
        if not fit(value.shape[:-1], self.batch_shape):
            raise ValueError(
                f"value has shape {tuple(value.shape)}, which doesn't broadcast with the law's "
                f"batch {tuple(self.batch_shape)} and d = {self.dim}"
            )
        like = self.mode
        if value.device != like.device:
            raise ValueError(f"value is on {value.device} and the law on {like.device}: move one")
        if self._validate_args:
            coarser = max(value.dtype, like.dtype, key=lambda dtype: torch.finfo(dtype).eps)
            check_loc(value.to(coarser), "value")


def check_same_sphere(p: Distribution, q: Distribution) -> int:
    """The ambient dimension of two laws; ValueError if they live on different spheres."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"a law on the sphere of R^{p.event_shape[-1]} has no KL to one on the sphere of "
            f"R^{q.event_shape[-1]}: dim is the ambient dimension, the length of the vectors"
        )
    return p.event_shape[-1]
